"""Plan → source → function. The source is readable, given by ``route.source``, and shown in tracebacks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from types import CoroutineType
from typing import Any, NamedTuple

from hybrid_gateway.binding.plan import Code, Plan, Step
from hybrid_gateway.codegen import Names, define, define_all
from hybrid_gateway.exceptions import ErrorEntry, RequestValidationError

_CHECK = Step(call=Code("if errors: reject(errors)"))

Respond = Callable[..., Coroutine[object, None, Any]]
RespondNow = Callable[..., Any]


def compile_plan(plan: Plan, title: str, extra: tuple[str, ...] = ()) -> tuple[Respond, str]:
    """Return the coroutine function ``endpoint(ctx, *extra)`` that runs ``plan``, and its source.

    Errors are raised, and the caller closes what was entered.
    """
    body = _body(plan, give="return")
    source = _function("async def endpoint", ("ctx", *extra), body)
    return define("endpoint", source, {**plan.names, "reject": reject}, title), source


class CompiledRoute(NamedTuple):
    """The functions that a route is; ``respond_now`` is None where a request may have to wait."""

    respond: Respond
    respond_now: RespondNow | None
    source: str


def compile_route(
    plan: Plan, title: str, on_error: Respond, answer_later: Respond, finish: Respond, finish_now: RespondNow
) -> CompiledRoute:
    """Return the functions ``(ctx)`` that run the plan of a route.

    ``on_error(ctx, error)`` makes a response of what is raised, ``answer_later`` the same when that is handled already;
    ``finish(ctx, response)`` is awaited where the plan entered something; where those are only hooks that never wait,
    ``finish_now`` returns the response, or what to await for it.
    """
    names = {**plan.names, "reject": reject, "on_error": on_error, "answer_later": answer_later, "stopped": stopped}
    names |= {"finish": finish, "finish_now": finish_now, "coroutine": CoroutineType}
    source, takes_body = "", bool(plan.body_readers)
    if not plan.may_wait:
        give = "result =" if plan.observes else "return"
        stops = ("except StopIteration as error:", "    return answer_later(ctx, stopped(error))")
        body = _body(plan, give=give, now=True)
        body = _caught(body, "return answer_later(ctx, error)", () if plan.result.now is None else stops)
        if plan.observes:
            body.append("return finish_now(ctx, result)")
        source = _function("def endpoint_now", ("ctx",), body)
    if source and not takes_body:
        body = ["result = endpoint_now(ctx)", "return await result if type(result) is coroutine else result"]
    else:
        finishes = plan.enters or plan.visits or plan.observes
        body = _caught(_body(plan, give="result =" if finishes else "return"), "return await on_error(ctx, error)")
        if finishes:
            if not (
                plan.enters or plan.observes
            ):  # PERF: a scheme may ask for a visit, and most requests make no use of it
                body.append("if ctx.visit is None or ctx.visit.is_idle: return result")
            if plan.observes and not plan.enters:
                body.append("result = finish_now(ctx, result)")
                body.append("return await result if type(result) is coroutine else result")
            else:
                body.append("return await finish(ctx, result)")
    source += _function("async def endpoint", ("ctx",), body)
    defined = define_all(source, names, title)
    return CompiledRoute(defined["endpoint"], defined.get("endpoint_now"), source)


def _function(head: str, parameters: Sequence[str], body: Sequence[str]) -> str:
    return "\n".join([f"{head}({', '.join(parameters)}):", *_indent(body)]) + "\n"


def _caught(body: Sequence[str], answer: str, first: Sequence[str] = ()) -> list[str]:
    return ["try:", *_indent(body), *first, "except BaseException as error:", f"    {answer}"]


def stopped(error: StopIteration) -> RuntimeError:
    """Return what a coroutine raises in the place of ``error``; from Python 3.12 on its code does so by itself."""
    raised = RuntimeError("coroutine raised StopIteration").with_traceback(error.__traceback__)
    raised.__cause__ = error
    return raised


def _body(plan: Plan, *, give: str, now: bool = False) -> list[str]:
    """Return the lines that run ``plan``, and ``give`` its result; ``now`` those that never wait."""
    steps = _in_order(plan)
    begin = ["errors = []"] if any(step.can_fail for step in steps) else []
    return begin + _emit(steps, plan, give, now=now)


def _indent(lines: Sequence[str]) -> list[str]:
    return ["    " + line for line in lines]


def reject(errors: Sequence[ErrorEntry]) -> None:
    """Raise 422 with what readers have complained of."""
    raise RequestValidationError(errors)


def _in_order(plan: Plan) -> list[Step]:
    """Return the steps before the result; errors are raised before guards run, and before the handler's components."""
    body = [] if plan.read_body is None or not plan.body_readers else [plan.read_body, *plan.body_readers]
    return [
        *_checked(plan.open.readers),
        *plan.open.steps,
        *_checked([*plan.finish.readers, *body]),
        *plan.finish.steps,
    ]


def _checked(readers: list[Step]) -> list[Step]:
    return [*readers, _CHECK] if any(step.can_fail for step in readers) else readers


def _emit(steps: list[Step], plan: Plan, give: str, *, now: bool) -> list[str]:
    """Return one line per step; neighbours that block become one function, which is one hop to the request's thread."""
    result, lines = plan.result.at_once, list[str]()
    if now:
        return [*(_assign(step.at_once) for step in steps), f"{give} {result.text}"]
    unit: list[Step] = []  # steps of the hop being gathered
    later: list[Step] = []  # inline steps after it, which join it if another blocking step follows
    everything = [*steps, result]
    for position, step in enumerate(everything):
        if step.mode == "thread":
            unit += [*later, step]
            later = []
        elif step.mode == "inline" and unit and step is not result:
            later.append(step)
        else:
            lines += _emit_unit(unit, everything[position - len(later) :], plan.taken)
            lines += map(_assign, later)
            unit, later = [], []
            lines.append(f"{give} {step.text}" if step is result else _assign(step))
    if unit:
        name = plan.taken.unique("unit")
        body = _indent([*map(_assign, unit[:-1]), f"return {unit[-1].text}"])
        lines += [f"def {name}():", *body, f"{give} await ctx.thread.run({name})"]
    return lines


def _assign(step: Step) -> str:
    return f"{step.target} = {step.text}" if step.target is not None else step.text


def _emit_unit(unit: list[Step], after: list[Step], taken: Names) -> list[str]:
    if not unit:
        return []
    name = taken.unique("unit")
    body = _indent([*map(_assign, unit)])
    wanted = frozenset().union(*(step.uses for step in after))
    kept = [step.target for step in unit if step.target is not None and step.target in wanted]
    if not kept:
        return [f"def {name}():", *body, f"await ctx.thread.run({name})"]
    values = ", ".join(kept)
    return [f"def {name}():", *body, f"    return {values}", f"{values} = await ctx.thread.run({name})"]
