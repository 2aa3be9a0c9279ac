"""Paths to fields (``"address.street"``, ``"orders.*.secret"``): what a shape keeps, and what goes one way only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.spelling import suggestion

ITEMS = "*"
"""The step to the items of a list or a tuple, and to the values of a dict."""

Path = tuple[str, ...]
Paths = frozenset[Path]

_NOTHING: Paths = frozenset()
OPTIONS = ("include", "exclude", "read_only", "write_only")


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a shape, for the fields of one class and for those inside them."""

    include: Paths = _NOTHING
    exclude: Paths = _NOTHING
    read_only: Paths = _NOTHING
    write_only: Paths = _NOTHING

    def __bool__(self) -> bool:
        return any(paths for _, paths in self.options())

    def options(self) -> Iterable[tuple[str, Paths]]:
        """Return the paths by the names of options."""
        return [(name, getattr(self, name)) for name in OPTIONS]

    def below(self, step: str) -> Selection:
        """Return what is said of what a step leads to."""
        return Selection(
            **{
                name: frozenset(path[1:] for path in paths if path[0] == step and len(path) > 1)
                for name, paths in self.options()
            }
        )

    def only(self, steps: Collection[str]) -> Selection:
        """Return what begins with one of ``steps``."""
        return Selection(
            **{name: frozenset(path for path in paths if path[0] in steps) for name, paths in self.options()}
        )

    def narrowed(self, own: Selection, where: str) -> Selection:
        """Return what a class says whose base says this: it cannot show what that excludes."""
        both = sorted(own.include & self.exclude)
        if both:
            raise ConfigurationError(
                f"{where}: include names {'.'.join(both[0])!r}, which its base excludes.", id="X003"
            )
        found = {name: paths | getattr(own, name) for name, paths in self.options()}
        return Selection(**{**found, "include": own.include or self.include})

    def keeps(self, field: str) -> bool:
        """Return whether a field is left. One with a leading underscore must be included by its name."""
        if self.include:
            return any(path[0] == field for path in self.include) and (field,) not in self.exclude
        return (field,) not in self.exclude and not field.startswith("_")

    def check_names(self, known: Collection[str], where: str, owner: str) -> None:
        """Raise :class:`ConfigurationError` for a path that begins with what ``owner`` has not got."""
        for option, paths in self.options():
            for path in sorted(paths):
                if path[0] not in known:
                    raise ConfigurationError(
                        f"{where}: {option} names {'.'.join(path)!r}, but {owner} has no field {path[0]!r}."
                        f"{suggestion(path[0], known, word='field')}",
                        id="X002",
                    )


def read_selection(options: Mapping[str, object], where: str) -> Selection:
    """Return the selection that options make; raises :class:`ConfigurationError` where they contradict each other."""
    found = {name: _read_paths(name, options.get(name, ()), where) for name in OPTIONS}
    if found["include"] and found["exclude"]:
        raise ConfigurationError(
            f"{where}: include= and exclude= are two ways to say one thing. Write one of them.", id="X003"
        )
    both = sorted(found["read_only"] & found["write_only"])
    if both:
        raise ConfigurationError(
            f"{where}: {'.'.join(both[0])!r} is read_only and write_only: no client would use it.", id="X003"
        )
    return Selection(**found)


def _read_paths(option: str, given: object, where: str) -> Paths:
    is_text = isinstance(given, str)
    if is_text or not isinstance(given, Iterable):
        shown = f'{{"{given}"}}' if is_text else '{"password"}'
        raise ConfigurationError(f"{where}: {option}={given!r} must be a set of names: {option}={shown}.", id="X004")
    found: set[Path] = set()
    for text in given:
        path = tuple(text.split(".")) if isinstance(text, str) else ("",)
        if "" in path:
            raise ConfigurationError(
                f"{where}: {option} has {text!r}. A path is the name of a field, or several with dots: "
                '"address.street", "orders.*.total".',
                id="X004",
            )
        if path[-1] == ITEMS:
            raise ConfigurationError(
                f"{where}: {option} has {text!r}: name the field itself, {text[:-2]!r}.", id="X004"
            )
        found.add(path)
    for path in found:
        outer = next((path[:length] for length in range(1, len(path)) if path[:length] in found), None)
        if outer is not None:
            raise ConfigurationError(
                f"{where}: {option} has {'.'.join(outer)!r}, and {'.'.join(path)!r} inside it. Leave one out.",
                id="X003",
            )
    return frozenset(found)
