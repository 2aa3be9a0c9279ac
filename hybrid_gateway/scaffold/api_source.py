"""The source of an app's ``api.py``: Structs and ``crud`` for each model."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from django.contrib.auth import get_user_model
from django.db.models import Model

from hybrid_gateway.scaffold.model_shapes import IMPORTS, ModelShape, ShapedField

WIDTH = 88  # ruff's and black's default


class ApiOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The choices that hold for all models: whether everybody reads, and how callers are known."""

    is_public: bool = False
    schemes: Sequence[str] = ("SessionAuthentication",)  # empty where the settings say it


def api_source(app: str, shapes: Sequence[ModelShape], options: ApiOptions) -> str:
    """Return the module."""
    classes = "\n\n\n".join("\n\n\n".join(_classes(shape)) for shape in shapes)
    views = "\n\n".join(_given(shape, shapes) + _view(shape, options) for shape in shapes)
    listed = "".join(f"    {view_name(shape)},\n" for shape in shapes)
    schemes = ", ".join(f"{scheme}()" for scheme in options.schemes)
    authentication = f"AUTHENTICATION = [{schemes}]\n\n" if schemes else ""
    body = f"{classes}\n\n\n{authentication}{views}\n\nroutes = [\n{listed}]\n"
    return f'"""The typed API of {app}."""\n\n{_imports(shapes, body)}\n\n\n{body}'


def view_name(shape: ModelShape) -> str:
    """Return the name of a model's routes: ``order_items``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", shape.name).lower() + "_routes"


def _imports(shapes: Sequence[ModelShape], body: str) -> str:
    standard = [line for pattern, line in IMPORTS if re.search(pattern, body)]
    typing_names = [name for name in ("Annotated", "Any") if re.search(rf"\b{name}\b", body)]
    if typing_names:
        standard.append(f"from typing import {', '.join(typing_names)}")
    third = ["import msgspec"] if "msgspec." in body else []
    if "UNSET" in body:
        third.append("from msgspec import UNSET, UnsetType")
    auth = [name for name in _AUTH if re.search(rf"\b{name}\b", body)]
    if auth:
        third.append(f"from hybrid_gateway.auth import {', '.join(auth)}")
    orm = ["Column"] if "Column(" in body else []
    third.append(f"from hybrid_gateway.orm import {', '.join([*orm, 'ModelStruct', 'PageNumber', 'crud'])}")
    models = {shape.model: shape.name for shape in shapes}
    if any(map(_sets_user, shapes)):
        models[get_user_model()] = _user_name(shapes)
    own = import_blocks(models.items(), third)
    blocks = [sorted(standard, key=lambda line: (line.startswith("from"), line)), *own]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def import_blocks(models: Iterable[tuple[type[Model], str]], others: Iterable[str]) -> list[list[str]]:
    """Return the imports of installed packages, ``others`` and models of them, and those of the project's models."""
    modules: dict[str, list[str]] = {}
    for model, name in models:
        alias = f" as {name}" if name != model.__name__ else ""
        modules.setdefault(model.__module__, []).append(model.__name__ + alias)
    third, own = list(others), list[str]()
    for module, names in sorted(modules.items()):
        file = getattr(sys.modules[module], "__file__", None) or ""
        line = f"from {module} import {', '.join(sorted(names))}"
        (third if "site-packages" in Path(file).parts else own).append(line)
    third.sort(key=lambda line: (line.startswith("from"), line.split()[1]))
    return [[wrap_import(line) for line in third], [wrap_import(line) for line in own]]


_AUTH = ("HasPermission", "IsAuthenticated", "IsStaff", "SessionAuthentication", "TokenAuthentication")


def wrap_import(line: str) -> str:
    if len(line) <= WIDTH:
        return line
    start, _, names = line.partition(" import ")
    return f"{start} import (\n" + "".join(f"    {name},\n" for name in names.split(", ")) + ")"


