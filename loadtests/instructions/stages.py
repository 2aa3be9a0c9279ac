"""Which stage of a request instructions belong to.

How this works: Python 3.12 and newer can give each Python function machine code of its own, a trampoline, and write the
addresses to ``/tmp/perf-PID.map`` (``PYTHONPERFSUPPORT=1``). Callgrind counts the trampolines and is told to skip every
function of C, so that its instructions belong to the Python function that called it; but for a few that are a stage by
themselves. ``STAGES`` says which stage a function is. Trampolines cost something: the sum is a few percent too high.
"""

from __future__ import annotations

import re
import string
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from loadtests.servers import ROOT

Functions = dict[str, float]  # instructions per request

IS_POSSIBLE = sys.version_info >= (3, 12)
IMPOSSIBLE = "Stages need Python 3.12 or newer, which gives each Python function an address."
ENVIRONMENT = {"PYTHONPERFSUPPORT": "1"}

PARSE, SCREEN, ROUTE, BIND, CALL, ENCODE, WRITE = "parse", "screen", "route", "bind", "call", "encode", "write"
LOG, THREADS, DATABASE, DJANGO, SERVER, OTHER = "log", "threads", "database", "Django", "server", "other"
ORDER = (PARSE, SCREEN, ROUTE, BIND, CALL, ENCODE, WRITE, LOG, THREADS, DATABASE, DJANGO, SERVER, OTHER)

C_FUNCTIONS: Mapping[str, str] = {
    "JSONDecoder_decode": BIND,
    "JSONEncoder_encode": ENCODE,
    "msgspec_convert": BIND,
    "pysqlite_cursor_": DATABASE,
}
"""Functions of C by the beginning of their names; what they call in turn is theirs."""

STAGES: Sequence[tuple[str, str]] = (
    # Of one file, some functions; the first line that fits counts.
    ("hybrid_gateway/drivers/lane/*:*write*", WRITE),
    ("hybrid_gateway/drivers/lane/*:*on_response*", WRITE),
    ("hybrid_gateway/drivers/lane/*:*take", SCREEN),
    ("hybrid_gateway/drivers/lane/*:*_match*", ROUTE),
    ("hybrid_gateway/drivers/lane/*:*_find*", ROUTE),
    ("hybrid_gateway/drivers/lane/*:*_serve", CALL),
    ("hybrid_gateway/drivers/lane/*:*_answer*", CALL),
    ("hybrid_gateway/drivers/lane/*", PARSE),
    ("hybrid_gateway/drivers/wsgi_scope.py:start", WRITE),
    ("hybrid_gateway/drivers/wsgi_scope.py:*", PARSE),
    ("hybrid_gateway/drivers/response_heads.py:*", WRITE),
    ("hybrid_gateway/drivers/*:*find*", ROUTE),
    ("hybrid_gateway/drivers/*", CALL),
    ("hybrid_gateway/gateway/*", CALL),
    ("hybrid_gateway/dispatch/dispatcher.py:*find*", ROUTE),
    ("hybrid_gateway/dispatch/routing_table.py:*", ROUTE),
    ("hybrid_gateway/dispatch/prefixes.py:*", ROUTE),
    ("hybrid_gateway/dispatch/dispatcher.py:*final*", WRITE),
    ("hybrid_gateway/dispatch/security_headers.py:*", WRITE),
    ("hybrid_gateway/dispatch/*", SCREEN),
    ("hybrid_gateway/routing/*", ROUTE),
    ("hybrid_gateway/request/head_parsing.py:*", SCREEN),
    ("hybrid_gateway/request/*", BIND),
    ("hybrid_gateway/binding/*", BIND),
    ("hybrid_gateway/text_values.py:*", BIND),
    ("hybrid_gateway/url_quoting.py:*", PARSE),
    ("hybrid_gateway/endpoints/errors.py:*", ENCODE),
    ("hybrid_gateway/endpoints/*", CALL),
    ("hybrid_gateway/headers.py:*", WRITE),
    ("hybrid_gateway/responses/*", ENCODE),
    ("hybrid_gateway/telemetry/*", LOG),
    ("hybrid_gateway/concurrency/*", THREADS),
    ("hybrid_gateway/_compat/uvicorn_internals.py:*write*", WRITE),
    ("hybrid_gateway/_compat/uvicorn_internals.py:*", SERVER),
    ("hybrid_gateway/_compat/asgiref_internals.py:*", THREADS),
    ("hybrid_gateway/_compat/django_connection_internals.py:*", THREADS),
    ("hybrid_gateway/_compat/django_*", DATABASE),
    ("hybrid_gateway/orm/views/*", ENCODE),
    ("hybrid_gateway/orm/*", DATABASE),
    ("hybrid_gateway/tokens/*", DATABASE),
    ("hybrid_gateway/auth/*", CALL),
    ("hybrid_gateway/django_side/*", DJANGO),
    ("<gateway row of *", DATABASE),
    ("<gateway *: *", BIND),  # readers of path, query and headers are compiled per handler
    ("<gateway *", CALL),
    ("loadtests/instructions/wsgi_loop.py:*", SERVER),
    ("loadtests/*", CALL),
    ("django/db/*", DATABASE),
    ("sqlite3/*", DATABASE),
    ("django/utils/connection.py:*", THREADS),
    ("django/core/cache/*", THREADS),
    ("django/utils/asyncio.py:*", DATABASE),
    ("django/*", DJANGO),
    ("asgiref/*", THREADS),
    ("threading.py:*", THREADS),
    ("concurrent/*", THREADS),
    ("queue.py:*", THREADS),
    ("logging/*", LOG),
    ("prometheus_client/*", LOG),
    ("uvicorn/protocols/*:*.send", WRITE),
    ("uvicorn/protocols/*:*on_response_complete", WRITE),
    ("uvicorn/protocols/*asgi*", SERVER),
    ("uvicorn/protocols/*", PARSE),
    ("uvicorn/*", SERVER),
    ("asyncio/*", SERVER),
    ("selectors.py:*", SERVER),
    ("_weakrefset.py:*", SERVER),  # tasks
    ("email/*", WRITE),  # the date header
)


