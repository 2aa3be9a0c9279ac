"""Edits of a module of settings: the app first, both applications, and ``HYBRID_GATEWAY``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import libcst as cst

from hybrid_gateway.scaffold.python_source import NEWLINE, Assignment, PythonSource, string_value

APP = "hybrid_gateway"


def names_apps(data: bytes) -> bool:
    """Return whether a file gives INSTALLED_APPS a value of its own, rather than adding to somebody else's."""
    if b"INSTALLED_APPS" not in data:
        return False
    return _apps_of(PythonSource(data)) is not None


def edit_settings(
    data: bytes, *, add_app: bool, apps_type: str, applications: Mapping[str, str], gateway: str
) -> bytes:
    """Return the module with what is missing; ``applications`` and ``gateway`` are statements to be there.

    An empty ``gateway`` adds none.
    """
    source = PythonSource(data)
    if add_app:
        _add_app(source, apps_type)
    anchor = _anchor(source)
    lines = []
    for name, path in applications.items():
        found = [entry for entry in source.assignments() if entry.name == name and not entry.is_nested]
        if not found:
            lines.append(f"{name} = {_quote(source)}{path}{_quote(source)}\n")
        elif string_value(found[-1].value) != path:
            source.replace(found[-1].value_start, found[-1].end, f"{_quote(source)}{path}{_quote(source)}")
    if gateway:
        lines.append("\n" + gateway.replace('"', _quote(source)))
    text = "".join(lines)
    if text and anchor is not None:
        source.insert_line_after(anchor.end, text)
    elif text:
        source.insert_line_after(len(source.text), text if text.startswith("\n") else f"\n{text}")
    return source.result()


def _anchor(source: PythonSource) -> Assignment | None:
    """Return the statement that ours stand behind: the applications, else ROOT_URLCONF, else the list of apps."""
    for names in (("ASGI_APPLICATION", "WSGI_APPLICATION"), ("ROOT_URLCONF",), ("INSTALLED_APPS",)):
        found = [entry for entry in source.assignments() if entry.name in names and not entry.is_nested]
        if found:
            return found[-1]
    return None


def _quote(source: PythonSource) -> str:
    """Return the quotation mark that most strings of the file have."""
    return "'" if source.text.count("'") > source.text.count('"') else '"'


def _apps_of(source: PythonSource) -> Assignment | None:
    """Return the only whole value of INSTALLED_APPS, where one can tell which that is."""
    found = [entry for entry in source.assignments() if entry.name == "INSTALLED_APPS" and entry.operator == "="]
    whole = [entry for entry in found if not _mentions(entry.value, "INSTALLED_APPS")]
    return whole[0] if len(whole) == 1 and not whole[0].is_nested else None


def _mentions(node: cst.CSTNode, name: str) -> bool:
    if isinstance(node, cst.Name):
        return node.value == name
    return any(_mentions(child, name) for child in node.children)


def _add_app(source: PythonSource, apps_type: str) -> None:
    entry = _apps_of(source)
    app = f"{_quote(source)}{APP}{_quote(source)}"
    if entry is not None and isinstance(entry.value, cst.List | cst.Tuple):
        _put_first(source, entry, entry.value, app)
    elif entry is not None and (
        isinstance(entry.value, cst.Name)
        or (isinstance(entry.value, cst.BinaryOperation) and isinstance(entry.value.operator, cst.Add))
    ):
        one = f"[{app}]" if apps_type == "list" else f"({app},)"
        source.insert(entry.value_start, f"{one} + ")
    else:
        _put_before_whatever_is_there(source, app)


def _put_first(source: PythonSource, entry: Assignment, value: cst.List | cst.Tuple, app: str) -> None:
    start = entry.value_start
    if source.text[start] not in "[(" or (isinstance(value, cst.Tuple) and not value.lpar):
        source.insert(start, f"{app}, ")  # a tuple without parentheses
        return
    inside = start + 1
    if not value.elements:
        source.insert(inside, app if isinstance(value, cst.List) else f"{app},")
        return
    first, _ = source.span(value.elements[0])
    line_end = NEWLINE.search(source.text, inside, first)
    if line_end is None:
        source.insert(inside, f"{app}, ")
    else:
        source.insert(line_end.end(), f"{source.indentation(first)}{app},\n")


def _put_before_whatever_is_there(source: PythonSource, app: str) -> None:
    """Add a statement behind the last one that says anything of INSTALLED_APPS."""
    statement = f"INSTALLED_APPS = [{app}, *INSTALLED_APPS]\n"
    end = 0
    for node in source.module.body:
        start, stop = source.span(node)
        if re.search(r"\bINSTALLED_APPS\b", source.text[start:stop]):
            end = stop
    if end:
        source.insert_line_after(end, statement)
    else:
        source.insert_line_after(len(source.text), f"\n{statement}")


def gateway_setting(routes: str, prefixes: tuple[str, ...], *, has_locale: bool = False) -> str:
    """Return the statement of HYBRID_GATEWAY: with the prefixes, or with everything that no route answers."""
    if prefixes:
        listed = ", ".join(f'"{prefix}"' for prefix in prefixes) + "," * (len(prefixes) == 1)
        line = f'    "ALLOWED_DJANGO_ROUTES": ({listed}),  # what Django answers; STATIC_URL is added by itself\n'
        if len(line) > 100 or "/" in prefixes:
            notes = {"/": "  # the front page alone"}
            entries = "".join(f'        "{prefix}",{notes.get(prefix, "")}\n' for prefix in prefixes)
            line = f'    "ALLOWED_DJANGO_ROUTES": (  # STATIC_URL is added by itself\n{entries}    ),\n'
    else:
        line = '    "FALLTHROUGH": True,  # Django answers every path that no route does\n'
    if has_locale:
        line += '    "EVENT_HOOKS": ["hybrid_gateway.locale.Locale"],  # languages, as LocaleMiddleware has them\n'
    return f'HYBRID_GATEWAY = {{\n    "ROUTES": "{routes}",\n{line}}}\n'
