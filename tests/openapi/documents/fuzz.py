"""The document against the gateway: what it allows is accepted, what it forbids refused, what is answered is in it.

Modules are made from a seed. To each route many requests are sent, by the document or a little beside it: a cell each.
Defaults are compared with what handlers get when nothing is sent.

``python -m tests.openapi.documents.fuzz --cells 50000`` runs longer than the tests do.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import sys
import types
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from tests.openapi.documents.instances import Instances, NoSampleError
from tests.openapi.documents.samples import Document, lenient
from tests.openapi.documents.sources import Module, write

METHODS = ("get", "post", "put")
TEXTS = [
    "",
    "x",
    "ab",
    "abcde",
    "-1",
    "0",
    "1",
    "3",
    "5",
    "8",
    "12",
    "1.5",
    "2.5",
    "null",
    "true",
    "99999999999999999999",
]
TEXTS += ["NaN", "2020-13-01", "2020-01-02", "a", "b", "small", "red", "1_0", "٣", "0x1", "PT2H", "P1Y"]


class Site:
    """The routes of one seed behind one gateway, and what its handlers saw last."""

    def __init__(self, seed: int, routes: int) -> None:
        from hybrid_gateway import Gateway
        from hybrid_gateway.conf import OpenAPISettings
        from hybrid_gateway.exceptions import ConfigurationError
        from hybrid_gateway.test import TestClient

        self.seed = seed
        self.rng = random.Random(seed)
        self.instances = Instances(self.rng)
        self.seen: dict[str, Any] = {}
        self.is_stuck = False  # no value was found for a handler to answer with
        self.text = ""
        self.refused: list[str] = []  # when started
        found: list[Any] = []
        for module in write(seed, routes):
            found += self._load(module)
        settings = OpenAPISettings(enabled=True)
        good = []
        for route in found:
            try:
                Gateway([route], openapi=settings)
                good.append(route)
            except ConfigurationError as error:
                self.refused.append(str(error))
        self.handlers = {route.handler.__name__: route.handler for route in good}
        self.client = TestClient(Gateway(good, openapi=settings), raise_request_exception=False)
        answer = self.client.get("/openapi.json")
        assert answer.status_code == 200, f"seed {seed}: {answer.text}"
        self.document = Document(answer.json(), self.rng)

    def _load(self, module: Module) -> list[Any]:
        self.text += f"# {module.name}\n{module.text}\n"
        made = types.ModuleType(f"documents_{module.name}")
        sys.modules[made.__name__] = made
        made.__dict__.update(seen=self.seen.update, given=self._given)
        exec(compile(module.text, f"<{module.name} {self.seed}>", "exec"), made.__dict__)
        return made.__dict__["routes"]

    def _given(self, name: str) -> Any:
        import typing

        kind = typing.get_type_hints(self.handlers[name], include_extras=True)["return"]
        try:
            return self.instances.of(kind)
        except NoSampleError:
            self.is_stuck = True
            raise

    def operations(self) -> Iterator[Operation]:
        for path, item in self.document.document["paths"].items():
            for method, found in item.items():
                if method in METHODS:
                    yield Operation(self, path, method, found)


class Operation:
    """One operation: makes requests by its description, and judges the answers."""

    def __init__(self, site: Site, path: str, method: str, description: dict[str, Any]) -> None:
        self.site = site
        self.document = site.document
        self.rng = site.rng
        self.path = path
        self.method = method
        self.description = description
        self.parameters = {(entry["in"], entry["name"]): entry for entry in description.get("parameters", ())}
        self.body_required = description.get("requestBody", {}).get("required", False)
        content = description.get("requestBody", {}).get("content", {})
        self.body = content.get("application/json", {}).get("schema")
        forms = [kind for kind in ("multipart/form-data", "application/x-www-form-urlencoded") if kind in content]
        self.form_type = self.rng.choice(forms) if forms else ""
        self.form = content.get(self.form_type, {}).get("schema")
        if self.form is not None:
            form = self.document.resolve(self.form)
            for name, schema in form["properties"].items():
                required = name in form.get("required", ())
                self.parameters["form", name] = {"in": "form", "name": name, "schema": schema, "required": required}

    def cell(self) -> str:
        """One request and its answer; raises ``AssertionError`` for a broken word."""
        try:
            texts = {key: self.valid_texts(entry) for key, entry in self.parameters.items() if self.wanted(entry)}
            body = ... if self.body is None or self.rng.random() < 0.1 else self.document.sample(self.body)
        except NoSampleError:
            return "no sample"
        fault: Any = "no body" if self.body is not None and body is ... and self.body_required else None
        if self.rng.random() < 0.6:
            if body is not ...:
                body = self.document.spoil(body)
                fault = self.document.fault(body, self.body)
            elif texts and fault is None:
                key = self.rng.choice(list(texts))
                schema = self.parameters[key]["schema"]
                texts[key] = self.spoiled_texts(key, schema)
                if self.is_excused(key, texts[key], schema):
                    return "lenient"
                fault = None if self.texts_fit(texts[key], schema) else f"{key}: {texts[key]} for {schema}"
        self.site.seen.clear()
        answer = self.send(texts, body)
        if self.site.is_stuck:
            self.site.is_stuck = False
            return "no sample"
        told = f"{self.method} {self.path} {texts} {body!r}\n{answer.status_code} {answer.content[:600]!r}"
        assert answer.status_code < 500, f"broken: {told}"
        refused = answer.status_code >= 400
        assert not (refused and fault is None), f"allowed, but refused: {told}"
        if not refused and fault is not None and body is not ... and self.document.is_lax(self.body, fault):
            return "lenient"
        assert refused or fault is None, (
            f"forbidden ({getattr(fault, 'message', fault)} {getattr(fault, 'schema', '')}), but accepted: {told}"
        )
        self.validate(answer, told)
        if not refused:
            self.check_defaults(texts, told)
        return "refused" if refused else "accepted"

    def wanted(self, entry: dict[str, Any]) -> bool:
        return bool(entry.get("required")) or self.rng.random() < 0.6

    # --- text

    def valid_texts(self, entry: dict[str, Any]) -> list[str]:
        for _ in range(20):
            value = self.document.sample(entry["schema"])
            texts = [as_text(one) for one in value] if isinstance(value, list) else [as_text(value)]
            if (
                self.can_be_sent(entry["in"], texts)
                and texts
                and not self.is_excused((entry["in"], entry["name"]), texts, entry["schema"])
            ):
                return texts
        raise NoSampleError

    def can_be_sent(self, source: str, texts: list[str]) -> bool:
        if source == "path":
            return all(text and "/" not in text and text not in (".", "..") and "\x00" not in text for text in texts)
        if source == "form":
            return "\x00" not in "".join(texts)
        if source in ("header", "cookie"):
            safe = r"[A-Za-z0-9:.+_-]*( [A-Za-z0-9]+)?" if source == "header" else r"[A-Za-z0-9:.+_-]*"
            return len(texts) == 1 and all(re.fullmatch(safe, text, re.ASCII) for text in texts)
        return True

    def spoiled_texts(self, key: tuple[str, str], schema: dict[str, Any]) -> list[str]:
        while True:
            many = self.rng.choice([1, 1, 2, 3]) if self.document.resolve(schema).get("type") == "array" else 1
            texts = [self.rng.choice(TEXTS) for _ in range(many)]
            if self.can_be_sent(key[0], texts):
                return texts

    def texts_fit(self, texts: list[str], schema: dict[str, Any]) -> bool:
        resolved = self.document.resolve(schema)
        if resolved.get("type") != "array":
            return any(self.document.fits(value, schema) for value in readings(texts[-1]))
        items = resolved.get("items", {})
        values = [next((value for value in readings(text) if self.document.fits(value, items)), ...) for text in texts]
        return ... not in values and self.document.fits(values, schema)

    def is_excused(self, key: tuple[str, str], texts: list[str], schema: dict[str, Any]) -> bool:
        """What schemas cannot say of text."""
        resolved = self.document.resolve(schema)
        inner = self.document.resolve(resolved.get("items", resolved))
        kinds = types_of(inner)
        if key[1] == "cursor" or (key[0] == "query" and "\x00" in "".join(texts)):
            return True  # only the server knows which cursors there are, and no database takes null characters
        if key[1] == "pages" and len(texts[-1]) > 5:
            return True  # nor any number that is larger than the column
        if key[1].startswith("py") and set(texts) & {"1_0", "٣", "1.0"}:
            return True  # numbers to pydantic
        if len(set(texts)) < len(texts) and resolved.keys() & {"uniqueItems", "maxItems"}:
            return True  # of a set, what comes twice is one
        if key[0] == "form" and "" in texts:
            return True  # an input that was left empty was left out, unless it is text
        if key[0] == "path" and "integer" in kinds and not self.texts_fit(texts, {"type": "integer"}):
            return False
        return "boolean" in kinds and texts[-1] in ("0", "1")

    # --- requests and answers

    def send(self, texts: dict[tuple[str, str], list[str]], body: Any) -> Any:
        path, query, form, headers = self.path, [], [], {}
        cookies = []
        for (source, name), values in texts.items():
            if source == "path":
                path = path.replace(f"{{{name}}}", quote(values[0], safe=""))
            elif source == "query":
                query += [(name, value) for value in values]
            elif source == "form":
                form += [(name, value) for value in values]
            elif source == "header":
                headers[name] = values[0]
            else:
                cookies.append(f"{name}={values[0]}")
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
        data, content_type = b"", ""
        if body is not ...:
            data, content_type = msgspec.json.encode(body), "application/json"
        elif self.form_type.startswith("multipart"):
            data, content_type = self.multipart(form), f"{self.form_type}; boundary=limit"
        elif self.form is not None:
            data, content_type = urlencode(form).encode(), self.form_type
        if query:
            path += f"?{urlencode(query)}"
        return self.site.client.generic(self.method.upper(), path, data, content_type, headers=headers)

    def multipart(self, form: list[tuple[str, str]]) -> bytes:
        """The fields as parts; those of files have a name of one."""
        parts = []
        for name, value in form:
            schema = self.parameters["form", name]["schema"]
            is_file = "binary" in (schema.get("format"), schema.get("items", {}).get("format"))
            file = '; filename="a.txt"' if is_file else ""
            parts.append(f'--limit\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{value}\r\n')
        return ("".join(parts) + "--limit--\r\n").encode()

    def validate(self, answer: Any, told: str) -> None:
        """Whether the document has this answer."""
        responses = self.description["responses"]
        assert str(answer.status_code) in responses, f"no such status: {told}"
        response = responses[str(answer.status_code)]
        if "$ref" in response:
            response = self.document.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        content = response.get("content", {})
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if not content:
            assert not answer.content, f"content, but none is documented: {told}"
            return
        assert kind in content, f"no such content type {kind!r}: {told}"
        schema = content[kind].get("schema")
        if schema is not None and (kind.endswith("json")):
            fault = self.document.fault(answer.json(), schema, lenient)
            assert fault is None, f"answered what is not documented, {fault.message} {fault.schema}: {told}"

    def check_defaults(self, texts: dict[tuple[str, str], list[str]], told: str) -> None:
        """Whether what was left out came as the document says."""
        seen = {}
        for value in self.site.seen.values():
            built = as_json(value)
            seen |= built if isinstance(built, dict) else {}
        seen |= {name: as_json(value) for name, value in self.site.seen.items()}
        for key, entry in self.parameters.items():
            if key in texts or key[1].replace("-", "_") not in seen:
                continue
            expected = seen[key[1].replace("-", "_")]
            if expected not in (None, [1, 2]):  # which functions make
                assert entry["schema"].get("default") == expected, (
                    f"{key} is {expected!r}, the document says otherwise: {entry} {told}"
                )


def types_of(schema: dict[str, Any]) -> set[str]:
    """The JSON types that a schema names, also in its alternatives."""
    kind = schema.get("type", [])
    found = {kind} if isinstance(kind, str) else set(kind)
    return found.union(*map(types_of, schema.get("anyOf", ())))


def as_json(value: Any) -> Any:
    from hybrid_gateway.responses.enc_hook import enc_hook

    return msgspec.json.decode(
        msgspec.json.encode(value, enc_hook=lambda inner: None if is_file(inner) else enc_hook(inner))
    )


def is_file(value: Any) -> bool:
    return hasattr(value, "file")


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def readings(text: str) -> list[Any]:
    """What a text may be, as JSON."""
    found: list[Any] = [text]
    if re.fullmatch(r"-?[0-9]+", text, re.ASCII):
        found.append(int(text))
    elif re.fullmatch(r"-?[0-9]+\.[0-9]+", text, re.ASCII):
        found.append(float(text))
    return [*found, *({"true": [True], "false": [False]}.get(text, []))]


def run(cells: int, seed: int, *, keep_going: bool = False) -> Counter[str]:
    """Try this many cells; raise on the first that is wrong, with the seed and the text of its modules."""
    counts: Counter[str] = Counter()
    done = 0
    for number in itertools.count(seed):
        if done >= cells:
            break
        site = Site(number, routes=6)
        counts["refused at start"] += len(site.refused)
        for operation in site.operations():
            for _ in range(8):
                done += 1
                try:
                    counts[operation.cell()] += 1
                except AssertionError as error:
                    if not keep_going:
                        raise AssertionError(f"seed {number}: {error}\n{site.text}") from None
                    counts["WRONG"] += 1
                    print(f"seed {number}: {str(error)[:1200]}\n")
                    break
    return counts


def add_books() -> None:
    """Some rows for lists to show."""
    import datetime
    from decimal import Decimal

    from tests.library.models import Book, Publisher

    moment = datetime.datetime(2020, 1, 2, 3, 4, 5, 6, datetime.UTC)
    publisher = Publisher.objects.create(name="House")
    Book.objects.create(title="Tea", isbn="1", pages=5, price=Decimal("1.5"), publisher=publisher)
    Book.objects.create(title="Pots", isbn="2", pages=5, price=0, weight=0.5, printed=moment, status="sold")
    Book.objects.create(
        title="",
        isbn="3",
        pages=7,
        day=moment.date(),
        hour=moment.time(),
        lent_for=moment - moment,
        data=[1],
        checksum=b"a",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-going", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.db import connection

    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        add_books()
        print(dict(run(options.cells, options.seed, keep_going=options.keep_going)))
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