def _classes(shape: ModelShape) -> Iterable[str]:
    hidden = f" Never shown: {', '.join(shape.hidden)}." if shape.hidden else ""
    yield _class(f"{shape.name}Out", shape, "as clients see it", shape.out, hidden)
    if not shape.why_read_only:
        ordered = [field for field in shape.taken if not field.default] + [f for f in shape.taken if f.default]
        yield _class(f"{shape.name}In", shape, "as clients send it", ordered)
        yield (
            _class_head(f"{shape.name}Patch", f"{shape.name}In, partial=True, forbid_unknown_fields=True")
            + '\n    """The fields that are to change."""'
        )


def _class(name: str, shape: ModelShape, what: str, fields: Sequence[ShapedField], more: str = "") -> str:
    with_unset = [
        msgspec.structs.replace(field, annotation=f"{field.annotation} | UnsetType")
        if field.default == "UNSET"
        else field
        for field in fields
    ]
    lines = "".join(f"    {field.source}\n" for field in with_unset) or "    pass\n"
    strict = ", forbid_unknown_fields=True" if name.endswith("In") else ""
    title = f"    # Not shown: {', '.join(shape.hidden)}\n" if more else ""
    head = _class_head(name, f"ModelStruct, model={shape.name}{strict}")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", shape.name).capitalize()
    return f'{head}\n    """{words}, {what}."""\n\n{title}{lines.rstrip()}'


def _class_head(name: str, arguments: str) -> str:
    line = f"class {name}({arguments}):"
    return line if len(line) <= WIDTH else f"class {name}(\n    {arguments}\n):"


def _view(shape: ModelShape, options: ApiOptions) -> str:
    is_of_staff = "accounts have" in shape.why_read_only
    lines = [f"out={shape.name}Out"]
    if not shape.why_read_only:
        lines += [f"create={shape.name}In", f"update={shape.name}Patch"]
        lines += [f"given={_given_name(shape)}"] * _sets_user(shape)
    else:
        lines.append("deletes=False")
    lines += [f'path="/{shape.slug}"', f'name="{shape.model._meta.model_name}"', "pagination=PageNumber()"]
    if options.schemes and not (options.is_public and shape.why_read_only and not is_of_staff):
        lines.append("authentication=AUTHENTICATION")
    if is_of_staff:
        lines.append("guards=[IsStaff]")
    elif not options.is_public:
        lines.append("guards=[IsAuthenticated]")
    if not shape.why_read_only:
        permissions = "".join(f'            "{permission}",\n' for permission in shape.permissions)
        lines.append(f"write_guards=[\n        HasPermission(\n{permissions}        )\n    ]")
    reason = "" if shape.why_read_only in ("", "asked for") else _comment(f"Read only: {shape.why_read_only}.")
    return (
        f"{reason}{view_name(shape)} = crud(\n    {shape.name},\n" + "".join(f"    {line},\n" for line in lines) + ")"
    )


def _sets_user(shape: ModelShape) -> bool:
    return bool(shape.from_user) and not shape.why_read_only


def _user_name(shapes: Sequence[ModelShape]) -> str:
    """Return the name that the model of users is imported by, another one where a model of the app has that."""
    user = get_user_model()
    is_taken = any(shape.name == user.__name__ and shape.model is not user for shape in shapes)
    return f"Auth{user.__name__}" if is_taken else user.__name__


def _given(shape: ModelShape, shapes: Sequence[ModelShape]) -> str:
    """Return the function for the columns of a new row that say whose it is."""
    if not _sets_user(shape):
        return ""
    user = _user_name(shapes)
    columns = ", ".join(f'"{name}": user' for name in shape.from_user)
    why = f"{' and '.join(shape.from_user)}: who is logged in, and not whom a client names; changes leave it as it is."
    return (
        f"{_comment(why)}def {_given_name(shape)}(user: {user}) -> dict[str, {user}]:\n    return {{{columns}}}\n\n\n"
    )


def _given_name(shape: ModelShape) -> str:
    return f"given_to_{view_name(shape).removesuffix('_routes')}"


def _comment(text: str) -> str:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + len(word) > 86:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return "\n".join([*lines, line]) + "\n"
