"""Views that write → the classes of what clients send."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any, TypeAlias

from django.db import models
from msgspec import Struct, field
from rest_framework import relations, serializers

from hybrid_gateway.migration.drf.access import Access, need_no_row_permissions, user_class
from hybrid_gateway.migration.drf.endpoints import Endpoint
from hybrid_gateway.migration.drf.method_columns import column_at
from hybrid_gateway.migration.drf.module_parts import Parts
from hybrid_gateway.migration.drf.read_views import ReadRoute, ReadViews
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError, column_type, key_type
from hybrid_gateway.migration.drf.stock import need_stock
from hybrid_gateway.migration.form import ClassForm, Difference, FieldForm, FunctionForm, camel
from hybrid_gateway.migration.source_place import place_of

Serializer: TypeAlias = Any
"""An instance of a serializer; the package has no types."""

_DIFFERENCES = [
    Difference("status 400→422", "what is invalid"),
    Difference("status 400→409", "what contradicts another row"),
]


class WriteRoute(Struct):
    """A route that writes, as a ``ModelViewSet`` has it."""

    guards: list[str]
    struct: str = ""
    given: FunctionForm | None = None
    differences: list[Difference] = field(default_factory=lambda: list(_DIFFERENCES))


class WriteViews:
    """Reads the endpoints that write."""

    def __init__(self, parts: Parts, reads: ReadViews, access: Access) -> None:
        self._parts = parts
        self._reads = reads
        self._access = access
        self._written: dict[tuple[object, bool], str] = {}

    def read(self, endpoint: Endpoint, kind: str, shown: ReadRoute) -> WriteRoute:
        """Return an endpoint as a route; raise :class:`UnmovedError` where code of the project has a say in it."""
        view, cls = endpoint.instance(), endpoint.view
        need_stock(cls, kind, *(["update"] if kind == "partial_update" else []), "get_serializer", "filter_queryset")
        if kind != "create":
            need_stock(cls, "get_object")
            need_no_row_permissions(view)
        guards, needs_user = self._access.guards(view, endpoint.method)
        if self._access.needs:
            raise UnmovedError(f"{', '.join(self._access.needs)} is asked before it is written.", place_of(cls))
        route = WriteRoute(guards)
        if kind == "destroy":
            need_stock(cls, "perform_destroy")
            route.differences = []
            return route
        given = None if kind != "create" else _given(self._parts, cls)
        if given is None:
            need_stock(cls, "perform_create" if kind == "create" else "perform_update")
        elif not needs_user:
            raise UnmovedError("perform_create gives a user, and nobody need be one.", place_of(cls, "perform_create"))
        serializer, model = self._reads.serializer(view)
        if model is not shown.model:
            raise UnmovedError("It writes rows of another model than it shows.", place_of(cls))
        route.struct = self._struct(serializer, model, partial=kind == "partial_update")
        route.given = given
        if type(serializer).__name__.removesuffix("Serializer") != shown.struct.removesuffix("Out"):
            route.differences.append(Difference("answer", f"shows {shown.struct}, as GET does"))
        return route

    def _struct(self, serializer: Serializer, model: Any, *, partial: bool) -> str:
        key = (type(serializer), partial)
        if key not in self._written:
            self._written[key] = self._write(serializer, model, partial=partial)
        return self._written[key]

    def _write(self, serializer: Serializer, model: Any, *, partial: bool) -> str:
        cls, use = type(serializer), self._parts.names.use
        _need_stock_serializer(cls)
        label = camel(re.sub("Serializer$", "", cls.__name__))
        fields = [
            self._field(cls, model, name, entry) for name, entry in serializer.fields.items() if not entry.read_only
        ]
        if not fields:
            raise UnmovedError(f"{cls.__name__} takes nothing.", place_of(cls))
        if partial and (cls, False) in self._written:
            form = ClassForm(
                self._parts.names.define(f"{label}Patch"), [self._written[cls, False]], {"partial": "True"}
            )
        else:
            name = self._parts.names.define(f"{label}{'Patch' if partial else 'In'}", camel(model._meta.app_label))
            keywords = {"model": self._parts.names.use_object(model, camel(model._meta.app_label))}
            form = ClassForm(
                name, [use("hybrid_gateway.orm", "ModelStruct")], keywords | ({"partial": "True"} if partial else {})
            )
            form.fields = fields
            if any(entry.default is not None for entry in fields[:-1]):
                form.keywords["kw_only"] = "True"
        self._parts.move.structs.append(form)
        return form.name

    def _field(self, cls: type, model: Any, name: str, entry: Any) -> FieldForm:
        where, place = f"{cls.__name__}.{name}", place_of(cls)
        stock = (serializers.Field.validate_empty_values, serializers.Field.run_validation)
        if entry.source != name or isinstance(entry, (serializers.BaseSerializer, serializers.HiddenField)):
            raise UnmovedError(f"`{where}` is written elsewhere than in a column of that name.", place)
        if type(entry).__module__.split(".")[0] != "rest_framework" or type(entry).run_validation not in (
            *stock,
            type(entry).run_validation,
        ):
            raise UnmovedError(f"`{where}` is a {type(entry).__name__}.", place_of(type(entry)))
        if isinstance(entry, (relations.SlugRelatedField, relations.HyperlinkedRelatedField)):
            raise UnmovedError(f"`{where}` is written by something else than a key.", place)
        if isinstance(entry, relations.ManyRelatedField):
            target = model._meta.get_field(name).related_model._meta.pk
            default = None if entry.required else f"{self._parts.names.use('msgspec', 'field')}(default_factory=list)"
            return FieldForm(name, f"list[{key_type(self._parts, target)}]", default)
        found = column_at(model, [name]) or column_at(model, [name, "pk"])
        if found is None:
            raise UnmovedError(f"`{where}` is no column.", place)
        column = model._meta.get_field(name)
        kind = key_type(self._parts, column) if column.is_relation else column_type(self._parts, column)
        if isinstance(column, models.FileField):
            raise UnmovedError(f"`{where}` takes a file.", place)
        default = _default(column, entry)
        optional = (column.null or default == "None") and kind != "object"
        return FieldForm(name, f"{kind}{' | None' * optional}", default)


def _default(column: Any, entry: Any) -> str | None:
    """Return the default of a field that clients may leave out."""
    if entry.required:
        return None
    default = column.default if column.has_default() else None
    if (
        isinstance(default, (bool, int, str))
        and not isinstance(default, (type(None),))
        and type(default) in (bool, int, str)
    ):
        return repr(default).replace("'", '"')
    blank = column.blank and column.empty_strings_allowed and not column.has_default() and not column.null
    return '""' if blank else "None"  # which is the model's own default of a column without NULL


def _need_stock_serializer(cls: Any) -> None:
    """Raise :class:`UnmovedError` for a serializer that has a say in what is written."""
    base = serializers.ModelSerializer
    for name in ("create", "update", "save", "validate", "run_validation", "to_internal_value", "is_valid"):
        if getattr(cls, name) is not getattr(base, name):
            raise UnmovedError(f"{cls.__name__}.{name} is its own.", place_of(cls, name))
    own = next((name for name in dir(cls) if re.match(r"validate_(?!empty_values)", name)), None)
    if own is not None:
        raise UnmovedError(f"{cls.__name__}.{own} is its own.", place_of(cls, own))
    if getattr(cls.Meta, "validators", None):
        raise UnmovedError(f"{cls.__name__}.Meta has validators.", place_of(cls))


def _given(parts: Parts, cls: Any) -> FunctionForm | None:
    """Return ``given`` for a ``perform_create`` that is ``serializer.save(owner=self.request.user)``."""
    try:
        tree: Any = ast.parse(textwrap.dedent(inspect.getsource(cls.perform_create))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    if len(body) != 1:
        return None
    match = re.fullmatch(
        r"serializer\.save\((\w+=self\.request\.user(?:, \w+=self\.request\.user)*)\)", ast.unparse(body[0])
    )
    if match is None:
        return None
    user = user_class(parts)
    names = [entry.split("=")[0] for entry in match[1].split(", ")]
    return FunctionForm(
        "given",
        ["self", f"user: {user}"],
        f"dict[str, {user}]",
        [f"return {{{', '.join(f'{chr(34)}{name}{chr(34)}: user' for name in names)}}}"],
    )
