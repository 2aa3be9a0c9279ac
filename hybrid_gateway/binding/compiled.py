"""Plan → source → function. The source is readable, printed by ``route.source``, and shown in tracebacks."""

from __future__ import annotations

import linecache
import re
from collections.abc import Awaitable, Callable
from typing import Any

from hybrid_gateway.binding.steps import Plan, Step
from hybrid_gateway.exceptions import RequestValidationError

__all__ = ["compile_plan"]

_VARIABLE = re.compile(r"\bv\d+\b")
_CHECK = Step(target=None, code="check(errors)")


def compile_plan(
    plan: Plan, title: str, max_body_size: int, extra: tuple[str, ...] = ()
) -> tuple[Callable[..., Awaitable[Any]], str]:
    """The coroutine function ``endpoint(call, *extra)`` that runs ``plan``, and its source."""
    steps = _in_order(plan)
    lines = [f"async def endpoint({', '.join(('call', *extra))}):"]
    if any("errors" in step.code for step in steps):
        lines.append("    errors = []")
    lines += ["    " + line for line in _emit(steps, plan.result, max_body_size)]
    source = "\n".join(lines) + "\n"
    names = {**plan.names, "check": _check}
    filename = f"<gateway {title}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), names)  # noqa: S102 (our own text; no user input reaches it)
    return names["endpoint"], source


def _check(errors: list[dict[str, Any]]) -> None:
    if errors:
        raise RequestValidationError(errors)


_BODY = Step(target="body", code="await call.read_body({limit})", mode="loop")


def _in_order(plan: Plan) -> list[Step]:
    steps = [*plan.open_readers]
    if any("errors" in step.code for step in plan.open_readers):
        steps.append(_CHECK)
    steps += plan.open_steps
    steps += plan.finish_readers
    if plan.body_readers:
        steps += [_BODY, *plan.body_readers]
    if any("errors" in step.code for step in (*plan.finish_readers, *plan.body_readers)):
        steps.append(_CHECK)
    return steps + plan.finish_steps


def _emit(steps: list[Step], result: Step, max_body_size: int) -> list[str]:
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
            lines += _emit_unit(unit, everything[position - len(later) :], result, lines)
            lines += [_assign(inline) for inline in later]
            unit, later = [], []
            lines.append(_assign(step, result).format(limit=max_body_size) if step is _BODY else _assign(step, result))
    if unit:
        lines += _emit_unit(unit, [], result, lines)
    return lines


def _assign(step: Step, result: Step | None = None) -> str:
    if step is result:
        return f"return {step.code}"
    return f"{step.target} = {step.code}" if step.target is not None else step.code


def _emit_unit(unit: list[Step], after: list[Step], result: Step, lines: list[str]) -> list[str]:
    if not unit:
        return []
    name = f"unit_{sum(1 for line in lines if line.startswith('def ')) + 1}"
    body = [f"    {_assign(step, result)}" for step in unit]
    if unit[-1] is result:
        return [f"def {name}():", *body, f"return await call.thread.run({name})"]
    wanted = {variable for step in after for variable in _VARIABLE.findall(step.code)}
    kept = [step.target for step in unit if step.target in wanted]
    if not kept:
        return [f"def {name}():", *body, f"await call.thread.run({name})"]
    values = ", ".join(str(variable) for variable in kept)
    return [f"def {name}():", *body, f"    return {values}", f"{values} = await call.thread.run({name})"]
