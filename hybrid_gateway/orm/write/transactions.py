"""Transactions of handlers: ``atomic=True`` on a layer, and ``run_in_transaction`` for ``async def``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

from django.db import transaction

from hybrid_gateway.binding.signature import is_async
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.write.write_errors import atomic_or_conflict
from hybrid_gateway.responses.response_info import status_of_value
from hybrid_gateway.types import Handler

T = TypeVar("T")


async def run_in_transaction(
    function: Callable[..., T], /, *args: object, using: str | None = None, durable: bool = False, **kwargs: object
) -> T:
    """Call ``function`` on the request's thread in one transaction: committed if it returns, undone if it raises.

    The transaction begins and ends within the call, so a client that goes away leaves none open. What contradicts other
    rows when it ends is a 409.
    """

    def run() -> T:
        with atomic_or_conflict(using, durable=durable):
            return function(*args, **kwargs)

    return await on_request_thread(run)


def in_transaction(handler: Handler, database: str | bool, where: str) -> Handler:
    """Return ``handler`` in one transaction of ``database`` (``True``: the default one).

    An exception undoes it, and so does an answer of 400 or more. What contradicts other rows when it ends (a constraint
    that is deferred until then) is a 409. Raises :class:`ConfigurationError` for ``async def``.
    """
    if is_async(handler):
        raise ConfigurationError(
            f"{where}: atomic= is for `def` handlers, whose code runs on one thread from begin to end. Make it `def`, "
            "or say atomic=False on it and, for what must be whole, `await run_in_transaction(function)`.",
            id="R027",
        )

    using = None if isinstance(database, bool) else database

    @functools.wraps(handler)
    def run(*args: object, **kwargs: object) -> object:
        with atomic_or_conflict(using):
            value = handler(*args, **kwargs)
            if (status_of_value(value) or 200) >= 400:
                transaction.set_rollback(True, using=using)
            return value

    return run
