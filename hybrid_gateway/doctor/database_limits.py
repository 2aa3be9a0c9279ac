"""Concern: do the threads of all processes find a connection each, and is the database there?

How this works: a thread that works keeps a connection for each alias, so there are never more than processes times
threads. The database itself is asked how many it takes, how many it keeps back and how many there are now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from msgspec import Struct

from hybrid_gateway.conf import get_settings
from hybrid_gateway.doctor.command_lines import ServerCommand
from hybrid_gateway.doctor.examined_project import Project
from hybrid_gateway.doctor.finding import Finding, Severity, found
from hybrid_gateway.doctor.live_questions import PATIENCE, ask, reason_of

TIGHT = 0.8  # of the connections there are: consoles, migrations and the next machine need some


class Limit(Struct, frozen=True, kw_only=True):
    """The connections that a database says it takes."""

    total: int
    reserved: int = 0
    """Kept for administrators."""
    in_use: int = 0
    """By others and by us, at this moment."""
    is_pooled: bool = False
    """Whether PgBouncer or the like stands in front of it."""

    @property
    def free(self) -> int:
        """The connections for all clients together."""
        return self.total - self.reserved


def look_at_databases(project: Project) -> Iterator[Finding]:
    """Yield D020 too many connections, D021 no answer, D022 and D023 ages and pools, D024 PgBouncer."""
    servers: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for alias, database in connections.settings.items():
        if not database["ENGINE"].endswith(("sqlite3", "spatialite", "dummy")):
            servers[tuple(str(database.get(key) or "") for key in ("ENGINE", "HOST", "PORT"))].append(alias)
    for aliases in servers.values():
        try:
            limit = ask(partial(_limit, aliases[0]))
        except Exception as error:
            named = f"DATABASES[{aliases[0]!r}] cannot be asked: {reason_of(error)}"
            yield found("D021", Severity.BROKEN, named, place=aliases[0])
            continue
        if limit is not None:
            yield from _arithmetic(project, aliases, limit)
            yield from _poolers(aliases, limit)
    for alias in connections.settings:
        yield from _ages(project, alias)


# --- asking ----------------------------------------------------------------------------------------------------------


def _limit(alias: str) -> Limit | None:
    """Ask a database, on a thread whose connection is its own; ``None`` where it has no such number."""
    connection = connections[alias]
    options = dict(connection.settings_dict["OPTIONS"])
    options.pop("pool", None)
    if connection.vendor in ("postgresql", "mysql"):
        options["connect_timeout"] = int(PATIENCE)
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": options, "CONN_MAX_AGE": 0}
    try:
        asked = _ASKED.get(connection.vendor)
        if asked is None:
            connection.ensure_connection()
            return None
        return asked(connection)
    finally:
        connection.close()


def _row(connection: BaseDatabaseWrapper, sql: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return tuple(cursor.fetchone())


def _postgresql(connection: BaseDatabaseWrapper) -> Limit:
    total, reserved, in_use, of_role, of_database, pid = _row(
        connection,
        "SELECT current_setting('max_connections')::int,"
        " coalesce(current_setting('superuser_reserved_connections', true), '0')::int"
        " + coalesce(current_setting('reserved_connections', true), '0')::int,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') - 1,"
        " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),"
        " (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),"
        " pg_backend_pid()",
    )
    limits = [limit + reserved for limit in (of_role, of_database) if limit is not None and limit >= 0]
    # A pooler invents the number by which its client may cancel; the server itself says the one of its process.
    raw: Any = connection.connection
    told = raw.info.backend_pid
    return Limit(total=min([total, *limits]), reserved=reserved, in_use=in_use, is_pooled=told != pid)


def _mysql(connection: BaseDatabaseWrapper) -> Limit:
    total, of_user = _row(connection, "SELECT @@max_connections, @@max_user_connections")
    _, in_use = _row(connection, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
    limits = [int(of_user)] if int(of_user) else []
    return Limit(total=min([int(total), *limits]), in_use=int(in_use) - 1)  # one more, for SUPER, is not among them


_ASKED = {"postgresql": _postgresql, "mysql": _mysql}


# --- counting --------------------------------------------------------------------------------------------------------


def connections_of(command: ServerCommand, threads: int, pool: int | None = None) -> tuple[int, str]:
    """Return how many connections to one alias a command may open at once, and the sum as a reader checks it."""
    machines = f"{command.given.replicas} replicas x " if command.given.replicas > 1 else ""
    workers = f"{machines}{command.workers} worker{'s' if command.workers > 1 else ''}"
    if command.server == "celery":
        return command.processes, f"{machines}{command.workers} of celery"
    if pool is not None:
        return command.processes * pool, f"{workers} x max_size {pool}"
    if command.protocol == "wsgi":
        own = command.threads or 0
        return command.processes * (
            own + threads
        ), f"{workers} x ({own} threads of {command.server} + THREADS {threads})"
    return command.processes * threads, f"{workers} x THREADS {threads}"


def pool_size(alias: str) -> int | None:
    """Return how many connections psycopg's pool of an alias may have in a process."""
    pool = connections.settings[alias].get("OPTIONS", {}).get("pool")
    if not pool:
        return None
    sizes = pool if isinstance(pool, dict) else {}
    return int(sizes.get("max_size") or sizes.get("min_size") or 4)  # psycopg_pool's own default


