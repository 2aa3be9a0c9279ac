"""A plan in the making: its steps, the variables they fill, and the objects they name."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hybrid_gateway.binding.plan import Code, Input, Phase, Plan, Step

__all__ = ["Chain", "PlanBuilder", "format_chain", "format_type", "hashable"]

Chain = tuple[str, ...]
"""Who needs a value, from the route inwards: how errors tell where they come from."""


class PlanBuilder:
    """The plan that all planners of one route write to. A value asked for twice is one variable, known by a key."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.variables: dict[object, Code] = {}
        self._known: dict[tuple[str, int], str] = {}  # names of objects, by what they are for

    def variable(self, wanted: str) -> str:
        """Return the name of a new variable, which is the ``wanted`` one unless that is taken."""
        return self.plan.taken.unique(wanted)

    def name(self, role: str, value: object) -> str:
        """Return what the code calls ``value``: its ``role``."""
        key = role, id(value)
        if key not in self._known:
            self._known[key] = self.plan.taken.unique(role)
            self.plan.names[self._known[key]] = value
        return self._known[key]

    def function(self, role: str, function: Callable[..., object]) -> str:
        """Return what the code calls a function of the project: its own name, or its ``role`` where it has none."""
        own = getattr(function, "__qualname__", type(function).__qualname__).rpartition("<locals>.")[2]
        own = own.replace(".", "_")
        return self.name(own if own.isidentifier() else role, function)

    def once(self, key: object, wanted: str, steps: list[Step], make: Callable[[], Step]) -> Code:
        """Return the variable known by ``key``, which the step that ``make`` returns fills when it is first wanted."""
        if key not in self.variables:
            self.variables[key] = self.assign(wanted, steps, make())
        return self.variables[key]

    def assign(self, wanted: str, steps: list[Step], step: Step) -> Code:
        """Add a step that fills a new variable, and return that."""
        target = self.variable(wanted)
        steps.append(msgspec.structs.replace(step, target=target))
        return Code(target, frozenset((target,)))

    def read(self, key: object, wanted: str, phase: Phase, call: Code, *, can_fail: bool = False) -> Code:
        """Return the variable of what ``call`` reads without waiting; it is known by ``key``."""
        return self.once(key, wanted, phase.readers, lambda: Step(call=call, can_fail=can_fail))

    def document(self, entry: Input) -> None:
        """Note an input for the OpenAPI document."""
        self.plan.inputs.append(entry)


def hashable(kind: object) -> object:
    """Return ``kind``, or its text where it cannot be a key."""
    try:
        hash(kind)
    except TypeError:
        return repr(kind)
    return kind


def format_type(kind: object) -> str:
    """Return a type as errors write it."""
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def format_chain(chain: Chain) -> str:
    """Return a chain as errors write it."""
    return " → ".join(chain)
