"""Fields of a form whose text is JSON: an object, or a list of objects, as OpenAPI has them sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec

from hybrid_gateway.binding.decimals import decimal_check
from hybrid_gateway.binding.decoders import DecodeHook, check_decodable, why_not
from hybrid_gateway.binding.validation import REFUSALS, collect_errors
from hybrid_gateway.exceptions import DependencyError, ErrorEntry, Location, error_entry
from hybrid_gateway.type_info import TypeInfo

__all__ = ["JSONField", "is_array"]


class JSONField:
    """Converts one text, or several that are the items of a list, to a value."""

    def __init__(self, kind: object, hook: DecodeHook, knows: Callable[[object], bool], where: str) -> None:
        self._kind = kind
        self._hook = hook
        self._check_decimals = decimal_check(kind)
        try:
            check_decodable(kind, knows)
            self._decode = msgspec.json.Decoder(kind, dec_hook=hook).decode
        except (TypeError, ValueError, DependencyError) as error:
            raise DependencyError(f"{where} cannot be read as JSON: {why_not(kind, error)}.") from error

    def read(self, texts: str | list[str], location: Location, errors: list[ErrorEntry]) -> object:
        """Return the value of what came, or add errors."""
        if isinstance(texts, str):
            text = texts
        elif len(texts) == 1 and texts[0].lstrip().startswith("["):
            [text] = texts
        else:
            text = f"[{','.join(texts)}]"
        try:
            value = self._decode(text)
        except (*REFUSALS, msgspec.DecodeError, RecursionError):
            errors += self._faults(text, location)
            return None
        if self._check_decimals is not None:
            self._check_decimals(value, location, errors)
        return value

    def _faults(self, text: str, location: Location) -> list[ErrorEntry]:
        try:
            return collect_errors(msgspec.json.decode(text), self._kind, location, hook=self._hook)
        except msgspec.DecodeError as error:
            words = str(error).removeprefix("JSON is malformed: ")
        except RecursionError:
            words = "it is nested too deeply"
        return [error_entry(location, f"The JSON is malformed: {words}")]


def is_array(info: TypeInfo) -> bool:
    """Return whether the type is a container of items, perhaps optional."""
    cls = info.origin
    return isinstance(cls, type) and issubclass(cls, Collection) and not issubclass(cls, (str, bytes, Mapping))
