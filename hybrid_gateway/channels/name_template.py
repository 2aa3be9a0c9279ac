"""Names of channels: ``room:{room_id}`` and values → ``room:1``, without two meanings of one name.

SECURITY: values come from clients. Whatever stands in a template between its parameters is percent-encoded in a value,
so that no value reaches the channel of another.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

import msgspec

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.routing.path_template import CONVERTERS, Converter, converter_for_type

MAX_LENGTH = 200  # of a name; back ends have limits of their own, 63 bytes to 64 KiB, and hash what is longer

_PARAMETER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_is_static = re.compile(r"[A-Za-z0-9_:./~@-]*").fullmatch
_is_name = re.compile(r"[A-Za-z0-9_:./~@%-]+").fullmatch
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_RESERVED = frozenset({"on_commit", "since", "gaps", "user", "queue"})
_Part = str | tuple[str, Converter | None]


class NameTemplate(msgspec.Struct, frozen=True):
    """A parsed template of names; a parameter without a converter takes text, numbers, dates and UUIDs."""

    text: str
    parts: tuple[_Part, ...]
    unsafe: re.Pattern[str]
    """The characters that are encoded in values."""
    made: re.Pattern[str]
    """The names that the template makes."""

    @classmethod
    def parse(cls, text: str) -> NameTemplate:
        """Read a template; raise :class:`ConfigurationError` for one that makes no sense."""
        parts: list[_Part] = []
        position = 0
        for match in _PARAMETER.finditer(text):
            parts += [text[position : match.start()], _read_parameter(match[1], match[2], text)]
            position = match.end()
        parts.append(text[position:])
        static = [part for part in parts if isinstance(part, str)]
        names = [part[0] for part in parts if not isinstance(part, str)]
        if not text or not all(map(_is_static, static)):
            raise ConfigurationError(
                f"Channel({text!r}): a name is letters, digits and any of _:./~@-, and parameters such as {{room_id}}.",
                id="K007",
            )
        if len(set(names)) < len(names):
            raise ConfigurationError(f"Channel({text!r}) names a parameter twice.", id="K007")
        for between in static[1:-1]:
            if _WORD.issuperset(between):
                raise ConfigurationError(
                    f"Channel({text!r}): put one of :./~@- between two parameters, or their values could run together.",
                    id="K007",
                )
        safe = "".join(letter for letter in "~.-" if not any(letter in part for part in static))
        made = "".join(re.escape(part) if isinstance(part, str) else f"[A-Za-z0-9_%{safe}]+" for part in parts)
        return cls(text, tuple(part for part in parts if part), re.compile(f"[^A-Za-z0-9_{safe}]"), re.compile(made))

    @staticmethod
    def is_name(text: str) -> bool:
        """Return whether any template could make this name."""
        return 0 < len(text) <= MAX_LENGTH and _is_name(text) is not None

    def makes(self, name: str) -> bool:
        """Return whether this is a name of the template."""
        return self.made.fullmatch(name) is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(part[0] for part in self.parts if not isinstance(part, str))

    def fill(self, values: Mapping[str, object]) -> str:
        """Return the name for ``values``; raise ``TypeError`` where they are not those that the template names."""
        try:
            name = "".join(
                [part if isinstance(part, str) else self._write(*part, values[part[0]]) for part in self.parts]
            )
        except KeyError as missing:
            raise TypeError(f"Channel({self.text!r}) misses {missing.args[0]!r}.") from None
        surplus = values.keys() - set(self.names)
        if surplus:
            raise TypeError(f"Channel({self.text!r}) has no {', '.join(map(repr, sorted(surplus)))}.")
        if len(name) > MAX_LENGTH:
            raise TypeError(f"Channel({self.text!r}): {name[:50]!r}… is longer than {MAX_LENGTH} characters.")
        return name

    def _write(self, name: str, converter: Converter | None, value: object) -> str:
        used = converter or converter_for_type(type(value))  # that of text for a type without one
        if isinstance(value, bool) or not isinstance(value, used.type):
            kinds = converter.name if converter is not None else "text, a number, a date or a UUID"
            raise TypeError(f"Channel({self.text!r}): {name}={value!r} is not {kinds}.")
        written = used.to_string(value)
        if used.convert(written) is None:
            raise TypeError(f"Channel({self.text!r}): {name}={value!r} makes no name.")
        return self.unsafe.sub(_encode, written)


def _encode(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _read_parameter(name: str, converter: str | None, text: str) -> tuple[str, Converter | None]:
    if not name.isidentifier():
        raise ConfigurationError(f"Channel({text!r}): {name!r} is not a Python identifier.", id="K007")
    if name in _RESERVED:
        raise ConfigurationError(
            f"Channel({text!r}): {name!r} is an argument of a channel's methods already.", id="K007"
        )
    if converter is None:
        return name, None
    if converter not in CONVERTERS or converter == "path":
        known = ", ".join(name for name in CONVERTERS if name != "path")
        raise ConfigurationError(
            f"Channel({text!r}): {name!r} has an unknown converter {converter!r}. Known: {known}.", id="K007"
        )
    return name, CONVERTERS[converter]