def skipped_names(kept: Iterable[str]) -> list[str]:
    """Give patterns that fit every name of C but those that begin with one of ``kept``."""
    beginnings = {name[:length] for name in kept for length in range(len(name))}
    letters = string.ascii_letters + string.digits + "_.@'$(<~:"
    patterns = []
    for beginning in sorted(beginnings):
        if beginning:
            patterns.append(beginning)
        # Names with no letter first are addresses: 0x...
        after = letters if beginning else letters.replace("0", "")
        patterns += [f"{beginning}{letter}*" for letter in after if not _begins(beginning + letter, kept)]
    return patterns


def _begins(start: str, kept: Iterable[str]) -> bool:
    return any(name.startswith(start) for name in kept)


def valgrind_options() -> list[str]:
    """What callgrind is to be told, so that its dumps can be read here."""
    return ["--dump-instr=yes", *(f"--fn-skip={pattern}" for pattern in skipped_names(C_FUNCTIONS))]


def read_functions(dump: str, perf_map: str, counted: int) -> Functions:
    """Read a dump: instructions per request of each Python function, what it calls in C included."""
    own, edges = _read_costs(dump, _Addresses(perf_map))
    functions: Counter[str] = Counter()
    rest = Counter(own)
    for _ in range(_DEEPEST):
        rest, below = Counter(), rest
        for name, cost in below.items():
            if name.startswith(_PYTHON) or _kept(name):
                functions[name.removeprefix(_PYTHON)] += cost
                continue
            # Code without a name, as of a stripped library: it belongs to whoever calls it.
            callers = {caller: spent for caller, spent in edges[name].items() if caller != name}
            if not callers:
                functions[_BASE] += cost
            for caller, spent in callers.items():
                rest[caller] += cost * spent / sum(callers.values())
    functions[_BASE] += sum(rest.values())
    return {name: cost / counted for name, cost in functions.items()}


_PYTHON = "py::"  # how trampolines are called in the map
_BASE = "the event loop, the server and the parser"  # what no Python function has called
_DEEPEST = 20  # calls between functions without a name
_COST = re.compile(r"(?:0x[0-9a-f]+|[+-]\d+|\*) (?:\S+ )?(\d+)")


def _read_costs(dump: str, addresses: _Addresses) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """Read what functions cost by themselves, and what calls of each cost by caller."""
    own: Counter[str] = Counter()
    edges: dict[str, Counter[str]] = defaultdict(Counter)
    names: dict[str, str] = {}
    function = called = ""
    is_call = False
    for line in dump.splitlines():
        if line.startswith(("fn=", "cfn=")):
            kind, _, text = line.partition("=")
            number, _, name = text.partition(" ")
            if name:
                names[number] = addresses.name_of(name)
            if kind == "fn":
                function = names[number]
            else:
                called = names[number]
        elif line.startswith("calls="):
            is_call = True
        elif found := _COST.fullmatch(line):
            if is_call:
                edges[called][function] += int(found[1])
                is_call = False
            else:
                own[function] += int(found[1])
    return own, edges


def _kept(name: str) -> str | None:
    return next((start for start in C_FUNCTIONS if name.startswith(start)), None)


class _Addresses:
    """The names of trampolines by their addresses."""

    def __init__(self, perf_map: str) -> None:
        rows = sorted(
            (int(start, 16), int(size, 16), name)
            for start, size, name in (line.split(" ", 2) for line in perf_map.splitlines())
        )
        self._starts = [start for start, _, _ in rows]
        self._rows = rows

    def name_of(self, function: str) -> str:
        """Name the Python function whose trampoline this is; others keep the name they have."""
        if not function.startswith("0x"):
            return function
        address = int(function.partition("'")[0], 16)
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._rows[index][0] + self._rows[index][1]:
            return function
        qualname, _, path = self._rows[index][2].removeprefix(_PYTHON).partition(":")
        return f"{_PYTHON}{_PLACES.sub('', path)}:{qualname}"


_PLACES = re.compile(rf"^(?:{re.escape(str(ROOT))}/|.*/site-packages/|.*/lib/python3\.\d+/)")


def stage_of(function: str) -> str:
    """Say which stage a function is."""
    if kept := _kept(function):
        return C_FUNCTIONS[kept]
    if function == _BASE:
        return SERVER
    return next((stage for pattern, stage in STAGES if fnmatchcase(function, pattern)), OTHER)


def stages_of(functions: Functions) -> dict[str, float]:
    """Add functions up by stage."""
    stages = dict.fromkeys(ORDER, 0.0)
    for name, cost in functions.items():
        stages[stage_of(name)] += cost
    return stages
