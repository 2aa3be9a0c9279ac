"""How a request ends: the one place that knows whether its answer streams, and leaves what it has entered.

How this works: what a request has entered (components that clean up, files) is left at a moment known at start-up; see
``moments.py``. An answer that is whole is final only when everything is left: what nobody but the handler asks for at
once, what hooks ask for after the last of them. So a clean-up that fails, such as a commit, is still an error's answer,
and the hooks that follow see that. An answer that streams needs everything up to its last byte; ``end`` is for then.
Whatever else happens, a cancelled task among it, ``leave`` lets nothing of it to the garbage collector.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.background import BackgroundTask

from hybrid_gateway.concurrency.asgiref_bridge import enter_request, in_request
from hybrid_gateway.endpoints.background_work import BackgroundWork, report
from hybrid_gateway.endpoints.errors import ErrorResponses
from hybrid_gateway.endpoints.hooks import AnsweredEarly, Hook
from hybrid_gateway.exceptions import HTTPException
from hybrid_gateway.request.background import each_task, join_tasks
from hybrid_gateway.request.cleanup_phases import AFTER_ANSWER, ANSWERED, BEFORE_AFTER_ANSWER, EXPLAINED
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.gateway_response import GatewayResponse, UnsentResponse
from hybrid_gateway.responses.raw_response import is_complete
from hybrid_gateway.responses.response_conversion import as_raw, as_response
from hybrid_gateway.responses.streaming_response import StreamingResponse

__all__ = ["Completion"]

Unwind = Callable[..., Awaitable[BaseException | None]]


class Outcome:
    """The answer to one request so far, and the error that it answers, if it is one's."""

    __slots__ = ("answer", "ctx", "error", "saves")

    def __init__(self, ctx: RequestContext, answer: Any, error: BaseException | None, saves: bool) -> None:
        self.ctx = ctx
        self.answer = answer
        self.error = error
        self.saves = saves  # a session, if there is one

    @property
    def is_settled(self) -> bool:
        """Whether it is clear that nothing is to be left. PERF: most requests have entered nothing."""
        return type(self.answer) is tuple and not self.ctx.exits

    @property
    def is_followed(self) -> bool:
        """Whether something of the project runs while the answer is sent, or after it."""
        return not is_complete(self.answer) or (type(self.answer) is not tuple and self.answer.background is not None)

    def discard(self) -> None:
        """Let go of the answer, which will not be sent; its content is closed with the next clean-up."""
        if not is_complete(self.answer):
            self.ctx.on_exit("loop", UnsentResponse(self.answer, self.ctx.thread))

    def replace(self, answer: Any) -> None:
        """Send another answer; the work that was to follow the one before is done after it."""
        before = self.answer
        self.discard()
        background = None if type(before) is tuple else before.background
        if background is not None:
            answer = as_response(answer)
            answer.background = join_tasks(background, answer.background)
        self.answer = answer


