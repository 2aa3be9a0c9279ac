"""Serializers → ``ModelStruct`` classes: what clients see of a row, and what they may send.

How this works: an instance of the serializer is asked for its fields, so ``fields = "__all__"``, ``exclude``, ``depth``
and what is inherited or added by ``get_fields`` are what they are. A class of columns alone is tried first;
in a second one the serializer is asked for the fields that are none. One that shows rows in a way of its own
(``to_representation``) is :class:`UnmovedError`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from rest_framework import serializers

from hybrid_gateway.migration.drf.module_parts import Parts
from hybrid_gateway.migration.drf.path_templates import PathTemplates
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError
from hybrid_gateway.migration.drf.shown_fields import Serializer, ShownFields, ShownStruct
from hybrid_gateway.migration.form import ClassForm, camel
from hybrid_gateway.migration.source_place import place_of


class SerializerReader:
    """Writes a class for every serializer that it is asked for, once."""

    def __init__(self, parts: Parts, paths: PathTemplates) -> None:
        self._parts = parts
        self._paths = paths
        self._written: dict[tuple[object, ...], ShownStruct | UnmovedError] = {}

    def shown(self, serializer: Serializer, hint: str) -> ShownStruct:
        """Return the class of what a serializer shows; raise :class:`UnmovedError` for what no class can.

        Fields that are not of columns are asked of the serializer, and named in ``needs``.
        """
        try:
            return self._once(serializer, hint, asks=False)
        except UnmovedError:
            return self._once(serializer, hint, asks=True)

    def _once(self, serializer: Serializer, hint: str, *, asks: bool) -> ShownStruct:
        name = hint if type(serializer).__name__ == "NestedSerializer" else ""
        key = (type(serializer), name, asks, *serializer.fields)
        if key not in self._written:
            try:
                self._written[key] = self._write(serializer, hint, asks=asks)
            except UnmovedError as error:
                self._written[key] = error
        found = self._written[key]
        if isinstance(found, UnmovedError):
            raise found
        return found

    def _write(self, serializer: Serializer, hint: str, *, asks: bool) -> ShownStruct:
        cls, base = type(serializer), serializers.ModelSerializer
        model = getattr(getattr(cls, "Meta", None), "model", None)
        if not isinstance(serializer, base) or model is None:
            raise UnmovedError(f"{cls.__name__} is no ModelSerializer.", place_of(cls))
        if cls.to_representation is not serializers.Serializer.to_representation:
            raise UnmovedError(f"{cls.__name__}.to_representation is its own.", place_of(cls, "to_representation"))
        _need_fixed_fields(cls)
        label = camel(re.sub("Serializer$", "", cls.__name__))
        name = self._parts.names.define(
            f"{hint if cls.__name__ == 'NestedSerializer' else label}Out", camel(model._meta.app_label)
        )
        form = ClassForm(name, [self._parts.names.use("hybrid_gateway.orm", "ModelStruct")])
        form.keywords["model"] = self._parts.names.use_object(model, camel(model._meta.app_label))
        fields = ShownFields(self._parts, self._paths, partial(self._once, asks=False), model, form, cls)
        add = fields.add_or_ask if asks else fields.add
        try:
            for field_name, entry in serializer.fields.items():
                if not entry.write_only:
                    add(field_name, entry)
        except UnmovedError:
            self._parts.names.forget(name)
            raise
        if any(entry.default is not None for entry in form.fields):
            form.keywords["kw_only"] = "True"
        self._parts.move.structs.append(form)
        return ShownStruct(name, fields.differences, fields.needs)


def _need_fixed_fields(cls: Any) -> None:
    """Raise :class:`UnmovedError` for a serializer whose fields depend on who asks."""
    for base in cls.__mro__:
        if base.__module__.split(".")[0] in ("rest_framework", "builtins"):
            continue
        for name in ("__init__", "__new__", "data", "fields", "_readable_fields", "get_fields", "get_field_names"):
            found = vars(base).get(name)
            if found is None:
                continue
            code = getattr(found, "__code__", None)
            if code is None or {"context", "_context", "request", "user"} & {*code.co_names, *code.co_consts}:
                raise UnmovedError(f"{cls.__name__}.{name} may choose fields by who asks.", place_of(cls, name))
