"""A compiled route: what drivers run, and how it ends when something was entered or went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from hybrid_gateway.handlers.errors import ErrorAnswers
from hybrid_gateway.handlers.hooks import Answered, Hooks
from hybrid_gateway.responses.headers import Header

__all__ = ["Endpoint", "Failures"]

Unwind = Callable[[Any, BaseException | None], Awaitable[BaseException | None]]


class Failures:
    """How one route ends: leaves what its plan entered, and turns what went wrong into an answer."""

    def __init__(
        self,
        unwind: Unwind,
        errors: ErrorAnswers,
        hooks: Hooks | None = None,
        stamp: Callable[[Any, Any], Any] | None = None,
        keep: Callable[[Any], Awaitable[None]] | None = None,
        settle: Callable[[Any, Any], Awaitable[Any]] | None = None,
        guard: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        self._unwind = unwind
        self._errors = errors
        self._hooks = hooks
        self._stamp = stamp
        self._keep = keep
        self._settle = settle
        self._guard = guard

    async def fail(self, call: Any, error: BaseException) -> Any:
        """The answer to what the plan raised. Raises what ends a task, and what says that the client has gone."""
        if type(error) is Answered:
            return await self.leave(call, error.answer)
        if not isinstance(error, Exception):
            call.is_given_up = True
        if call.exits:
            error = await self._unwind(call, error) or error
        if not isinstance(error, Exception):
            raise error
        return await self.leave(call, await self._errors.answer(call, error), error)

    async def leave(self, call: Any, answer: Any, error: Exception | None = None) -> Any:
        """``answer``, unless leaving what the plan entered fails; what an answer that streams needs is kept for it.

        Hooks see what they entered, and may change it. Then ``settle(call, answer)`` ends the visit, ``keep(call)``
        puts away what the plan has noted, and ``guard`` and ``stamp`` of ``(call, answer)`` have the last words.
        """
        if call.exits and type(answer) is tuple:
            failure = await self._unwind(call, None)
            if failure is not None:
                return await self.fail(call, failure)
        if self._hooks is not None:
            answer = await self._hooks.conclude(call, answer, error)
        if self._settle is not None and call.visit is not None and not call.visit.is_idle:
            try:
                answer = await self._settle(call, answer)
            except Exception as failure:
                error, answer = failure, await self._replace(call, answer, failure)
        if self._keep is not None and error is None:
            await self._keep(call)
        if self._guard is not None:
            answer = self._guard(call, answer)
        return answer if self._stamp is None else self._stamp(call, answer)

    async def _replace(self, call: Any, answer: Any, failure: Exception) -> Any:
        """The answer to a failure that came when there was one already, which will not be sent."""
        close = getattr(answer, "aclose", None)  # what streams
        if close is not None:
            await close()
        if call.exits:
            await self._unwind(call, failure)
        return await self._errors.answer(call, failure)

    async def give_up(self, call: Any, error: Exception) -> Any:
        """The answer to ``error``, without leaving what the plan entered: somebody else does. No session is saved."""
        answer = await self._errors.answer(call, error)
        if self._hooks is not None:
            answer = await self._hooks.conclude(call, answer, error)
        if self._guard is not None:
            answer = self._guard(call, answer)
        return answer if self._stamp is None else self._stamp(call, answer)

    async def close(self, call: Any, error: BaseException | None = None) -> None:
        """Leave what the plan entered after a streamed answer, also when the task is being cancelled."""
        if call.exits:
            failure = await self._unwind(call, error)
            if failure is not None and failure is not error:
                raise failure


class Endpoint:
    """One handler at one path, compiled. It holds no state of requests: any number may run at once.

    ``await respond(call)`` is the answer to one request. Of exceptions, only a gone client's and those that end a task
    come out. An answer that streams still needs what its handler entered: the driver awaits ``close(call, error)``
    after it. PERF: both are functions of their own, not methods around the plan: a coroutine less.
    """

    __slots__ = (
        "awaits",
        "callbacks",
        "close",
        "inputs",
        "is_open",
        "method",
        "middleware",
        "reads_cookies",
        "respond",
        "returns",
        "route",
        "schemes",
        "security_headers",
        "source",
        "visits",
    )

    def __init__(
        self,
        *,
        route: Any,
        method: str,
        respond: Callable[..., Coroutine[Any, Any, Any]],
        close: Callable[..., Awaitable[None]],
        awaits: bool,
        source: str,
        inputs: Sequence[Any] = (),
        returns: Any = None,
        schemes: Sequence[Any] = (),
        is_open: bool = True,
        visits: bool = False,
        reads_cookies: bool = False,
        middleware: Sequence[Callable[[Any], Any]] = (),
        callbacks: Mapping[str, Sequence[tuple[str, Endpoint]]] | None = None,
        security_headers: Sequence[Header] = (),
    ) -> None:
        self.route = route
        self.method = method
        self.respond = respond
        self.close = close
        self.awaits = awaits
        self.source = source
        self.inputs = tuple(inputs)
        self.returns = returns
        self.schemes = tuple(schemes)
        self.is_open = is_open  # to callers of whom nothing is known, as far as guards let them pass
        self.visits = visits  # it asks for what Django knows of a visit
        self.reads_cookies = reads_cookies  # of that: by a Django request or a session
        self.middleware = tuple(middleware)
        self.callbacks = callbacks or {}
        self.security_headers = tuple(security_headers)  # that each answer of it has, unless it has its own

    def __repr__(self) -> str:
        return f"<Endpoint {self.method} {self.route.path}>"