class Completion:
    """How requests to one route end. ``name`` is the route's, for the log.

    ``hooks`` see every answer after those that the plan has entered have been noted; see ``leave``. ``afterwards`` run
    once it is sent. ``unwind(ctx, error, moment)`` leaves what was entered.
    """

    def __init__(
        self,
        name: str,
        unwind: Unwind,
        errors: ErrorResponses,
        *,
        hooks: Sequence[Hook] = (),
        afterwards: Sequence[Hook] = (),
        settle: Callable[[Any, Any], Awaitable[Any]] | None = None,
        keep: Callable[[Any], Awaitable[None]] | None = None,
        guard: Callable[[Any, Any], Any] | None = None,
        stamp: Callable[[Any, Any], Any] | None = None,
        path_names: tuple[str, ...] = (),
    ) -> None:
        self._name = name
        self._path_names = path_names
        self._unwind = unwind
        self._errors = errors
        self._hooks = tuple((hook, None) for hook in hooks)
        self._afterwards = tuple(afterwards)
        self._is_alone = not (hooks or afterwards)
        self._settle = settle
        self._keep = keep
        self._guard = guard
        self._stamp = stamp

    # --- up to the answer

    async def fail(self, ctx: RequestContext, error: BaseException) -> Any:
        """The answer to what the plan raised. Raises what ends a task, and what says that the client has gone."""
        if type(error) is AnsweredEarly:
            return await self.leave(ctx, error.answer)
        if self._path_names:
            ctx.path_names = self._path_names
        try:
            if not isinstance(error, Exception):
                ctx.is_given_up = True
                raise error
            if ctx.exits:
                error = await self._unwind(ctx, error, ANSWERED) or error
            if not isinstance(error, Exception):
                raise error
            ctx.answered_error = error
            answer = await self._errors.answer(ctx, error)
        except BaseException as failure:
            await self._abandon(ctx, failure)
            raise
        return await self.leave(ctx, answer, error)

    async def leave(
        self, ctx: RequestContext, answer: Any, error: Exception | None = None, *, saves: bool = True
    ) -> Any:
        """``answer``, or another one, once it is final, or ready to stream.

        The hooks see it, the innermost first: functions, then those that the plan has entered. Then
        ``settle(ctx, answer)`` ends the visit, ``keep(ctx)`` puts away what the plan has noted, and ``guard`` and
        ``stamp`` of ``(ctx, answer)`` have the last words.
        """
        outcome = None
        try:
            # PERF: most answers are whole, and nobody looks at them.
            if self._is_alone and type(answer) is tuple and ctx.visit is None and not ctx.entered:
                failure = await self._unwind(ctx, error) if ctx.exits else error
                if failure is None or failure is error:
                    if error is not None:
                        ctx.answered_error = None  # whose traceback knows the call
                    elif self._keep is not None:
                        await self._keep(ctx)
                    return self._seal(ctx, answer)
                if not isinstance(failure, Exception):
                    raise failure
                error, ctx.answered_error = failure, failure
                answer = await self._errors.answer(ctx, failure)
            outcome = Outcome(ctx, answer, error, saves)
            await self._conclude(outcome)
        except BaseException as failure:
            if outcome is not None:
                outcome.discard()
            await self._abandon(ctx, failure)
            raise
        # What is left later sees it then.
        ctx.answered_error = None if type(outcome.answer) is tuple else outcome.error
        return outcome.answer

    def _seal(self, ctx: RequestContext, answer: Any) -> Any:
        if self._guard is not None:
            answer = self._guard(ctx, answer)
        return answer if self._stamp is None else self._stamp(ctx, answer)

    async def give_up(self, ctx: RequestContext, error: Exception) -> Any:
        """The answer to ``error`` for a handler that may still be busy: what it has entered it leaves itself.

        What answers in its place has a thread and components of its own. No session is saved.
        """
        late = ctx.apart()
        late.path_names = self._path_names
        if in_request():
            enter_request(late)
        try:
            late.answered_error = error
            answer = await self._errors.answer(late, error)
        except BaseException as failure:
            await self._abandon(late, failure)
            raise
        answer = await self.leave(late, answer, error, saves=False)
        if type(answer) is tuple:
            ctx.late = None
            late.release()
        return answer

    async def _conclude(self, outcome: Outcome) -> None:
        ctx = outcome.ctx
        if self._path_names:
            ctx.path_names = self._path_names
        if not outcome.is_settled:
            await self._close(outcome, EXPLAINED)
        if self._hooks or ctx.entered:
            entered, ctx.entered = ctx.entered or (), None
            for hook, instance in (*self._hooks, *reversed(entered)):
                await self._show(outcome, hook, instance)
                if not outcome.is_settled:
                    await self._close(outcome, hook.moment)
        if not outcome.is_settled:
            await self._close(outcome, BEFORE_AFTER_ANSWER)
        if ctx.visit is not None:
            await self._end_visit(outcome)
        if self._keep is not None and outcome.error is None:
            await self._keep(ctx)
        if self._afterwards:
            self._add_afterwards(outcome)
        elif not outcome.is_followed:
            if ctx.exits:
                await self._close(outcome, AFTER_ANSWER)
            ctx.shared = None
        outcome.answer = self._seal(ctx, outcome.answer)

    async def _show(self, outcome: Outcome, hook: Hook, instance: Any) -> None:
        """Show the answer to a hook, which may change or replace it; one that fails makes an error of it."""
        unexpected = outcome.error is not None and _status(outcome.answer) >= 500
        run = hook.on_error if unexpected and hook.on_error is not None else hook.on_response
        if run is None:
            return
        response = as_response(outcome.answer)
        if isinstance(response, StreamingResponse):  # a hook may make another stream of its chunks
            response.fetch_with(lambda *content: outcome.ctx.thread.stream(*content))
        try:
            replaced = await run(outcome.ctx, instance, response, outcome.error)
        except Exception as failure:
            # The same again is a component that has failed before: the hook cannot run, and it is answered already.
            if failure is not outcome.error:
                await self._fail_late(outcome, failure)
            return
        outcome.answer = as_raw(response)
        if replaced is not None and replaced is not response:
            outcome.replace(replaced)

    async def _fail_late(self, outcome: Outcome, error: Exception) -> None:
        """Answer an error where there was an answer already; the work that was to follow that is not done."""
        outcome.discard()
        outcome.ctx.answered_error = error
        outcome.answer = await self._errors.answer(outcome.ctx, error)
        outcome.error = error

    async def _close(self, outcome: Outcome, moment: int) -> None:
        """Leave what was entered up to ``moment``, if the answer is whole; what fails is answered instead."""
        ctx = outcome.ctx
        for handle in (self._errors.answer, self._errors.crash):  # the second for what the first has entered itself
            response = outcome.answer
            if isinstance(response, GatewayResponse) and response.is_rendered_late and not response.is_rendered:
                try:  # what a handler or a hook has chosen: it needs its components
                    await response.render_late(ctx)
                except Exception as error:
                    await self._fail_late(outcome, error)
            if not ctx.exits or not is_complete(outcome.answer):
                return
            failure = await self._unwind(ctx, outcome.error, moment)
            if failure is None or failure is outcome.error:
                return
            if not isinstance(failure, Exception):
                raise failure
            ctx.answered_error = failure
            outcome.answer, outcome.error = await handle(ctx, failure), failure

    async def _end_visit(self, outcome: Outcome) -> None:
        visit = outcome.ctx.visit
        if self._settle is None or not outcome.saves or visit is None or visit.is_idle:
            return
        try:
            outcome.answer = await self._settle(outcome.ctx, outcome.answer)
        except Exception as failure:
            await self._fail_late(outcome, failure)
            await self._close(outcome, BEFORE_AFTER_ANSWER)

    def _add_afterwards(self, outcome: Outcome) -> None:
        response = as_response(outcome.answer)
        given = outcome.ctx, None, response, outcome.error
        always = [BackgroundTask(hook.on_response, *given) for hook in self._afterwards if hook.on_response is not None]
        response.background = BackgroundWork(response.background, always)
        outcome.answer = response

    async def _abandon(self, ctx: RequestContext, error: BaseException) -> None:
        """Leave everything, since there will be no answer. Raises what is in flight then, if it is another error."""
        ctx.shared = ctx.answered_error = None
        failure = await self._unwind(ctx, error) if ctx.exits else error
        if failure is not None and failure is not error:
            raise failure

    # --- after it

    async def end(
        self, ctx: RequestContext, background: BackgroundTask | None = None, error: BaseException | None = None
    ) -> None:
        """After the last byte, or ``error`` in its place: leave what the answer needed, and do what is to follow.

        Nothing is raised but what ends a task, since the client has its answer: it is logged. Where a clean-up fails,
        of what was to follow only that is done which follows every answer of the route.
        """
        late, ctx = ctx.late, ctx.late or ctx
        error = error or ctx.answered_error
        try:
            is_left = await self._leave_behind(ctx, error, BEFORE_AFTER_ANSWER)
            if not is_left:
                background = background.always if isinstance(background, BackgroundWork) else None
            if background is not None:
                await self._do_afterwards(ctx, background)
        finally:
            await self._leave_behind(ctx, error, AFTER_ANSWER)
            ctx.shared = ctx.answered_error = None
            if late is not None:
                late.release()

    async def _leave_behind(self, ctx: RequestContext, error: BaseException | None, moment: int) -> bool:
        """Leave what was entered up to ``moment``; whether that went well."""
        failure = await self._unwind(ctx, error, moment) if ctx.exits else error
        if failure is None or failure is error:
            return True
        if not isinstance(failure, Exception):
            raise failure
        self._report(ctx, "A clean-up after the answer", failure)
        return False

    async def _do_afterwards(self, ctx: RequestContext, work: BackgroundTask) -> None:
        """Do all of ``work``, one task after the other; what one raises stops no other, but is seen by what it entered.

        What was entered for the answer, which is sent, sees nothing of it.
        """
        for task in each_task(work):
            entered, shared = len(ctx.exits or ()), dict(ctx.shared or ())
            try:
                await task()
            except BaseException as failure:
                if ctx.exits:
                    await self._unwind(ctx, failure, since=entered)
                ctx.shared = shared
                if not isinstance(failure, Exception):
                    raise
                # Like hooks: what asks for a component that has failed, or a user that is not there, is left out.
                if not _is_same(failure, ctx.answered_error):
                    self._report(ctx, "Work after the answer", failure)

    def _report(self, ctx: RequestContext, what: str, error: Exception) -> None:
        try:
            raise error
        except Exception:
            self._errors.report(ctx)
            report(ctx, self._name, what, error)


def _is_same(failure: Exception, answered: BaseException | None) -> bool:
    """Whether ``failure`` is what has been answered already: the error itself, or the same refusal once more."""
    if failure is answered or answered is None:
        return failure is answered
    return isinstance(failure, HTTPException) and type(failure) is type(answered) and failure.args == answered.args


def _status(answer: Any) -> int:
    status: int = answer[0] if type(answer) is tuple else answer.status_code
    return status
