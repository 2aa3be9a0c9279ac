"""Command lines of servers: which server, which application, how many processes and threads.

How this works: a text is cut into words as a shell would, at ``&&``, ``;`` and pipes. What stands before a server's
name has to be something that starts programs (``exec``, ``poetry run``, ``python -m``), or the name is a word like any
other: ``pip install gunicorn`` starts no gunicorn.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec
from msgspec import Struct

from hybrid_gateway.doctor.server_settings import gunicorn_settings

Platform = Literal["heroku", "fly", "render", "railway", "platform", "container", "unit", "script"]

ROUTERS: frozenset[Platform] = frozenset(("heroku", "fly", "render", "railway", "platform"))
"""Those of which a router of theirs always stands in front of the server, and speaks TLS in its place."""


class CommandText(Struct, frozen=True, kw_only=True):
    """A text that may start a server, as a file has it."""

    text: str
    path: Path
    place: str
    """Where it stands, ``Procfile:2``."""
    platform: Platform
    environment: Mapping[str, str] = {}
    """Variables that the same file sets."""
    replicas: int = 1
    name: str = ""
    """The name of the process or service, where it has one."""
    is_for_development: bool = False


class ServerCommand(Struct, frozen=True, kw_only=True):
    """A server as a command line starts it."""

    given: CommandText
    server: str
    """``uvicorn``, ``gunicorn``, ``gateway serve``, ``runserver``, ``celery``…"""
    target: str = ""
    """The application as ``module:attribute``; empty where the settings name it."""
    protocol: Literal["asgi", "wsgi", "other"] = "asgi"
    options: Mapping[str, str] = {}
    workers: int = 1
    threads: int | None = None
    """Those of the server itself, under WSGI; ``None`` where it starts as many as it likes."""
    mistaken_for: str = ""
    """What stands there, where that is no command, and this one is meant."""
    folder: str = ""
    """Where it starts, relative to the folder of its file, or absolute."""

    @property
    def place(self) -> str:
        return self.given.place

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]

    @property
    def is_for_development(self) -> bool:
        return self.given.is_for_development or self.server == "runserver" or "--reload" in self.options

    @property
    def processes(self) -> int:
        """All of them, on every machine that the file asks for."""
        return self.workers * self.given.replicas


def read_commands(given: CommandText) -> Iterator[ServerCommand]:
    """Yield the servers that a text starts."""
    text = given.text.replace("\\\n", " ").replace("\n", " ; ")
    for words in _simple_commands(_with_variables(text, given.environment)):
        command = _started(given, words, "")
        if command is not None:
            yield command


# --- words -----------------------------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-=]([^}]*))?\}|\$(\w+)|\$\(\((.*?)\)\)")


def _with_variables(text: str, environment: Mapping[str, str]) -> str:
    """Fill in variables: by the file's own environment, by the default that the text gives; others stay empty."""

    def value(match: re.Match[str]) -> str:
        name, default = match[1] or match[3] or "", match[2]
        return environment.get(name, default if default is not None else f"${name}" if name in _BY_PLATFORM else "")

    return _VARIABLE.sub(value, text)


_BY_PLATFORM = frozenset({"PORT"})  # which a platform sets, and stays to be seen


