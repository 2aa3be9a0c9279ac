"""Values of classes that msgspec does not know: a project's own decoders, secrets, pydantic's models."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import msgspec

from hybrid_gateway.binding.constraints import holds_bounds, reason
from hybrid_gateway.binding.signature import NO_DEFAULT, read_signature
from hybrid_gateway.exceptions import ConfigurationError, DependencyError, ErrorEntry, Location, error_entry
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.type_info import PydanticModel, classes_in, field_types, has_fields, is_pydantic_model, type_info
from hybrid_gateway.types import Handler

DecodeHook = Callable[[type, object], object]
"""msgspec's ``dec_hook(class, value)``."""


class Decoders:
    """The ``type_decoders`` of a layer, as msgspec's hook. A value is first converted to what a decoder asks for.

    Raises :class:`ConfigurationError` for a class that msgspec reads by itself, whose decoder would never be called.
    """

    def __init__(self, decoders: Mapping[type, Handler]) -> None:
        for kind in decoders:
            check_custom(kind, "type_decoders")
        self._decoders = {}
        for kind, decode in decoders.items():
            signature = None if isinstance(decode, type) else read_signature(decode, f"the decoder {decode!r}")
            wanted = signature.parameters[0].type if signature is not None and signature.parameters else NO_DEFAULT
            self._decoders[kind] = decode, Any if wanted is NO_DEFAULT else wanted

    def __call__(self, kind: type, value: object) -> object:
        cls: type = typing.get_origin(kind) or kind
        if isinstance(value, cls):
            return value
        for known in cls.__mro__:
            if known in self._decoders:
                decode, wanted = self._decoders[known]
                return decode(msgspec.convert(value, wanted, strict=False))
        return decode_known(kind, value)

    def knows(self, kind: object) -> bool:
        """Return whether text becomes a value of this type here."""
        cls = type_info(kind).inner
        return isinstance(cls, type) and any(known in self._decoders or known in _SECRETS for known in cls.__mro__)


def check_decodable(kind: object, knows: Callable[[object], bool], *also: type) -> None:
    """Raise :class:`DependencyError` for a class inside ``kind`` that nobody makes of JSON, and of which no JSON is."""
    if holds_bounds(kind):
        raise DependencyError(
            "bounds of a Decimal hold for text alone; in a body a Struct checks them in __post_init__", id="P015"
        )
    for cls, _ in classes_in(kind):
        if has_fields(cls) or cls.__module__ == "typing" or any(issubclass(plain, cls) for plain in _JSON):
            continue
        known = (
            issubclass(cls, (Enum, PurePath, msgspec.UnsetType, *_SECRETS, *also))
            or is_pydantic_model(cls)
            or knows(cls)
        )
        if not known and isinstance(msgspec.inspect.type_info(cls), msgspec.inspect.CustomType):
            raise DependencyError(
                f"nobody makes {cls.__name__} of JSON. Give a function for it, type_decoders={{{cls.__name__}: ...}}, "
                "on the route or a layer, or annotate a Struct",
                id="P019",
            )


def why_not(kind: object, error: Exception) -> str:
    """Return what msgspec complains of when it is to read ``kind``, with the field that it means."""
    for cls, exact in classes_in(kind):
        for name, hint in field_types(exact).items() if has_fields(cls) else ():
            if any(has_fields(inner) for inner, _ in classes_in(hint)):
                continue
            try:
                msgspec.json.Decoder(hint)
            except (TypeError, ValueError) as complaint:
                return f"of the field {name!r} of {cls.__name__}, {reason(complaint)}"
    return reason(error)


_JSON = (dict, list, str, int, float, bool, type(None))


def check_custom(kind: object, option: str) -> None:
    """Reject a class that msgspec converts by itself."""
    if not isinstance(kind, type):
        raise ConfigurationError(f"{option} holds {kind!r}, which is no class.", id="P018")
    if not isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType):
        raise ConfigurationError(
            f"{option}: msgspec converts {kind.__qualname__} by itself, so the function would never be called. Give "
            "the values a class of their own.",
            id="P018",
        )


def decode_known(kind: type, value: object) -> object:
    """Decode what needs no decoder of the project: models of pydantic, secrets, paths of files."""
    cls: type = typing.get_origin(kind) or kind
    if isinstance(value, cls):
        return value
    if cls in _SECRETS:
        return cls(msgspec.convert(value, _SECRETS[cls]))
    if is_pydantic_model(cls):
        return cls.model_validate(value)
    if issubclass(cls, PurePath) and isinstance(value, str):
        return cls(value)
    raise TypeError(f"Expected `{cls.__name__}`, got `{type(value).__name__}`")


_SECRETS: dict[type, type] = {SecretString: str, SecretBytes: bytes}


_KINDS = {"missing": "missing", "type": "type_error"}  # by the last word of pydantic's


def pydantic_errors(value: object, model: type[PydanticModel], location: Location) -> list[ErrorEntry]:
    """Return every fault that ``model`` finds in ``value``."""
    try:
        model.model_validate(value)
    except ValueError as error:
        return pydantic_entries(error, location) or [error_entry(location, str(error))]
    return []


def pydantic_entries(error: Exception, location: Location) -> list[ErrorEntry] | None:
    """Return the faults that an exception of pydantic's lists; ``None`` where it is none of those."""
    list_faults: Callable[..., Any] | None = getattr(error, "errors", None)  # we do not import its class
    if not callable(list_faults):
        return None
    faults = list_faults(include_url=False, include_context=False, include_input=False)
    kinds = [_KINDS.get(fault["type"].rpartition("_")[2], "value_error") for fault in faults]
    return [
        error_entry((*location, *fault["loc"]), fault["msg"], kind) for fault, kind in zip(faults, kinds, strict=True)
    ]
