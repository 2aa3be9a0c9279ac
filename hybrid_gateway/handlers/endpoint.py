"""A compiled route: runs its plan, leaves what the plan entered, and turns what went wrong into an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hybrid_gateway.handlers.errors import ErrorAnswers

__all__ = ["Endpoint"]

Unwind = Callable[[Any, BaseException | None], Awaitable[BaseException | None]]


class Endpoint:
    """One handler at one path, compiled. It holds no state of requests: any number may run at once."""

    __slots__ = (
        "_errors",
        "_run",
        "_unwind",
        "awaits",
        "inputs",
        "method",
        "middleware",
        "returns",
        "route",
        "schemes",
        "source",
    )

    def __init__(
        self,
        *,
        route: Any,
        method: str,
        run: Callable[[Any], Awaitable[Any]],
        awaits: bool,
        source: str,
        unwind: Unwind,
        errors: ErrorAnswers,
        inputs: Sequence[Any] = (),
        returns: Any = None,
        schemes: Sequence[Any] = (),
        middleware: Sequence[Callable[[Any], Any]] = (),
    ) -> None:
        self.route = route
        self.method = method
        self.awaits = awaits
        self.source = source
        self.inputs = tuple(inputs)
        self.returns = returns
        self.schemes = tuple(schemes)
        self.middleware = tuple(middleware)
        self._run = run
        self._unwind = unwind
        self._errors = errors

    def __repr__(self) -> str:
        return f"<Endpoint {self.method} {self.route.path}>"

    async def respond(self, call: Any) -> Any:
        """The answer to one request. Of exceptions, only a gone client's and those that end a task come out.

        An answer that streams still needs what its handler entered: the driver calls :meth:`close` after it.
        """
        try:
            answer = await self._run(call)
        except Exception as error:
            return await self._fail(call, error)
        except BaseException as error:
            await self.close(call, error)
            raise
        if call.exits and type(answer) is tuple:
            failure = await self._unwind(call, None)
            if failure is not None:
                return await self._fail(call, failure)
        return answer

    async def _fail(self, call: Any, error: BaseException) -> Any:
        if call.exits:
            error = await self._unwind(call, error) or error
        if not isinstance(error, Exception):
            raise error
        return await self._errors.answer(call, error)

    async def close(self, call: Any, error: BaseException | None = None) -> None:
        """Leave what the plan entered, also when the task is being cancelled."""
        if call.exits:
            failure = await self._unwind(call, error)
            if failure is not None and failure is not error:
                raise failure