def _simple_commands(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set(";&|()<>"):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # a quote that is not closed: no shell would start that either
        return
    yield words


_PREFIXES: Mapping[str, int] = {  # what starts programs, and how many words of its own it takes
    **dict.fromkeys(("exec", "nohup", "time", "sudo", "env", "tini", "dumb-init", "--", "catchsegv", "then", "do"), 0),
    **dict.fromkeys(("poetry", "uv", "pipenv", "pdm", "hatch", "rye", "newrelic-admin", "chamber", "doppler", "op"), 1),
    **dict.fromkeys(("gosu", "su-exec", "setuidgid", "wait-for-it", "wait-for-it.sh", "timeout", "s6-setuidgid"), 1),
    **dict.fromkeys(("opentelemetry-instrument", "ddtrace-run", "watchmedo", "catatonit", "nice"), 0),
    **dict.fromkeys(("bin/start-nginx", "bin/start-pgbouncer", "bin/start-pgbouncer-stunnel", "bin/qgtunnel"), 0),
    **dict.fromkeys(("start-nginx", "start-pgbouncer", "start-pgbouncer-stunnel", "@", "-", "run"), 0),
}
_SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh"))
_PYTHON = re.compile(r"python[\d.]*$|pypy[\d.]*$|\$?\(?PYTHON\)?$")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def _started(given: CommandText, words: Sequence[str], folder: str) -> ServerCommand | None:
    """Return the server that the words of one simple command start."""
    position = 0
    while position < len(words):
        word = words[position]
        name = PurePosixPath(word).name
        rest = words[position + 1 :]
        if name in _SHELLS and "-c" in rest:
            inner = rest[rest.index("-c") + 1 :]
            parts = (msgspec.structs.replace(given, text=text) for text in inner[:1])
            return next((command for part in parts for command in read_commands(part)), None)
        if _PYTHON.match(name):
            position += 1
            continue
        if word == "-m" and rest:
            name = rest[0].removesuffix(".__main__").replace("waitress", "waitress-serve")
            if name == "hybrid_gateway":
                return _mistaken(given, ["python -m hybrid_gateway", *rest[1:]])
            return _read(name, given, rest[1:]) if name in _READERS else None
        if name in ("manage.py", "django-admin", "manage"):
            return _managed(given, rest)
        if name in ("hybrid_gateway", "hybrid-gateway"):
            return _mistaken(given, [name, *rest])
        if name in _READERS:
            return _read(name, given, rest)
        if name in _PREFIXES:
            position += 1 + _PREFIXES[name]
        elif _ASSIGNMENT.match(word) or word.startswith("-"):
            position += 1
        else:
            return None
    return None


def _mistaken(given: CommandText, words: Sequence[str]) -> ServerCommand | None:
    if words[1:2] not in (["serve"], ["runserver"], ["run"], ["gateway"]):
        return None
    read = _gateway_serve(given, _options("gateway serve", words[2:])[0], ())
    return msgspec.structs.replace(read, mistaken_for=" ".join(words[: 3 if words[1] == "gateway" else 2]))


def _managed(given: CommandText, words: Sequence[str]) -> ServerCommand | None:
    named = [word for word in words if not word.startswith("-")]
    if named[:2] == ["gateway", "serve"]:
        return _read("gateway serve", given, words[words.index("serve") + 1 :])
    if named[:1] in (["runserver"], ["runserver_plus"]):
        return _read("runserver", given, ())
    return None


# --- options ---------------------------------------------------------------------------------------------------------

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(.*\))?$")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.\w+)+$")

_SHORT: Mapping[str, Mapping[str, str]] = {
    "gunicorn": {
        "-w": "--workers",
        "-k": "--worker-class",
        "-b": "--bind",
        "-c": "--config",
        "-t": "--timeout",
        "-n": "--name",
        "-u": "--user",
        "-g": "--group",
        "-p": "--pid",
        "-m": "--umask",
        "-e": "--env",
    },
    "hypercorn": {"-w": "--workers", "-k": "--worker-class", "-b": "--bind", "-c": "--config", "-p": "--pid"},
    "daphne": {"-b": "--bind", "-p": "--port", "-u": "--uds", "-e": "--endpoint", "-t": "--http-timeout"},
    "uwsgi": {"-p": "--processes", "-w": "--module", "-H": "--home", "-M": "--master", "-s": "--socket"},
    "celery": {"-c": "--concurrency", "-A": "--app", "-P": "--pool", "-l": "--loglevel", "-Q": "--queues"},
}
_FLAGS = frozenset(
    (
        *("--reload", "--preload", "--daemon", "--capture-output", "--no-sendfile", "--reuse-port", "--proxy-headers"),
        *("--no-proxy-headers", "--access-log", "--no-access-log", "--factory", "--no-server-header", "--master", "-M"),
        *("--no-date-header", "--enable-threads", "--respawn-failed-workers", "--debug", "--beat", "-B", "-R", "-D"),
        *("--check-config", "--print-config", "--use-colors", "--no-use-colors", "--no-ws", "--ws", "--vacuum"),
        *("--die-on-term", "--lazy-apps", "--single-interpreter", "--initgroups", "--spew", "--insecure"),
    )
) - {"--ws"}


