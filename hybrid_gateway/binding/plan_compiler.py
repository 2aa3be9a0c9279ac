"""Plan → source → function. The source is readable, given by ``route.source``, and shown in tracebacks."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hybrid_gateway.binding.plan import Plan, Step
from hybrid_gateway.codegen import define
from hybrid_gateway.exceptions import RequestValidationError

__all__ = ["compile_plan"]

_VARIABLE = re.compile(r"\bv\d+\b")
_CHECK = Step(target=None, code="if errors: refuse(errors)")


def compile_plan(
    plan: Plan,
    title: str,
    max_body_size: int,
    extra: tuple[str, ...] = (),
    *,
    fail: Callable[..., Awaitable[Any]] | None = None,
    leave: Callable[..., Awaitable[Any]] | None = None,
) -> tuple[Callable[..., Coroutine[Any, Any, Any]], str]:
    """The coroutine function ``endpoint(ctx, *extra)`` that runs ``plan``, and its source.

    ``fail(ctx, error)`` makes an answer of what is raised; ``leave(ctx, answer)`` is awaited where the plan entered
    something. Without them errors are raised, and the caller leaves.
    """
    steps = _in_order(plan, max_body_size)
    leaves = leave is not None and (plan.enters or plan.visits)
    body = ["errors = []"] if any("errors" in step.code for step in steps) else []
    body += _emit(steps, plan.result, "result =" if leaves else "return")
    if fail is not None:
        body = ["try:", *_indent(body), "except BaseException as error:", "    return await fail(ctx, error)"]
    if leaves:
        if not plan.enters:  # PERF: a scheme may ask for a visit, and most requests make no use of it
            body.append("if ctx.visit is None or ctx.visit.is_idle: return result")
        body.append("return await leave(ctx, result)")
    lines = [f"async def endpoint({', '.join(('ctx', *extra))}):", *_indent(body)]
    source = "\n".join(lines) + "\n"
    names = {**plan.names, "refuse": _refuse, "fail": fail, "leave": leave}
    return define("endpoint", source, names, title), source


def _indent(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


def _refuse(errors: list[dict[str, Any]]) -> None:
    raise RequestValidationError(errors)


def _in_order(plan: Plan, max_body_size: int) -> list[Step]:
    steps = [*plan.open_readers]
    if any("errors" in step.code for step in plan.open_readers):
        steps.append(_CHECK)
    steps += plan.open_steps
    steps += plan.finish_readers
    if plan.body_readers:
        steps += [Step(target="body", code=plan.read_body.format(limit=max_body_size), mode="loop"), *plan.body_readers]
    if any("errors" in step.code for step in (*plan.finish_readers, *plan.body_readers)):
        steps.append(_CHECK)
    return steps + plan.finish_steps


def _emit(steps: list[Step], result: Step, give: str) -> list[str]:
    """One line per step; neighbours that block become one function, which is one hop to the request's thread."""
    lines: list[str] = []
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
            lines += _emit_unit(unit, everything[position - len(later) :], lines)
            lines += [_assign(inline) for inline in later]
            unit, later = [], []
            if step is result:
                lines.append(f"{give} {step.code}")
            else:
                lines.append(_assign(step))
    if unit:
        lines += _emit_last_unit(unit, lines, give)
    return lines


def _assign(step: Step) -> str:
    return f"{step.target} = {step.code}" if step.target is not None else step.code


def _emit_unit(unit: list[Step], after: list[Step], lines: list[str]) -> list[str]:
    if not unit:
        return []
    name = _unit_name(lines)
    body = _indent([_assign(step) for step in unit])
    wanted = {variable for step in after for variable in _VARIABLE.findall(step.code)}
    kept = [step.target for step in unit if step.target in wanted]
    if not kept:
        return [f"def {name}():", *body, f"await ctx.thread.run({name})"]
    values = ", ".join(str(variable) for variable in kept)
    return [f"def {name}():", *body, f"    return {values}", f"{values} = await ctx.thread.run({name})"]


def _emit_last_unit(unit: list[Step], lines: list[str], give: str) -> list[str]:
    *before, last = unit
    name = _unit_name(lines)
    body = _indent([*(_assign(step) for step in before), f"return {last.code}"])
    return [f"def {name}():", *body, f"{give} await ctx.thread.run({name})"]


def _unit_name(lines: list[str]) -> str:
    return f"unit_{sum(1 for line in lines if line.startswith('def ')) + 1}"
