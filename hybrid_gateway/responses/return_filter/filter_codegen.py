"""Rules as generated functions, which tell of most values in no time that they fit.

How this works: the source of one function per class is written, by the rule's parts, and compiled once per route. It
says yes to instances of the very classes that are annotated; where it says no, :meth:`Rule.narrow` has its say. What
was read from the database into a ``ModelStruct`` is taken at its word, as far as nothing in it is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

from hybrid_gateway.codegen import define
from hybrid_gateway.responses.return_filter.filter_rules import AnyOf, DictOf, Fields, ListOf, OptionalOf, Rule

__all__ = ["compile_fits"]


def compile_fits(rule: Rule) -> Callable[[object], bool]:
    """Return the function that tells whether a value fits ``rule``."""
    if isinstance(rule, ListOf) and _is_told_by_class(rule.item):  # most lists. PERF: at start-up
        are_all, others = frozenset((rule.item.kind,)).issuperset, rule.fits
        return lambda value: are_all(map(type, value)) if type(value) is list else others(value)
    if _is_told_by_class(rule):
        return rule.fits
    writer = _Writer()
    root = writer.function(rule)
    return define(root, "\n".join(writer.functions), writer.names, "the filter of a return annotation")


def _is_told_by_class(rule: Rule) -> TypeGuard[Fields]:
    """Return whether an instance of the very class has nothing that is not annotated."""
    if not isinstance(rule, Fields) or rule.needs_search:
        return False
    return rule.is_flat or (rule.is_row and not rule.hides_within)


class _Writer:
    """Writes one function for each rule that is called, by name, so that classes may hold themselves."""

    def __init__(self) -> None:
        self.names: dict[str, object] = {}
        self.functions: list[str] = []
        self._known: dict[int, str] = {}

    def function(self, rule: Rule) -> str:
        """Return the name of the function that tells whether its argument fits."""
        if id(rule) not in self._known:
            name = self._known[id(rule)] = f"fits_{len(self._known)}"
            lines = self._fields(rule) if isinstance(rule, Fields) else [f"return {self.expression(rule, 'value')}"]
            self.functions.append("\n    ".join((f"def {name}(value):", *lines, "")))
        return self._known[id(rule)]

    def name(self, value: object) -> str:
        """Return a new name in the source for ``value``."""
        name = f"n{len(self.names)}"
        self.names[name] = value
        return name

    def expression(self, rule: Rule, value: str) -> str:
        """Return the source that tells whether ``value``, a name, fits."""
        if isinstance(rule, Fields):
            if _is_told_by_class(rule):
                return f"type({value}) is {self.name(rule.kind)}"
            return f"{self.function(rule)}({value})"
        if isinstance(rule, OptionalOf):
            inner = self.expression(rule.rule, value)
            return f"({value} is None or {inner} or {self.name(rule.fits)}({value}))"
        if isinstance(rule, (ListOf, DictOf)):
            entries = value if isinstance(rule, ListOf) else f"{value}.values()"
            kind = "list" if isinstance(rule, ListOf) else "dict"
            return f"({self._each(rule.item, entries)} if type({value}) is {kind} else {self.name(rule.fits)}({value}))"
        if isinstance(rule, AnyOf):
            return "(" + " or ".join(self.expression(member, value) for member in rule.members) + ")"
        return f"{self.name(rule.fits)}({value})"

    def _each(self, item: Rule, entries: str) -> str:
        if _is_told_by_class(item):
            return f"{self.name(frozenset((item.kind,)).issuperset)}(map(type, {entries}))"
        return f"all(map({self.function(item)}, {entries}))"

    def _fields(self, rule: Fields) -> list[str]:
        if rule.needs_search:
            return [f"return {self.name(rule.fits)}(value)"]
        lines = [f"if type(value) is not {self.name(rule.kind)}: return False"]
        for place, (field, inner) in enumerate(rule.nested):
            lines += [f"v{place} = value.{field.name}", f"if not {self.expression(inner, f'v{place}')}: return False"]
        return [*lines, "return True"]