def _arithmetic(project: Project, aliases: list[str], limit: Limit) -> Iterator[Finding]:
    threads = get_settings().threads
    serving = _serving(project)
    total, sums = 0, []
    for alias in aliases:
        for command in serving:
            number, text = connections_of(command, threads, pool_size(alias))
            total += number
            sums.append(f"{command.place}: {text} = {number}" if len(aliases) == 1 else f"{alias}, {text} = {number}")
    taken = f" - {limit.reserved} reserved" if limit.reserved else ""
    there = f"{limit.free} ({limit.total}{taken}; {limit.in_use} in use now)"
    named = " and ".join(f"DATABASES[{alias!r}]" for alias in aliases)
    if not sums:
        message = f"{named} takes {there}; a process opens {threads} at most, and no command says how many processes."
        yield found("D020", Severity.FINE, message)
        return
    shown = f"{'; '.join(sums)}{f'; together {total}' if len(sums) > 1 else ''}"
    if limit.is_pooled:
        yield found("D020", Severity.FINE, f"{shown} connections to the pooler in front of {named}.")
    elif total > limit.free:
        message = f"{shown} connections may be open at once, and {named} takes {there}."
        yield found("D020", Severity.BROKEN, message, free=limit.free)
    elif total > limit.free * TIGHT:
        message = f"{shown} connections may be open at once, which leaves {limit.free - total} of {named}: {there}."
        yield found("D020", Severity.RISKY, message, free=limit.free)
    else:
        yield found("D020", Severity.FINE, f"{shown} connections at most, of {there} of {named}.")


def _serving(project: Project) -> list[ServerCommand]:
    """Return the commands of the one file that opens the most: others are other ways to deploy the same project."""
    files: dict[Path, list[ServerCommand]] = defaultdict(list)
    for command in project.commands:
        says_how_many = command.server != "celery" or command.threads is not None
        if says_how_many and not command.is_for_development:
            files[command.given.path].append(command)
    return max(files.values(), key=lambda entries: sum(entry.processes for entry in entries), default=[])


# --- ages, pools, poolers --------------------------------------------------------------------------------------------


def _ages(project: Project, alias: str) -> Iterator[Finding]:
    database = connections.settings[alias]
    if database["ENGINE"].endswith(("sqlite3", "spatialite", "dummy")):
        return
    size, threads = pool_size(alias), get_settings().threads
    if size is None and database["CONN_MAX_AGE"] == 0:
        message = (
            f"DATABASES[{alias!r}] has CONN_MAX_AGE = 0: every request, and every await of the ORM, connects anew."
        )
        yield found("D022", Severity.ADVICE, message, alias=alias)
    elif size is not None and size < threads:
        message = f"The pool of DATABASES[{alias!r}] has {size} connections, and the process {threads} threads."
        yield found("D023", Severity.ADVICE, message, alias=alias, threads=threads)


def _poolers(aliases: list[str], limit: Limit) -> Iterator[Finding]:
    for alias in aliases if limit.is_pooled else ():
        if not connections.settings[alias].get("DISABLE_SERVER_SIDE_CURSORS"):
            pooler = f"PgBouncer or another pooler stands in front of DATABASES[{alias!r}]"
            message = f"{pooler}, and cursors of the server are on."
            yield found("D024", Severity.RISKY, message, alias=alias)
