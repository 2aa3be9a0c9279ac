"""A plan: the steps of one route in the order in which they run, as data; and what planners build it with."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hybrid_gateway.binding.components import Mode
from hybrid_gateway.binding.markers import Marker
from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, StructField
from hybrid_gateway.codegen import Names


class Code(msgspec.Struct, frozen=True):
    """An expression of generated code, and the variables that it reads."""

    text: str
    uses: frozenset[str] = frozenset()


NOTHING = Code("")


def code(template: str, *parts: Code | str) -> Code:
    """Return an expression with ``parts`` in the places of ``{}``: expressions, and text without variables."""
    texts = [part if isinstance(part, str) else part.text for part in parts]
    uses = [part.uses for part in parts if isinstance(part, Code)]
    return Code(template.format(*texts), frozenset().union(*uses))


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the compiled endpoint: ``target = before call after``, the call awaited where it runs on the loop."""

    call: Code
    target: str | None = None
    mode: Mode = "inline"  # on the loop, on the request's thread, or anywhere
    before: Code = NOTHING
    after: Code = NOTHING
    awaits: bool = True  # on the loop, for code of the project
    can_fail: bool = False  # it may append to `errors`
    now: Code | None = None  # on the loop: `call` where nothing may wait

    @property
    def uses(self) -> frozenset[str]:
        return self.before.uses | self.call.uses | self.after.uses

    @property
    def text(self) -> str:
        awaited = "await " if self.mode == "loop" else ""
        return f"{self.before.text}{awaited}{self.call.text}{self.after.text}"

    @property
    def at_once(self) -> Step:
        """The step where nothing may wait."""
        return self if self.now is None else msgspec.structs.replace(self, call=self.now, mode="inline")

    def wrapped(self, function: str) -> Step:
        """Return the step with what it gives passed to ``function(ctx, ...)``."""
        before, after = code(f"{function}(ctx, {{}}", self.before), code("{})", self.after)
        return msgspec.structs.replace(self, before=before, after=after)


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter or body as the documentation shows it."""

    source: str  # of SOURCES
    name: str
    type: object
    required: bool
    default: object = NO_DEFAULT
    marker: Marker | None = None
    media_type: str = ""
    closed: bool = False  # of a form that has no other fields

    @property
    def varies_by(self) -> str | None:
        """The request header that a response varies by when the value is read; None where the URL says it all."""
        varies_by = SOURCES[self.source].varies_by
        return None if varies_by is None else varies_by(self.name)

    @property
    def is_private(self) -> bool:
        """True where the value tells one client from another."""
        return SOURCES[self.source].is_private(self.name)


class Phase(msgspec.Struct, frozen=True):
    """The steps before anything of the request is read but its head, or those after."""

    is_open: bool
    readers: list[Step] = msgspec.field(default_factory=list)
    steps: list[Step] = msgspec.field(default_factory=list)


_RESERVED = (
    *("ctx", "errors", "body", "result", "error", "response", "hook"),  # parameters and variables of the endpoint
    *("endpoint", "endpoint_now", "reject", "fail", "leave", "answer_later", "coroutine", "returned", "stopped"),
    *("zip", "type", "BaseException", "StopIteration"),
)


class Plan(msgspec.Struct, kw_only=True):
    """The steps of a route, in the order in which they run, and the objects their code names."""

    open: Phase = msgspec.field(default_factory=lambda: Phase(True))
    finish: Phase = msgspec.field(default_factory=lambda: Phase(False))
    read_body: Step | None = None  # after the readers of `finish`
    body_readers: list[Step] = msgspec.field(default_factory=list)  # after that
    result: Step = Step(call=Code("None"))
    taken: Names = msgspec.field(default_factory=lambda: Names(_RESERVED))  # what the code has names for
    names: dict[str, object] = msgspec.field(default_factory=dict)
    inputs: list[Input] = msgspec.field(default_factory=list)
    authenticates: bool = False
    requires_user: bool = False
    sees_request: bool = False  # as a whole: nobody knows which of its headers and cookies matter
    sees_response: bool = False  # before there is one: what is said of it goes into the response
    takes_tasks: bool = False  # for what is done once the response is sent
    varies_by: dict[str, None] = msgspec.field(default_factory=dict)  # further headers that may be read, in order
    visits: bool = False  # something of it asks for what Django knows of a visit
    reads_cookies: bool = False  # of that visit: its session among them
    enters: bool = False  # something that must be left with the request
    observes: bool = False  # hooks that see its end, and never wait

    @property
    def awaits(self) -> bool:
        """True where any of the project's own code in the plan is async."""
        steps = (*self.open.steps, *self.finish.steps, self.result)
        return any(step.mode == "loop" and step.awaits for step in steps)

    @property
    def may_wait(self) -> bool:
        """True where a request may have to wait for a thread, for the project's own code, or for its end."""
        steps = [*self.open.steps, *self.finish.steps, self.result]
        if self.body_readers and self.read_body is not None:
            steps.append(self.read_body)
        return self.enters or self.visits or any(step.mode != "inline" and step.now is None for step in steps)

    @property
    def reads(self) -> bool:
        """True where anything of a request is read."""
        readers = (*self.open.readers, *self.finish.readers, *self.body_readers)
        return bool(self.inputs or self.authenticates or self.takes_tasks or readers)


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

    def call(self, role: str, function: Callable[..., object], arguments: str = "ctx") -> Code:
        """Return the call of a function of ours, by its ``role``."""
        return Code(f"{self.name(role, function)}({arguments})")

    def function(self, role: str, function: Callable[..., object]) -> str:
        """Return what the code calls a function of the project: its own name, or its ``role`` where it has none."""
        own = getattr(function, "__qualname__", type(function).__qualname__).rpartition("<locals>.")[2]
        own = own.replace(".", "_")
        return self.name(own if own.isidentifier() else role, function)

    def once(self, key: object, wanted: str, steps: list[Step], step: Step) -> Code:
        """Return the variable known by ``key``, which ``step`` fills when it is first wanted."""
        if key not in self.variables:
            self.variables[key] = self.assign(wanted, steps, step)
        return self.variables[key]

    def assign(self, wanted: str, steps: list[Step], step: Step) -> Code:
        """Add a step that fills a new variable, and return that."""
        target = self.variable(wanted)
        steps.append(msgspec.structs.replace(step, target=target))
        return Code(target, frozenset((target,)))

    def read(self, key: object, wanted: str, phase: Phase, call: Code, *, can_fail: bool = False) -> Code:
        """Return the variable of what ``call`` reads without waiting; it is known by ``key``."""
        return self.once(key, wanted, phase.readers, Step(call=call, can_fail=can_fail))

    def document(
        self,
        parameter: Parameter | StructField,
        source: str,
        name: str,
        kind: object,
        marker: object = None,
        media_type: str = "",
        closed: bool = False,
    ) -> None:
        """Note a parameter, or a field of one that is a Struct, for the OpenAPI document."""
        entry = Input(
            source=source,
            name=name,
            type=kind,
            required=parameter.required,
            default=parameter.default,
            marker=marker if isinstance(marker, Marker) else None,
            media_type=media_type,
            closed=closed,
        )
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
