"""The comparison itself: each request to both sides, each inside a transaction that is rolled back."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.test.utils import override_settings

from hybrid_gateway.comparison.accepted_differences import Pattern
from hybrid_gateway.comparison.answer_differences import answer_differences
from hybrid_gateway.comparison.comparison_report import Collector, Report
from hybrid_gateway.comparison.document_differences import document_differences
from hybrid_gateway.comparison.exchanges import Answer, ReplayedRequest
from hybrid_gateway.comparison.generated_requests import Unreached, generated_requests
from hybrid_gateway.comparison.side_documents import Document, side_document
from hybrid_gateway.comparison.sides import Side, SideError


class Plan(msgspec.Struct, kw_only=True):
    """Options of a comparison. ``recorded`` requests take the place of generated ones."""

    recorded: Sequence[ReplayedRequest] | None = None
    writes: bool = False
    rows: int = 3
    user: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    old_headers: tuple[tuple[str, str], ...] = ()
    new_headers: tuple[tuple[str, str], ...] = ()
    only: Sequence[str] = ()
    documents: bool = True
    answers: bool = True
    accepted: Sequence[Pattern] = ()
    ignored: Sequence[Pattern] = ()


def compare(old: Side, new: Side, plan: Plan) -> Report:
    """Compare two sides; raises :class:`SideError` where one cannot be asked as planned."""
    if plan.writes and not (old.in_process and new.in_process):
        raise SideError(
            "Writes are rolled back on both sides, and another server, or an application with threads of its own, has "
            "connections of its own: leave --writes out."
        )
    report = Report(old.name, new.name)
    collector = Collector(report, plan.accepted, plan.ignored)
    with rolled_back(), _harmless_settings():
        is_generated = plan.answers and plan.recorded is None
        documents = (side_document(old), side_document(new)) if plan.documents or is_generated else (None, None)
        if plan.documents:
            _compare_documents(collector, *documents, plan.only)
        if plan.answers:
            if plan.user is not None:
                user = _find_user(plan.user)
                old.login(user)
                new.login(user)
            for request in _requests(plan, *documents):
                if isinstance(request, Unreached):
                    report.unreached.append(request)
                else:
                    _compare_answers(collector, old, new, request, plan)
    if plan.only and not report.requests and not report.unreached:
        paths = [path for document in documents if document for path in document.get("paths", ())]
        if not any(_is_wanted(path, plan.only) for path in paths):
            raise SideError(f"--only {' '.join(plan.only)} matches no path of either side: nothing was compared.")
    return report


@contextmanager
def _harmless_settings() -> Iterator[None]:
    """Keep what handlers send by mail in memory, and let any host be asked for."""
    # DJANGO: test/utils.py, setup_test_environment; from 6.1 on projects with MAILERS have no EMAIL_BACKEND
    memory = "django.core.mail.backends.locmem.EmailBackend"
    mailers: dict[str, object] | None = getattr(settings, "MAILERS", None)
    mail: dict[str, Any] = {"EMAIL_BACKEND": memory}
    if mailers is not None:
        mail = {"MAILERS": {alias: {"BACKEND": memory} for alias in mailers}}
    overridden = override_settings(ALLOWED_HOSTS=["*"], **mail)
    _without_warning(overridden.enable)
    try:
        yield
    finally:
        _without_warning(overridden.disable)


@contextmanager
def _caches_of_its_own() -> Iterator[None]:
    """Put other keys into Django's caches than any request before, so that no side answers what the other one stored.

    Where sessions are in a cache, that one stays.
    """
    kept = settings.SESSION_CACHE_ALIAS if "cache" in settings.SESSION_ENGINE else ""
    prefix = f"compared-{next(_NUMBERS)}-"
    changed = {
        alias: options if alias == kept else {**options, "KEY_PREFIX": f"{prefix}{options.get('KEY_PREFIX', '')}"}
        for alias, options in settings.CACHES.items()
    }
    with override_settings(CACHES=changed):
        yield


_NUMBERS = itertools.count()


def _without_warning(change: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The EMAIL_BACKEND setting is deprecated")
        change()


def _compare_documents(collector: Collector, old: Document | None, new: Document | None, only: Sequence[str]) -> None:
    if old is None or new is None:
        which = collector.report.old if old is None else collector.report.new
        collector.report.notes.append(f"documents were not compared: {which} has none")
        return
    found = document_differences(old, new)
    collector.add_documents((route, one) for route, one in found if _is_wanted(route.partition(" ")[2], only))


def _compare_answers(collector: Collector, old: Side, new: Side, request: ReplayedRequest, plan: Plan) -> None:
    before = _ask(old, request, plan.headers + plan.old_headers)
    slashed = _other_spelling(before, request)
    if plan.recorded is None and slashed is not None:
        request, before = slashed, _ask(old, slashed, plan.headers + plan.old_headers)
    after = _ask(new, request, plan.headers + plan.new_headers)
    found = list(answer_differences(before, after, is_write=request.is_write))
    route = request.route or f"{request.method} {request.path}"
    if any(one.kind not in _STEADY for one in found):
        others = (_ask(old, request, plan.headers + plan.old_headers) for _ in range(2))
        unsteady = {
            (one.kind, one.place)
            for other in others
            for one in answer_differences(before, other, is_write=request.is_write)
        }
        if any((one.kind, one.place) in unsteady for one in found):
            collector.report.unsteady[route] = None
        found = [one for one in found if (one.kind, one.place) not in unsteady]
    collector.add_answers(found, route, str(request))


_STEADY = ("bytes", "header", "unrouted")
"""Kinds of differences that do not come of answers which are others each time."""


def _other_spelling(answer: Answer, request: ReplayedRequest) -> ReplayedRequest | None:
    """Return the request with the final slash, or without it, that the old side redirects to; ``None`` otherwise."""
    if answer.status not in (301, 302, 307, 308):
        return None
    path = request.path[:-1] if request.path.endswith("/") else f"{request.path}/"
    found = urlsplit(answer.header("location")).path
    return msgspec.structs.replace(request, path=path) if found == path else None


def _ask(side: Side, request: ReplayedRequest, headers: tuple[tuple[str, str], ...]) -> Answer:
    with rolled_back(), _caches_of_its_own():
        return side.send(msgspec.structs.replace(request, headers=request.headers + headers))


def _requests(plan: Plan, old: Document | None, new: Document | None) -> Iterator[ReplayedRequest | Unreached]:
    if plan.recorded is not None:
        wanted = (request for request in plan.recorded if plan.writes or not request.is_write)
        yield from (request for request in wanted if _is_wanted(request.path, plan.only))
        return
    document = old or new
    if document is None:
        raise SideError(
            "Neither side has an OpenAPI document to make requests from. Record some: --requests FILE takes a HAR "
            "file, JSON lines, or an access log."
        )
    for request in generated_requests(document, rows=plan.rows, writes=plan.writes):
        path = request.route.partition(" ")[2] if isinstance(request, ReplayedRequest) else request.path
        if _is_wanted(path, plan.only):
            yield request


def _is_wanted(path: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(path, pattern) for pattern in only)


def _find_user(name: str) -> User:
    users: Any = get_user_model()  # stubs do not know USERNAME_FIELD
    user: User | None = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
    if user is None:
        raise SideError(f"There is no user {name!r}.")
    return user


@contextmanager
def rolled_back(databases: Iterable[str] | None = None) -> Iterator[None]:
    """Undo what happens inside, in every database."""
    with ExitStack() as stack:
        for name in connections if databases is None else databases:
            stack.enter_context(transaction.atomic(using=name))
            stack.callback(transaction.set_rollback, True, using=name)
        yield
