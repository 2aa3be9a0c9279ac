"""Plan → source → function. The source is readable, given by ``route.source``, and shown in tracebacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from hybrid_gateway.binding.plan import Code, Plan, Step
from hybrid_gateway.codegen import Names, define
from hybrid_gateway.exceptions import ErrorEntry, RequestValidationError

_CHECK = Step(call=Code("if errors: reject(errors)"))


def compile_plan(
    plan: Plan,
    title: str,
    extra: tuple[str, ...] = (),
    *,
    on_error: Callable[..., Awaitable[object]] | None = None,
    finish: Callable[..., Awaitable[object]] | None = None,
) -> tuple[Callable[..., Coroutine[object, None, Any]], str]:
    """Return the coroutine function ``endpoint(ctx, *extra)`` that runs ``plan``, and its source.

    ``on_error(ctx, error)`` makes a response of what is raised; ``finish(ctx, response)`` is awaited where the plan
    entered something. Without them errors are raised, and the caller closes what was entered.
    """
    steps = _in_order(plan)
    finishes = finish is not None and (plan.enters or plan.visits)
    body = ["errors = []"] if any(step.can_fail for step in steps) else []
    body += _emit(steps, plan, "result =" if finishes else "return")
    if on_error is not None:
        body = ["try:", *_indent(body), "except BaseException as error:", "    return await on_error(ctx, error)"]
    if finishes:
        if not plan.enters:  # PERF: a scheme may ask for a visit, and most requests make no use of it
            body.append("if ctx.visit is None or ctx.visit.is_idle: return result")
        body.append("return await finish(ctx, result)")
    lines = [f"async def endpoint({', '.join(('ctx', *extra))}):", *_indent(body)]
    source = "\n".join(lines) + "\n"
    names = {**plan.names, "reject": reject, "on_error": on_error, "finish": finish}
    return define("endpoint", source, names, title), source


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


def _emit(steps: list[Step], plan: Plan, give: str) -> list[str]:
    """Return one line per step; neighbours that block become one function, which is one hop to the request's thread."""
    result, lines = plan.result, list[str]()
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
