"""A plan: the steps of one route in the order in which they run, as data."""

from __future__ import annotations

from typing import Any

import msgspec

from hybrid_gateway.binding.components import Mode
from hybrid_gateway.binding.signature import NO_DEFAULT

__all__ = ["Input", "Plan", "Step"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the compiled endpoint: ``target = code``, on the loop, on the request's thread, or anywhere."""

    target: str | None
    code: str
    mode: Mode = "inline"
    waits: bool = True  # on the loop, for code of the project


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter or body as the documentation shows it."""

    source: str  # "path", "query", "header", "cookie", "body", "form"
    name: str
    type: Any
    required: bool
    default: Any = NO_DEFAULT
    marker: Any = None
    media_type: str = ""
    closed: bool = False  # of a form that has no other fields


class Plan(msgspec.Struct, kw_only=True):
    """The steps of a route, in the order in which they run, and the objects their code names."""

    open_readers: list[Step] = msgspec.field(default_factory=list)
    open_steps: list[Step] = msgspec.field(default_factory=list)
    finish_readers: list[Step] = msgspec.field(default_factory=list)
    read_body: str = "await ctx.read_body({limit})"  # the code that gives the body its value
    body_readers: list[Step] = msgspec.field(default_factory=list)
    finish_steps: list[Step] = msgspec.field(default_factory=list)
    result: Step = Step(target=None, code="None")
    names: dict[str, Any] = msgspec.field(default_factory=dict)
    inputs: list[Input] = msgspec.field(default_factory=list)
    authenticates: bool = False
    requires_user: bool = False
    sees_request: bool = False  # as a whole: nobody knows which of its headers and cookies matter
    sees_response: bool = False  # before there is one: what is said of it goes into the answer
    visits: bool = False  # something of it asks for what Django knows of a visit
    reads_cookies: bool = False  # of that visit: its session among them
    enters: bool = False  # something that must be left with the request

    @property
    def awaits(self) -> bool:
        """Whether any of the project's own code in the plan is async."""
        return any(step.mode == "loop" and step.waits for step in (*self.open_steps, *self.finish_steps, self.result))
