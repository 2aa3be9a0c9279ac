"""The end of a request: its response is finished, and what it has entered is closed.

How this works: a request enters components that clean up, files, and the like; each is closed in a phase that is known
at start-up (``request/request_parts.py``). A complete response is final only when everything is closed: what nobody
but the handler asks for at once, what hooks ask for after the last of them. So a clean-up that fails, such as a commit,
still becomes an error response, and the hooks that follow see that one. A response that streams needs everything up to
its last byte; ``end`` comes after that. Whatever happens, a cancelled task among it, nothing is left to the garbage
collector.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence

import msgspec
from starlette.background import BackgroundTask

from hybrid_gateway.binding.request_cleanup import close_all
from hybrid_gateway.concurrency.asgiref_bridge import current_request, enter_request
from hybrid_gateway.endpoints.endpoint import AnsweredEarly
from hybrid_gateway.endpoints.errors import ErrorResponses, printable
from hybrid_gateway.exceptions import HTTPException
from hybrid_gateway.request.background_tasks import BackgroundWork, each_task, join_tasks
from hybrid_gateway.request.context import Hook, RequestContext
from hybrid_gateway.request.request_parts import (
    AFTER_RESPONSE,
    ERROR_HANDLED,
    HANDLED,
    HOOKS_DONE,
)
from hybrid_gateway.responses.gateway_response import GatewayResponse, UnsentResponse
from hybrid_gateway.responses.raw_response import EndpointResponse, is_complete, status_of
from hybrid_gateway.responses.response_classes import as_raw, as_response
from hybrid_gateway.responses.streaming_response import StreamingResponse

logger = logging.getLogger("django.request")

ChangeResponse = Callable[[RequestContext, EndpointResponse], EndpointResponse]


class Outcome(msgspec.Struct, eq=False):
    """The response to one request so far, and the error that it is the response to, if there is one."""

    ctx: RequestContext
    response: EndpointResponse
    error: Exception | None
    saves_session: bool

    @property
    def is_closed(self) -> bool:
        """True if nothing is left to close or to render. PERF: most requests have entered nothing."""
        return isinstance(self.response, tuple) and not self.ctx.exits

    @property
    def has_work_left(self) -> bool:
        """True if something of the project runs while the response is sent, or after it."""
        response = self.response
        return not is_complete(response) or (not isinstance(response, tuple) and response.background is not None)

    def discard(self) -> None:
        """Let go of the response, which will not be sent; its content is closed with the next clean-up."""
        if not (isinstance(self.response, tuple) or is_complete(self.response)):
            self.ctx.on_async_exit(UnsentResponse(self.response, self.ctx.thread))

    def replace(self, response: EndpointResponse) -> None:
        """Send another response; the background work of the one before is done after it."""
        before = self.response
        self.discard()
        background = None if isinstance(before, tuple) else before.background
        if background is not None:
            response = as_response(response)
            response.background = join_tasks(background, response.background)
        self.response = response


class Completion:
    """The end of every request to one route, whose ``name`` is for the log.

    ``hooks`` see every response, before those that the plan has entered; ``after_response`` run once it is sent, and so
    do the tasks that something has added, if anything of the route ``takes_tasks``.
    Then ``finish_session(ctx, response)`` saves what a visitor has changed, ``store_in_cache(ctx)`` what the plan has
    noted, and ``mark_private`` and ``add_cors`` change the headers last of all. ``when_rendered`` changes a
    response that was not complete when its plan ended.
    """

    def __init__(
        self,
        name: str,
        errors: ErrorResponses,
        *,
        hooks: Sequence[Hook] = (),
        after_response: Sequence[Hook] = (),
        takes_tasks: bool = False,
        finish_session: Callable[[RequestContext, EndpointResponse], Awaitable[EndpointResponse]] | None = None,
        store_in_cache: Callable[[RequestContext], Awaitable[None]] | None = None,
        when_rendered: ChangeResponse | None = None,
        mark_private: ChangeResponse | None = None,
        add_cors: ChangeResponse | None = None,
        path_names: tuple[str, ...] = (),
    ) -> None:
        self._name = name
        self._path_names = path_names
        self._errors = errors
        self._hooks = tuple((hook, None) for hook in hooks)
        self._after_response = tuple(hook.on_response for hook in after_response if hook.on_response is not None)
        self._takes_tasks = takes_tasks
        self._has_hooks = bool(hooks or after_response or takes_tasks)
        self._finish_session = finish_session
        self._store_in_cache = store_in_cache
        self._when_rendered = when_rendered
        self._mark_private = mark_private
        self._add_cors = add_cors

    # --- before the response is sent

    async def on_error(self, ctx: RequestContext, error: BaseException) -> EndpointResponse:
        """Return the response to what the plan raised. Raises what ends a task, and ``ClientDisconnect``."""
        if type(error) is AnsweredEarly:
            return await self.finish(ctx, error.response)
        if self._path_names:
            ctx.path_names = self._path_names
        try:
            if not isinstance(error, Exception):
                ctx.is_given_up = True
                raise error
            if ctx.exits:
                error = await close_all(ctx, error, HANDLED) or error
            if not isinstance(error, Exception):
                raise error
            self._note_error(ctx, error)
            response = await self._errors.respond(ctx, error)
        except BaseException as failure:
            await self._abandon(ctx, failure)
            raise
        return await self.finish(ctx, response, error)

    async def answer_later(self, ctx: RequestContext, error: BaseException) -> EndpointResponse:
        """Return what :meth:`on_error` returns, for an error that nobody handles any more; here it is handled again."""
        traceback = error.__traceback__
        try:
            raise error
        except BaseException:
            error.__traceback__ = traceback
            return await self.on_error(ctx, error)

    async def finish(
        self,
        ctx: RequestContext,
        response: EndpointResponse,
        error: Exception | None = None,
        *,
        saves_session: bool = True,
    ) -> EndpointResponse:
        """Return ``response``, or another one, once it is final, or ready to stream.

        The hooks see it, the innermost first: functions, then those that the plan has entered.
        """
        outcome = None
        try:
            # PERF: most responses are complete, and nobody looks at them.
            if isinstance(response, tuple) and not self._has_hooks and ctx.visit is None and not ctx.entered:
                failure = await close_all(ctx, error) if ctx.exits else error
                if failure is None or failure is error:
                    if error is not None:
                        ctx.handled_error = None  # whose traceback knows the call
                    elif self._store_in_cache is not None:
                        await self._store_in_cache(ctx)
                    return self._change_headers(ctx, response)
                if not isinstance(failure, Exception):
                    raise failure
                error, ctx.handled_error = failure, failure
                response = await self._errors.respond(ctx, failure)
            outcome = Outcome(ctx, response, error, saves_session)
            await self._complete(outcome)
        except BaseException as failure:
            if outcome is not None:
                outcome.discard()
            await self._abandon(ctx, failure)
            raise
        # What is closed later sees it then.
        ctx.handled_error = None if isinstance(outcome.response, tuple) else outcome.error
        return outcome.response

    def finish_now(
        self, ctx: RequestContext, response: EndpointResponse
    ) -> EndpointResponse | Coroutine[object, None, EndpointResponse]:
        """Return what :meth:`finish` does, or its coroutine where it has to wait, or an observer fails."""
        hooks = ctx.entered
        if hooks is None or type(response) is not tuple or ctx.exits or ctx.visit is not None or ctx.shared:
            return self.finish(ctx, response)
        try:
            while hooks:
                hook, instance = hooks.pop()
                response = hook.observe(instance, ctx, response)  # type: ignore[misc]
        except Exception as failure:
            return self._finish_after(ctx, response, failure)
        ctx.entered = None
        return self._change_headers(ctx, response)

    async def _finish_after(
        self, ctx: RequestContext, response: EndpointResponse, failure: Exception
    ) -> EndpointResponse:
        """Return the response to an observer that has failed; those that are left see it."""
        outcome = Outcome(ctx, response, None, True)
        await self._respond_late(outcome, failure)
        return await self.finish(ctx, outcome.response, failure)

    def _change_headers(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        if self._mark_private is not None:
            response = self._mark_private(ctx, response)
        return response if self._add_cors is None else self._add_cors(ctx, response)

    async def time_out(self, ctx: RequestContext, error: Exception) -> EndpointResponse:
        """Return the response to ``error`` for a handler that may still be busy, and closes what it has entered itself.

        What responds in its place has a thread and components of its own. No session is saved.
        """
        late = ctx.apart()
        late.path_names = self._path_names
        if current_request() is not None:
            enter_request(late)
        try:
            late.handled_error = error
            response = await self._errors.respond(late, error)
        except BaseException as failure:
            await self._abandon(late, failure)
            raise
        response = await self.finish(late, response, error, saves_session=False)
        if isinstance(response, tuple):
            ctx.late = None
            late.release()
        return response

    async def _complete(self, outcome: Outcome) -> None:
        """Do everything that is to be done before the response is sent, in its order."""
        ctx = outcome.ctx
        if self._path_names:
            ctx.path_names = self._path_names
        if not outcome.is_closed:
            await self._close(outcome, ERROR_HANDLED)
        if self._when_rendered is not None:
            outcome.response = self._when_rendered(ctx, outcome.response)
        if self._hooks or ctx.entered:
            entered, ctx.entered = ctx.entered or (), None
            for hook, instance in (*self._hooks, *reversed(entered)):
                await self._run_hook(outcome, hook, instance)
                if not outcome.is_closed:
                    await self._close(outcome, hook.moment)
        if not outcome.is_closed:
            await self._close(outcome, HOOKS_DONE)
        visit = ctx.visit
        if visit is not None and not visit.is_idle and outcome.saves_session and self._finish_session is not None:
            try:
                outcome.response = await self._finish_session(ctx, outcome.response)
            except Exception as failure:
                await self._respond_late(outcome, failure)
                await self._close(outcome, HOOKS_DONE)
        if self._store_in_cache is not None and outcome.error is None:
            await self._store_in_cache(ctx)
        if self._after_response or (self._takes_tasks and (ctx.tasks.tasks or not is_complete(outcome.response))):
            response = outcome.response = as_response(outcome.response)
            always = [BackgroundTask(run, ctx, None, response, outcome.error) for run in self._after_response]
            collected = ctx.tasks if self._takes_tasks else None
            response.background = BackgroundWork(response.background, collected, always)
        elif not outcome.has_work_left:
            if ctx.exits:
                await self._close(outcome, AFTER_RESPONSE)
            ctx.shared = None
        outcome.response = self._change_headers(ctx, outcome.response)

    async def _run_hook(self, outcome: Outcome, hook: Hook, instance: object) -> None:
        """Show the response to a hook, which may change or replace it; one that fails makes an error of it."""
        is_unexpected = outcome.error is not None and status_of(outcome.response) >= 500
        run = hook.on_error if is_unexpected and hook.on_error is not None else hook.on_response
        if run is None:
            return
        if hook.observe is not None and isinstance(outcome.response, tuple):
            try:
                outcome.response = hook.observe(instance, outcome.ctx, outcome.response)
            except Exception as failure:
                await self._respond_late(outcome, failure)
            return
        response = as_response(outcome.response)
        if isinstance(response, StreamingResponse):  # a hook may make another stream of its chunks
            response.fetch_with(lambda *content: outcome.ctx.thread.stream(*content))
        try:
            replaced = await run(outcome.ctx, instance, response, outcome.error)
        except Exception as failure:
            # The same again is a component that has failed before: the hook cannot run, and it is answered already.
            if failure is not outcome.error:
                await self._respond_late(outcome, failure)
            return
        outcome.response = as_raw(response)
        if replaced is not None and replaced is not response:
            outcome.replace(replaced)

    def _note_error(self, ctx: RequestContext, error: Exception) -> None:
        """Note what is responded to now; what was to be done after another response is not done."""
        ctx.handled_error = error
        if self._takes_tasks:
            ctx.tasks.tasks.clear()

    async def _respond_late(self, outcome: Outcome, error: Exception) -> None:
        """Respond to an error where there was a response already, whose background work is not done."""
        outcome.discard()
        self._note_error(outcome.ctx, error)
        outcome.response = await self._errors.respond(outcome.ctx, error)
        outcome.error = error

    async def _close(self, outcome: Outcome, phase: int) -> None:
        """Close what was entered up to ``phase``, if the response is complete; respond to what fails instead."""
        ctx, errors = outcome.ctx, self._errors
        for respond in (errors.respond, errors.respond_to_crash):  # the second for what the first has entered itself
            response = outcome.response
            if isinstance(response, GatewayResponse) and response.is_rendered_late and not response.is_rendered:
                try:  # what a handler or a hook has chosen: it needs its components
                    await response.render_late(ctx)
                except Exception as error:
                    await self._respond_late(outcome, error)
            if not ctx.exits or not is_complete(outcome.response):
                return
            failure = await close_all(ctx, outcome.error, phase)
            if failure is None or failure is outcome.error:
                return
            if not isinstance(failure, Exception):
                raise failure
            self._note_error(ctx, failure)
            outcome.response, outcome.error = await respond(ctx, failure), failure

    async def _abandon(self, ctx: RequestContext, error: BaseException) -> None:
        """Close everything, since there will be no response. Raises what is in flight then, if it is another error."""
        ctx.shared = ctx.handled_error = None
        failure = await close_all(ctx, error) if ctx.exits else error
        if failure is not None and failure is not error:
            raise failure

    # --- once it is sent

    async def end(
        self, ctx: RequestContext, background: BackgroundTask | None = None, error: BaseException | None = None
    ) -> None:
        """Close what the response needed, after its last byte or ``error`` in its place, and do the background work.

        Only what ends a task is raised: the client has its response, so errors are logged. Where a clean-up fails, only
        that part of the work is done which follows every response of the route.
        """
        late, ctx = ctx.late, ctx.late or ctx
        error = error or ctx.handled_error
        try:
            if not await self._close_sent(ctx, error, HOOKS_DONE):
                background = background.without_own() if isinstance(background, BackgroundWork) else None
            if background is not None:
                await self._run_background(ctx, background)
        finally:
            await self._close_sent(ctx, error, AFTER_RESPONSE)
            ctx.shared = ctx.handled_error = None
            if late is not None:
                late.release()

    async def _close_sent(self, ctx: RequestContext, error: BaseException | None, phase: int) -> bool:
        """Close what was entered up to ``phase``; return whether that went well."""
        failure = await close_all(ctx, error, phase) if ctx.exits else error
        if failure is None or failure is error:
            return True
        if not isinstance(failure, Exception):
            raise failure
        self._report(ctx, "A clean-up after the answer", failure)
        return False

    async def _run_background(self, ctx: RequestContext, work: BackgroundTask) -> None:
        """Do all tasks of ``work``, one after the other; an error stops no other, but is seen by what its task entered.

        What was entered for the response, which is sent, sees nothing of it.
        """
        for task in each_task(work):
            entered, shared = len(ctx.exits or ()), dict(ctx.shared or ())
            try:
                await task()
            except BaseException as failure:
                if ctx.exits:
                    await close_all(ctx, failure, since=entered)
                ctx.shared = shared
                if not isinstance(failure, Exception):
                    raise
                # Like hooks: what asks for a component that has failed, or a user that is not there, is left out: the
                # error that has been answered already, or the same HTTP error once more.
                known = ctx.handled_error
                again = isinstance(known, HTTPException) and type(failure) is type(known) and failure.args == known.args
                if failure is not known and not again:
                    self._report(ctx, "Work after the answer", failure)

    def _report(self, ctx: RequestContext, what: str, error: Exception) -> None:
        try:
            raise error
        except Exception:
            self._errors.send_signal(ctx)
            path, extra = printable(ctx.scope["path"]), {"status_code": 500, "route": self._name}
            logger.error("%s of %s failed: %s %s", what, self._name, ctx.method, path, exc_info=error, extra=extra)
