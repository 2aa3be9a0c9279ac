"""Functions around the plan of a route: hooks are compiled, and share components and path values with the route."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping

from starlette.responses import Response

from hybrid_gateway.auth.request_credentials import SecretsInQueries
from hybrid_gateway.binding.components import Provider, mode_of
from hybrid_gateway.binding.plan import Code, Step, code, hashable
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.planner import BindingPlanner
from hybrid_gateway.binding.shared_components import Needs, Shared, key_of
from hybrid_gateway.binding.signature import Parameter, known_signature, reject_generator
from hybrid_gateway.binding.typed_values import TASKS
from hybrid_gateway.endpoints.authorization_planner import RoutePlanner
from hybrid_gateway.endpoints.endpoint import answer_early
from hybrid_gateway.endpoints.request_signals import FINISHED_LATE
from hybrid_gateway.exceptions import ConfigurationError, DependencyError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.request.context import Hook, HookRun, RequestContext
from hybrid_gateway.request.request_parts import AFTER_RESPONSE, ERROR_HANDLED, FIRST_HOOK
from hybrid_gateway.responses.encoders import make_encoder
from hybrid_gateway.responses.raw_response import EndpointResponse, vary_as_read
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.spelling import check_attributes_of
from hybrid_gateway.telemetry.observer import Observer, is_observer
from hybrid_gateway.types import Handler

WAY_OUT = ("on_response", "on_error")
_METHODS = ("on_request", *WAY_OUT)


class HookCompiler:
    """Compiles hooks. What several routes have in common is compiled once."""

    def __init__(self, secrets: SecretsInQueries) -> None:
        self._runs: dict[object, tuple[HookRun, bool]] = {}
        self._event_hooks: dict[object, Hook] = {}
        self._beginnings: dict[type[Observer], Callable[..., Observer]] = {}
        self._secrets = secrets

    def enter(self, layers: Layers, planner: RoutePlanner, around: RouteSurroundings) -> list[Hook]:
        """Plan the way in of every hook; return the hooks that the plan enters."""
        entered = []
        last = FIRST_HOOK + len(layers.after_request) + len(layers.event_hooks) - 1
        for position, entry in enumerate(layers.event_hooks):
            hook = self._event_hook(entry, around, last - position)
            entered.append(hook)
            if is_observer(entry):
                if entry not in self._beginnings:
                    self._beginnings[entry] = entry.beginning(self._secrets)
                builder, plan = planner.binding.builder, planner.plan
                plan.observes = True
                begun = builder.call("begin", self._beginnings[entry])
                plan.open.steps.append(Step(call=code("ctx.enter({}, {})", builder.name("hook", hook), begun)))
            else:
                _plan_way_in(planner.binding, hook, entry, getattr(_instance(entry), "on_request", None))
        for function in layers.before_request:
            _plan_before_request(planner.binding, function)
        return entered

    def leave(self, layers: Layers, around: RouteSurroundings) -> tuple[tuple[Hook, ...], tuple[Hook, ...]]:
        """Return the hooks that see every response of a route, and those that run once it is sent, in their order."""
        after_handler = enumerate(reversed(layers.after_request), FIRST_HOOK)
        always = tuple(self._function(function, around, moment) for moment, function in after_handler)
        last = tuple(self._function(function, around, AFTER_RESPONSE) for function in reversed(layers.after_response))
        return always, (*last, FINISHED_LATE) if layers.emit_signals else last

    def _event_hook(self, entry: object, around: RouteSurroundings, moment: int) -> Hook:
        key = (entry, around, moment)
        if key in self._event_hooks:
            return self._event_hooks[key]
        kind = _class_of(entry)
        methods = {name: method_of(entry, name) for name in WAY_OUT if hasattr(kind, name)}
        runs = {
            name: self._run(bound, None, around, moment)
            if isinstance(inspect.getattr_static(kind, name), (staticmethod, classmethod))
            else self._run(getattr(kind, name), entry, around, moment, bound)
            for name, bound in methods.items()
        }
        awaits = any(awaits for _, awaits in runs.values())
        on_response, on_error = (runs[name][0] if name in runs else None for name in WAY_OUT)
        observe = entry.observe if is_observer(entry) else None
        hook = Hook(awaits=awaits, moment=moment, on_response=on_response, on_error=on_error, observe=observe)
        self._event_hooks[key] = hook
        return hook

    def _function(self, function: Handler, around: RouteSurroundings, moment: int) -> Hook:
        run, awaits = self._run(function, None, around, moment)
        return Hook(on_response=run, awaits=awaits, moment=moment)

    def _run(
        self, function: Handler, owner: object, around: RouteSurroundings, moment: int, bound: Handler | None = None
    ) -> tuple[HookRun, bool]:
        """Compile a method of ``owner``, which is ``bound`` to an instance, or a function alone."""
        key = (function, owner, around, moment)
        if key not in self._runs:
            where = f"the hook {describe_handler(function)}"
            planner = around.planner(where, {Exception: "error", Response: "response"}, moment)
            method = function if bound is None else bound
            reject_generator(method, where)
            signature = known_signature(method, where)
            encode = make_encoder(signature.returns, method="GET")
            planner.binding.result(
                function,
                signature,
                mode_of(method),
                lambda value: None if value is None else encode(value),
                receiver="hook" if owner is not None else None,
            )
            run, _ = compile_plan(planner.plan, where, ("hook", "response", "error"))
            self._runs[key] = _varying(run) if planner.plan.varies_by else run, planner.plan.awaits
        return self._runs[key]


def _varying(run: HookRun) -> HookRun:
    """Return a hook whose response says by which headers it varies: those that the hook has read."""

    async def run_and_vary(
        ctx: RequestContext, instance: object, response: Response, error: BaseException | None
    ) -> EndpointResponse:
        replaced = await run(ctx, instance, response, error)
        return vary_as_read(ctx, response if replaced is None else replaced)

    return run_and_vary


def _plan_way_in(planner: BindingPlanner, hook: Hook, owner: object, on_request: Handler | None) -> None:
    """Plan the way in of an event hook (a class, made anew for each request, or an instance), then note it."""
    builder, plan = planner.builder, planner.plan
    plan.enters = True
    instance = Code(builder.name("event_hook", owner))
    if inspect.isclass(owner):
        instance = builder.assign("event_hook", plan.open.steps, Step(call=code("{}()", instance)))
    if on_request is not None:
        where = f"{getattr(on_request, '__qualname__', 'on_request')} of {planner.where}"
        reject_generator(on_request, where)
        seen = plan.sees_request
        arguments = planner.call_early(on_request, (where,), "on_request")
        if not any(map(planner.provider, known_signature(on_request, where).parameters)):
            plan.sees_request = seen  # what a hook has looked at is in no response, unless a component shares it
        plan.open.steps.append(Step(call=code("{}.{}", instance, arguments), mode=mode_of(on_request)))
    plan.open.steps.append(Step(call=code("ctx.enter({}, {})", builder.name("hook", hook), instance)))


def _plan_before_request(planner: BindingPlanner, function: Handler) -> None:
    """Run ``function`` before anything else of the route; what it returns, if not None, is the response."""
    builder, steps = planner.builder, planner.plan.open.steps
    where = f"before_request {getattr(function, '__qualname__', function)} of {planner.where}"
    reject_generator(function, where)
    encode = make_encoder(known_signature(function, where).returns, method="GET")
    call = planner.call_early(function, (where,), builder.function("before_request", function))
    response = builder.assign("early_response", steps, Step(call=call, mode=mode_of(function)))
    names = builder.name("answer_early", answer_early), response, builder.name("encode", encode)
    steps.append(Step(call=code("{}({}, {})", *names)))


def method_of(entry: object, name: str) -> Handler:
    """Return a method of an event hook, of an instance if it is a class."""
    method: Handler = getattr(_instance(entry), name)
    return method


def _class_of(entry: object) -> type:
    """Return the class of an event hook; raise :class:`ConfigurationError` for what is none."""
    kind = entry if inspect.isclass(entry) else type(entry)
    check_attributes_of(kind, _METHODS, methods=True)
    if not any(hasattr(kind, name) for name in _METHODS):
        raise ConfigurationError(
            f"{entry!r} is no event hook: it has none of {', '.join(_METHODS)}. Functions are before_request=, "
            "after_request= and after_response=.",
            id="H008",
            place=place_of(entry),
        )
    return kind


def _instance(entry: object) -> object:
    if not inspect.isclass(entry):
        return entry
    try:
        return entry()
    except TypeError as error:
        raise ConfigurationError(
            f"The event hook {entry.__qualname__} is made without arguments, once per request: {error}",
            id="H008",
            place=place_of(entry),
        ) from error


PlanAround = Callable[["RouteSurroundings", str, Mapping[type, str], int], RoutePlanner]


class RouteSurroundings:
    """Whatever functions around the plans of some routes have in common, so that they are compiled once for all."""

    def __init__(
        self,
        plan: PlanAround,
        layers: Layers,
        path: Mapping[str, object],
        components: Mapping[object, Shared],
        *,
        takes_tasks: bool = False,
    ) -> None:
        self.layers = layers
        self.path = path
        self.components = components
        self.takes_tasks = takes_tasks  # for what is done once the response is sent
        self._plan = plan
        self._makers: dict[object, tuple[Callable[..., Awaitable[object]], bool] | None] = {}

    def planner(self, where: str, given: Mapping[type, str], moment: int) -> RoutePlanner:
        """Return an empty plan for a function that has run at ``moment``."""
        return self._plan(self, where, given, moment)

    def maker(
        self, provider: Provider, parameter: Parameter, chain: tuple[str, ...], given: Mapping[type, str]
    ) -> tuple[Callable[..., Awaitable[object]], bool]:
        """See :data:`hybrid_gateway.binding.shared_components.SharedMaker`."""
        key = key_of(provider, parameter)
        if (key, *given) not in self._makers:
            self._makers[key, *given] = None
            planner = self.planner(chain[0], given, self.components[key].moment)
            planner.binding.component(provider, parameter, chain[:-1])
            run, _ = compile_plan(planner.plan, chain[-1], tuple(given.values()))
            self._makers[key, *given] = run, planner.plan.awaits
        found = self._makers[key, *given]
        if found is None:
            raise DependencyError(f"{' → '.join(chain)}: a component cannot need itself.", id="C002")
        return found


class SurroundingsCompiler:
    """Finds, for each route, what it has in common with others; ``plan`` makes empty plans for functions around it."""

    def __init__(self, plan: PlanAround) -> None:
        self._plan = plan
        self._needs: dict[object, Needs] = {}
        self._found: dict[object, RouteSurroundings] = {}

    def find(self, layers: Layers, path: Mapping[str, object]) -> RouteSurroundings:
        """Return that of a route with these layers; ``path`` are the values in its path and their types."""
        handlers = tuple(layers.exception_handlers.items())
        parameters = tuple((name, hashable(kind)) for name, kind in layers.parameters.items())
        names = tuple((name, id(meaning)) for name, meaning in layers.signature_namespace.items())
        common = layers.components, layers.authentication, parameters, layers.max_body_size, layers.csrf_exempt, names
        hooks = layers.event_hooks, layers.after_request, layers.after_response
        needs = self._needs.get((common, hooks, handlers))
        if needs is None:
            planner = self._plan(RouteSurroundings(self._plan, layers, {}, {}), "a route", {}, AFTER_RESPONSE)
            needs = self._needs[common, hooks, handlers] = planner.needs()
            for function, where, moment in _functions(layers):
                needs.add(known_signature(function, where), moment)
        seen = path if needs.names.intersection(path) else {}
        components = needs.components
        takes_tasks = any(kind in TASKS for kind in needs.types)
        key = (common, tuple(seen.items()), (hooks, handlers) if components else (), takes_tasks)
        if key not in self._found:
            self._found[key] = RouteSurroundings(self._plan, layers, seen, components, takes_tasks=takes_tasks)
        return self._found[key]


def _functions(layers: Layers) -> Iterator[tuple[Handler, str, int]]:
    """Yield the functions on the way out, what each is called in errors, and the moment at which it has run."""
    for handler in layers.exception_handlers.values():
        yield handler, f"the exception handler {describe_handler(handler)}", ERROR_HANDLED
    hooks = [(function, FIRST_HOOK + place) for place, function in enumerate(reversed(layers.after_request))]
    for position, entry in enumerate(reversed(layers.event_hooks), FIRST_HOOK + len(layers.after_request)):
        hooks += [(method_of(entry, name), position) for name in WAY_OUT if hasattr(entry, name)]
    for function, moment in (*hooks, *((function, AFTER_RESPONSE) for function in layers.after_response)):
        yield function, f"the hook {describe_handler(function)}", moment
