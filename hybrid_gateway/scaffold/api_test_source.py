"""The source of the tests of an app's ``api.py``, which pass as they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import msgspec
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import CompositePrimaryKey, ForeignKey, Model

from hybrid_gateway.scaffold.api_source import ApiOptions, import_blocks
from hybrid_gateway.scaffold.model_shapes import ModelShape
from hybrid_gateway.scaffold.sample_values import SampleValue, body_of, is_content_type, maker_name, row_fields, sample


class _Makers(msgspec.Struct):
    """Functions that make rows, those of the models that these need first."""

    sources: dict[str, str] = {}
    impossible: dict[str, str] = {}  # maker -> the column that nobody knows a value for
    models: list[type[Model]] = []

    def add(self, model: type[Model], pending: tuple[str, ...] = ()) -> bool:
        """Add the function for a model, and say whether there can be one."""
        name = maker_name(model)
        if name in self.sources:
            return True
        if name in self.impossible or name in pending:
            self.impossible.setdefault(name, "a circle of rows")
            return False
        values: dict[str, SampleValue] = {}
        for field in row_fields(model):
            found = sample(field)
            needs = found.needs if found is not None else None
            is_type = needs is not None and is_content_type(needs)
            if found is None or not (needs is None or is_type or self.add(needs, (*pending, name))):
                self.impossible[name] = field.name
                return False
            if needs is not None and is_type:
                self.use(needs)
            values[field.name] = found
        self.use(model)
        self.sources[name] = self._source(model, values)
        return True

    def use(self, model: type[Model]) -> None:
        """Import a model."""
        if model not in self.models:
            self.models.append(model)

    def _source(self, model: type[Model], values: dict[str, SampleValue]) -> str:
        name = alias_of(model, self.models)
        entries = "".join(f'        "{key}": {value.row},\n' for key, value in values.items())
        defaults = (
            f"    defaults: dict[str, Any] = {{\n{entries}    }}\n"
            if entries
            else "    defaults: dict[str, Any] = {}\n"
        )
        manager = "objects" if hasattr(model, "objects") else "_default_manager"
        if hasattr(model, "add_root"):
            added = f"{name}.add_root(**{{**defaults, **values}})"
        else:
            added = f"{name}.{manager}.create(**{{**defaults, **values}})"
        return (
            f"def make_{maker_name(model)}(**values: Any) -> {name}:\n"
            f'    """Add a row; what is not given is as good as anything."""\n{defaults}    return {added}'
        )


def alias_of(model: type[Model], others: Sequence[type[Model]]) -> str:
    """Return the name that a model is imported by: with its app, where two have the same."""
    if sum(other.__name__ == model.__name__ for other in {*others, model}) > 1:
        return "".join(part.title() for part in model._meta.app_label.split("_")) + model.__name__
    return model.__name__


def api_test_source(
    app: str, shapes: Sequence[ModelShape], options: ApiOptions, failed: Mapping[str, Collection[str]]
) -> tuple[str, list[str]]:
    """Return the module of tests, and what they do not try, and why.

    ``failed`` names the tests of a model that do not pass, because its rows need what cannot be seen in its columns.
    """
    makers, notes = _Makers(), []
    user = get_user_model() if apps.is_installed("django.contrib.auth") else None
    has_user = user is not None and makers.add(user)
    classes = []
    for shape in shapes:
        lost = set(failed.get(shape.name, ()))
        with_rows = (has_user or user is None) and lost <= {"test_create"} and makers.add(shape.model)
        if not with_rows:
            column = makers.impossible.get(maker_name(shape.model))
            column = column or (makers.impossible.get(maker_name(user)) if user is not None else None)
            why = f"no value for {column!r} is known" if column else "it asks for more than its columns say"
            notes.append(f"{shape.name}: the tests make no rows, since {why}. Write a function that makes one.")
        elif lost:
            notes.append(f"{shape.name}: no test creates a row, since it asks for more than its columns say.")
        of_staff = user if has_user else None
        classes.append(_class(shape, app, options, of_staff, with_rows=with_rows, creates=not lost))
    rows = "\n\n\n".join(makers.sources.values())
    body = f"{rows}\n\n\n" * bool(rows) + "\n\n\n".join(classes) + "\n"
    body = "numbers = count(1)\n\n\n" + body if "next(numbers)" in body else f"\n{body}"
    return f'"""Tests of the typed API of {app}."""\n\n{_imports(makers, shapes, body)}\n{body}', notes


def _imports(makers: _Makers, shapes: Sequence[ModelShape], body: str) -> str:
    standard = ["import datetime as dt"] * ("dt." in body) + ["from itertools import count"] * ("next(numbers)" in body)
    standard += ["from typing import Any"] * bool(re.search(r"\bAny\b", body)) + ["from uuid import uuid4"] * (
        "uuid4()" in body
    )
    used = [model for model in makers.models if re.search(rf"\b{alias_of(model, makers.models)}\b", body)]
    names = ((model, alias_of(model, makers.models)) for model in used)
    blocks = [standard, *import_blocks(names, ["from hybrid_gateway.test import TestCase"])]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _class(
    shape: ModelShape, namespace: str, options: ApiOptions, user: type[Model] | None, *, with_rows: bool, creates: bool
) -> str:
    name = f"{namespace}:{shape.model._meta.model_name}"
    tests = [_SETUP.format(**_setup(shape, user, with_rows=with_rows))] if user is not None or with_rows else []
    is_closed = not options.is_public or "accounts have" in shape.why_read_only
    if user is not None or not is_closed:
        tests.append(_LIST.format(name=name, rows=int(with_rows)))
    if with_rows and not isinstance(shape.model._meta.pk, CompositePrimaryKey):
        unseen = "".join(f'\n        self.assertNotIn("{column}", response.json())' for column in shape.hidden)
        tests.append(_DETAIL.format(name=name, hidden=unseen))
        if not shape.why_read_only:
            tests += _writing(shape, name, creates=creates)
    if is_closed:
        tests.append(_ANONYMOUS.format(name=name))
    return f'class Test{shape.name}(TestCase):\n    """{shape.name}, through the API."""\n\n' + "\n\n".join(tests)


def _setup(shape: ModelShape, user: type[Model] | None, *, with_rows: bool) -> dict[str, str]:
    lines = []
    if with_rows:
        lines.append(f"self.row = make_{maker_name(shape.model)}()")
    if user is not None:
        names = {field.name for field in user._meta.get_fields()}
        flags = [f"{flag}=True" for flag in ("is_active", "is_staff", "is_superuser") if flag in names]
        lines.append(f"self.user = make_{maker_name(user)}({', '.join(flags)})")
        lines.append("self.client.force_authenticate(self.user)")
    return {"lines": "".join(f"        {line}\n" for line in lines).rstrip()}


def _writing(shape: ModelShape, name: str, *, creates: bool) -> list[str]:
    body = body_of(shape)
    key = shape.model._meta.pk.name
    changed = {column: value for column, value in (body or {}).items() if column != key}
    concrete = shape.model._meta.concrete_fields
    columns = [field for field in concrete if isinstance(field, ForeignKey) and field.name in shape.from_user]
    own = [_OWNER.format(column=column.name, key=column.target_field.attname) for column in columns]
    text = _CREATE.format(name=name, body=_literal(body or {})) + "".join(own)
    if own and body is not None:
        text += "\n\n" + _OTHER.format(name=name, body=_literal({**body, columns[0].name: '"1"'}))
    tests = [] if body is None or not creates else [text]
    return [
        *tests,
        _CHANGE.format(name=name, body=_literal(changed)),
        _DELETE.format(name=name),
        _FORBIDDEN.format(name=name, user=maker_name(get_user_model())),
    ]


def _literal(body: Mapping[str, str]) -> str:
    entries = "".join(f'            "{key}": {value},\n' for key, value in body.items())
    return f"{{\n{entries}        }}" if entries else "{}"


_SETUP = """    def setUp(self) -> None:
{lines}"""
_LIST = """    def test_list(self) -> None:
        response = self.client.get(self.reverse_url("{name}_list"))
        self.assertEqual(response.status_code, 200)
        self.assertGreaterEqual(response.json()["total"], {rows})"""
_DETAIL = """    def test_detail(self) -> None:
        url = self.reverse_url("{name}_detail", pk=self.row.pk)
        response = self.client.get(url)
        self.assertEqual(response.status_code, 200){hidden}"""
_ANONYMOUS = """    def test_nobody_reads_without_credentials(self) -> None:
        self.client.force_authenticate(None)
        response = self.client.get(self.reverse_url("{name}_list"))
        self.assertEqual(response.status_code, 401)"""
_CREATE = """    def test_create(self) -> None:
        body = {body}
        url = self.reverse_url("{name}_list")
        response = self.client.post(url, json=body)
        self.assertEqual(response.status_code, 201, response.text)"""
_OWNER = """
        self.assertEqual(str(response.json()["{column}"]), str(self.user.{key}))"""
_OTHER = """    def test_nobody_writes_as_somebody_else(self) -> None:
        body = {body}
        response = self.client.post(self.reverse_url("{name}_list"), json=body)
        self.assertEqual(response.status_code, 422)"""
_CHANGE = """    def test_change(self) -> None:
        body: dict[str, Any] = {body}
        url = self.reverse_url("{name}_detail", pk=self.row.pk)
        response = self.client.patch(url, json=body)
        self.assertEqual(response.status_code, 200, response.text)"""
_DELETE = """    def test_delete(self) -> None:
        url = self.reverse_url("{name}_detail", pk=self.row.pk)
        self.assertEqual(self.client.delete(url).status_code, 204)
        self.assertEqual(self.client.get(url).status_code, 404)"""
_FORBIDDEN = """    def test_nobody_writes_without_permission(self) -> None:
        self.client.force_authenticate(make_{user}())
        url = self.reverse_url("{name}_detail", pk=self.row.pk)
        self.assertEqual(self.client.delete(url).status_code, 403)"""
