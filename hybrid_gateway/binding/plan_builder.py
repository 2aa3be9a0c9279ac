"""A plan in the making: its steps, the variables they fill, and the objects they name."""

from __future__ import annotations

from typing import Any

import msgspec

from hybrid_gateway.binding.plan import Input, Plan, Step
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter

__all__ = ["Chain", "PlanBuilder", "Phase", "hashable", "format_type", "format_chain"]

Chain = tuple[str, ...]
"""Who needs a value, from the route inwards: how errors tell where they come from."""


class Phase(msgspec.Struct, frozen=True):
    """Where a value's steps go."""

    readers: list[Step]
    steps: list[Step]
    is_open: bool


class PlanBuilder:
    """What everybody who plans a route writes to. A value asked for twice is one variable, known by a key."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.variables: dict[Any, str] = {}
        self.open = Phase(self.plan.open_readers, self.plan.open_steps, True)
        self.finish = Phase(self.plan.finish_readers, self.plan.finish_steps, False)
        self._count = 0

    def document(
        self,
        source: str,
        name: str,
        parameter: Parameter | None,
        kind: Any,
        required: bool = True,
        media_type: str = "",
        marker: Any = None,
        default: Any = NO_DEFAULT,
        closed: bool = False,
    ) -> None:
        """Note an input for the OpenAPI document."""
        default = parameter.default if parameter is not None else default
        self.plan.inputs.append(
            Input(
                source=source,
                name=name,
                type=kind,
                required=required if parameter is None else parameter.required,
                default=default,
                marker=parameter.marker if parameter is not None else marker,
                media_type=media_type,
                closed=closed,
            )
        )

    def new(self) -> str:
        """A variable."""
        self._count += 1
        return f"v{self._count}"

    def name(self, role: str, value: Any) -> str:
        """What the code calls ``value``."""
        for name, known in self.plan.names.items():
            if known is value and name.startswith(role):
                return name
        name = f"{role}_{sum(1 for known in self.plan.names if known.startswith(role + '_'))}"
        self.plan.names[name] = value
        return name

    def inline(self, key: Any, code: str, half: Phase) -> str:
        """The variable of what ``code`` reads without waiting."""
        if key not in self.variables:
            self.variables[key] = self.new()
            half.readers.append(Step(target=self.variables[key], code=code))
        return self.variables[key]


def hashable(kind: Any) -> Any:
    """Itself, or its text where it cannot be a key."""
    try:
        hash(kind)
    except TypeError:
        return repr(kind)
    return kind


def format_type(kind: Any) -> str:
    """A type as errors write it."""
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def format_chain(chain: Chain) -> str:
    """The chain as errors write it."""
    return " → ".join(chain)