def _options(server: str, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return options by their long names, and what stands alone."""
    options: dict[str, str] = {}
    alone: list[str] = []
    short = _SHORT.get(server, {})
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            alone.append(word)
            continue
        name, has_value, value = word.partition("=")
        if not name.startswith("--") and name[:2] in short and len(name) > 2:  # -w4
            name, has_value, value = name[:2], "=", word[2:]
        if not has_value and name not in _FLAGS and waiting:
            following = waiting[0]
            if following.startswith("unix:") or not (following.startswith("--") or _TARGET.match(following)):
                value = waiting.pop(0)
        options[short.get(name, name)] = value
    return options, alone


def _number(*texts: object, least: int = 1) -> int | None:
    """Return the first of several texts that is a number."""
    for text in texts:
        if isinstance(text, int) or (isinstance(text, str) and text.strip().isdigit()):
            return max(int(text), least)
    return None


# --- servers ---------------------------------------------------------------------------------------------------------


def _read(server: str, given: CommandText, words: Sequence[str]) -> ServerCommand | None:
    options, alone = _options(server, words)
    target = next((word for word in alone if _TARGET.match(word)), "")
    return _READERS[server](given, options, [target] if target else alone)


_FILES = (".ini", ".py", ".toml", ".json", ".yml", ".yaml", ".sh", ".conf", ".sock", ".log")


def _target(alone: Sequence[str]) -> str:
    """Return ``module:attribute``; a module alone means its ``application``."""
    for word in alone:
        if _TARGET.match(word):
            return word.partition("(")[0]
        if _MODULE.match(word):
            return f"{word}:application" if not word.endswith(_FILES) else ""
    return ""


def _uvicorn(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand | None:
    if not _target(alone):
        return None
    return ServerCommand(
        given=given,
        server="uvicorn",
        target=_target(alone),
        protocol="wsgi" if options.get("--interface") == "wsgi" else "asgi",
        options=options,
        workers=_number(options.get("--workers"), given.environment.get("WEB_CONCURRENCY")) or 1,
        folder=options.get("--app-dir", ""),
    )


def _gateway_serve(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand:
    workers = _number(options.get("--workers"), given.environment.get("WEB_CONCURRENCY")) or 1
    return ServerCommand(given=given, server="gateway serve", options=options, workers=workers)


def _gunicorn(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand | None:
    folder = options.get("--chdir", "")
    read = gunicorn_settings(options.get("--config", ""), given.path.parent, folder, given.environment)
    values = {**read, **{name[2:].replace("-", "_"): value for name, value in options.items() if name[:2] == "--"}}
    target = _target(alone) or _target([str(values.get("wsgi_app", ""))])
    if not target:
        return None
    worker = str(values.get("worker_class", "sync"))
    is_asgi = any(word in worker.lower() for word in ("uvicorn", "asgi", "lane", "hypercorn", "granian"))
    is_green = any(word in worker for word in ("gevent", "eventlet"))
    threads = _number(values.get("threads")) or 1
    merged = {
        **{f"--{name.replace('_', '-')}": str(value) for name, value in read.items() if value is not None},
        **options,
    }
    return ServerCommand(
        given=given,
        server="gunicorn",
        target=target,
        protocol="asgi" if is_asgi else "wsgi",
        options={**merged, "--worker-class": "gthread" if worker == "sync" and threads > 1 else worker},
        workers=_number(values.get("workers"), given.environment.get("WEB_CONCURRENCY")) or 1,
        threads=None if is_asgi else _number(values.get("worker_connections")) if is_green else threads,
        folder=str(values.get("chdir") or values.get("pythonpath") or ""),
    )


def _granian(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand | None:
    interface = options.get("--interface", given.environment.get("GRANIAN_INTERFACE", "rsgi"))
    if not _target(alone):
        return None
    return ServerCommand(
        given=given,
        server="granian",
        target=_target(alone),
        protocol="wsgi" if interface == "wsgi" else "asgi" if interface.startswith("asgi") else "other",
        options=options,
        workers=_number(options.get("--workers"), given.environment.get("GRANIAN_WORKERS")) or 1,
        threads=_number(options.get("--blocking-threads")),
        folder=options.get("--working-dir", ""),
    )


def _hypercorn(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand | None:
    target = _target([word.removeprefix("asgi:") for word in alone])
    if not target:
        return None
    workers = _number(options.get("--workers")) or 1
    return ServerCommand(given=given, server="hypercorn", target=target, options=options, workers=workers)


def _daphne(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand | None:
    target = _target(alone)
    return ServerCommand(given=given, server="daphne", target=target, options=options) if target else None


def _waitress(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand | None:
    threads = _number(options.get("--threads")) or 4
    target = _target(alone)
    read = ServerCommand(
        given=given, server="waitress", target=target, protocol="wsgi", options=options, threads=threads
    )
    return read if target else None


def _uwsgi(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand | None:
    target = _target([options.get("--module", ""), options.get("--wsgi", ""), *alone])
    if not target:  # a file has the rest, and is read for itself
        return None
    return ServerCommand(
        given=given,
        server="uwsgi",
        target=target,
        protocol="wsgi",
        options=options,
        workers=_number(options.get("--processes"), options.get("--workers")) or 1,
        threads=_number(options.get("--threads")) or 1,
        folder=options.get("--chdir", ""),
    )


def _runserver(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand:
    return ServerCommand(given=given, server="runserver")


def _celery(given: CommandText, options: dict[str, str], alone: Sequence[str]) -> ServerCommand | None:
    if "worker" not in alone:
        return None
    processes = _number(options.get("--concurrency"))
    return ServerCommand(
        given=given, server="celery", protocol="other", options=options, workers=processes or 1, threads=processes
    )


_READERS = {
    "uvicorn": _uvicorn,
    "gateway serve": _gateway_serve,
    "gunicorn": _gunicorn,
    "granian": _granian,
    "hypercorn": _hypercorn,
    "daphne": _daphne,
    "waitress-serve": _waitress,
    "uwsgi": _uwsgi,
    "runserver": _runserver,
    "celery": _celery,
}
