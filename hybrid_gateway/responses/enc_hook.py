"""The ``enc_hook`` of msgspec: plain values for what it does not know by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath

from django.db.models import Model, QuerySet
from django.utils.functional import Promise

from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.type_info import is_pydantic_model

EncHook = Callable[[object], object]
TypeEncoders = Mapping[type, Callable[..., object]]
"""``type_encoders`` of a layer: class → function that makes plain values of its instances."""


def enc_hook(value: object) -> object:
    """Return a plain value for lazy translations, subclasses of plain types, rows of a queryset, pydantic's models.

    Raises ``TypeError`` for what cannot be encoded.
    """
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None and is_pydantic_model(type(value)):
        return dump(mode="json", by_alias=True)
    if isinstance(value, Model):
        raise TypeError(
            f"A model instance of {type(value).__qualname__} cannot be sent as it is: make a Struct of the fields that "
            "clients may see."
        )
    raise TypeError(f"An object of type {type(value).__qualname__} cannot be encoded.")


def enc_hook_with(encoders: TypeEncoders) -> EncHook:
    """Return a hook that asks ``encoders`` first, by the classes of a value's MRO."""

    def convert(value: object) -> object:
        for kind in type(value).__mro__:
            if kind in encoders:
                return encoders[kind](value)
        return enc_hook(value)

    return convert


_CONVERSIONS: tuple[tuple[type | tuple[type, ...], Callable[..., object]], ...] = (
    (str, str.__str__),  # Django's SafeString, http.Host, ...
    (Promise, str),
    (int, int),
    (float, float),
    (bytes, bytes),
    (QuerySet, list),
    (Mapping, dict),
    ((SecretString, SecretBytes, PurePath), str),
)
