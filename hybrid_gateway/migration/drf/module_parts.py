"""Small functions that a written module may need: links, URLs of files, texts of moments."""

from __future__ import annotations

from hybrid_gateway.migration.form import Difference, FieldForm, FunctionForm, Move, Names


class Parts:
    """The functions and constants of a module, added to it when they are asked for."""

    def __init__(self, move: Move, origin: str) -> None:
        self.move = move
        self.origin = origin
        self._written: dict[str, str] = {}

    @property
    def names(self) -> Names:
        """The names of the module."""
        return self.move.names

    def moment(self, kind: str) -> str:
        """Return a class of ``datetime``, written so that no field called ``date`` hides it."""
        return f"{self.names.use_module('datetime', 'dt')}.{kind}"

    def path_difference(self, where: str) -> list[Difference]:
        """Return that a link is a path, unless it is known where clients find the API."""
        place = f"value $*.{where.split('.')[-1]}"
        return [] if self.origin else [Difference(place, "a path, not an absolute URL (see ORIGIN)")]

    def origin_name(self) -> str:
        """Return the constant with the scheme and the host of links."""
        comment = "" if self.origin else 'Links are paths; "https://api.example.org" makes them absolute.'
        return self._constant("ORIGIN", f'"{self.origin}"', comment)

    def link(self) -> str:
        """Return the function that makes an absolute URL of a path."""
        origin = self.origin_name()
        body = [f'return f"{{{origin}}}{{path}}" if path.startswith("/") else path']
        return self.function("link", ["path: str"], "str", body)

    def row_link(self, name: str, template: str, kind: str, *, optional: bool) -> str:
        """Return the function that makes the URL of a row of its key, which is of the type ``kind``."""
        value = "key" if kind in ("int", "UUID") else f"{self.names.use('urllib.parse', 'quote')}(str(key))"
        path = template.replace("{}", f"{{{value}}}")
        made, none = f'{self.link()}(f"{path}")', " | None" * optional
        body = [f"return None if key is None else {made}" if optional else f"return {made}"]
        return self.function(f"{name}_url{'_or_none' * optional}", [f"key: {kind}{none}"], f"str{none}", body)

    def media_url(self) -> str:
        """Return the function that makes a URL of the name of a file."""
        storage, link = self.names.use("django.core.files.storage", "default_storage"), self.link()
        body = [f"return {link}({storage}.url(name)) if name else None"]
        return self.function("media_url", ["name: str | None"], "str | None", body)

    def duration_text(self) -> str:
        """Return the function for ``[DD] [HH:[MM:]]ss[.uuuuuu]``."""
        kind, text = self.moment("timedelta"), self.names.use("django.utils.duration", "duration_string")
        body = [f"return None if value is None else {text}(value)"]
        return self.function("duration_text", [f"value: {kind} | None"], "str | None", body)

    def local_text(self) -> str:
        """Return the function for moments in the zone of the project."""
        kind, local = self.moment("datetime"), self.names.use("django.utils.timezone", "localtime")
        body = [
            "if value is None:",
            "    return None",
            f"text = {local}(value).isoformat()",
            'return f"{text[:-6]}Z" if text.endswith("+00:00") else text',
        ]
        return self.function("local_text", [f"value: {kind} | None"], "str | None", body)

    def moment_text(self, form: str, kind: str) -> str:
        """Return the function for a format of ``strftime``."""
        name, written = self.moment(kind), f"{kind}_text"
        value = "value"
        if kind == "datetime":
            value = f"{self.names.use('django.utils.timezone', 'localtime')}(value)"
        body = [f"return None if value is None else {value}.strftime({quoted(form)})"]
        return self.function(written, [f"value: {name} | None"], "str | None", body)

    def number(self) -> str:
        """Return the function that makes a number of JSON of a decimal."""
        kind = self.names.use("decimal", "Decimal")
        body = ["return None if value is None else float(value)"]
        return self.function("number", [f"value: {kind} | None"], "float | None", body)

    def decimal_text(self) -> str:
        """Return the function for decimals without an exponent."""
        kind = self.names.use("decimal", "Decimal")
        body = ['return None if value is None else f"{value:f}"']
        return self.function("decimal_text", [f"value: {kind} | None"], "str | None", body)

    def page_link(self, gone: dict[str, str]) -> str:
        """Return the function that writes links of pages as REST framework does: sorted, and without the start."""
        link = self.link()
        use = self.names.use
        split, parse, encode = (use("urllib.parse", name) for name in ("urlsplit", "parse_qsl", "urlencode"))
        start = ", ".join(f'("{name}", "{value}")' for name, value in sorted(gone.items()))
        body = [
            "if reference is None:",
            "    return None",
            f"url = {split}(reference)",
            f"pairs = {parse}(url.query, keep_blank_values=True)",
            f"query = {encode}(sorted(pair for pair in pairs if pair not in [{start}]))",
            f'return {link}(f"{{url.path}}?{{query}}" if query else url.path)',
        ]
        name = "page_link" if "offset" not in str(gone) else "slice_link"
        return self.function(name, ["reference: str | None"], "str | None", body)

    def _constant(self, name: str, value: str, comment: str = "") -> str:
        if name not in self._written:
            self._written[name] = self.names.define(name)
            self.move.constants.append(FieldForm(self._written[name], default=value, comment=comment))
        return self._written[name]

    def function(self, name: str, parameters: list[str], returns: str, body: list[str]) -> str:
        """Return a function of the module, which is written once."""
        key = f"{name}{body}"
        if key not in self._written:
            self._written[key] = self.names.define(name)
            self.move.functions.append(FunctionForm(self._written[key], parameters, returns, body))
        return self._written[key]


def quoted(text: str) -> str:
    """Return a text as ruff writes it."""
    shown = repr(text)
    return shown if '"' in text or "\\" in shown else f'"{shown[1:-1]}"'
