"""Concern: is what servers serve the gateway?

How this works: every application that a command names, that the settings name, or that lies beside the settings is
imported, and what came is searched for a :class:`Gateway`, through whatever wraps it. Python files of others are left
alone: a command may start another service.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Literal

from django.conf import settings
from django.core.handlers.base import BaseHandler

from hybrid_gateway.checks.settings_checks import application_remedy, find_file, modules_beside_settings
from hybrid_gateway.doctor.command_files import files_below
from hybrid_gateway.doctor.command_lines import ROUTERS, ServerCommand
from hybrid_gateway.doctor.examined_project import (
    Application,
    Kind,
    Project,
    settings_module,
    settings_named_in,
    shown,
    source_of,
)
from hybrid_gateway.doctor.finding import Finding, Severity, found, together
from hybrid_gateway.drivers.wsgi_driver import WSGIDriver
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.application import Gateway

MAX_OBJECTS = 500
MAX_LEVELS = 6


def look_at_applications(project: Project) -> Iterator[Finding]:
    """Yield W004 and W005 for Django alone, D010 to D013 for applications that are not there or cannot be told."""
    applications = project.applications
    served: set[str] = {
        application.protocol for application in applications if application.kind in ("gateway", "wrapped")
    }
    for application in applications:
        yield from _verdict(application, project, served)
    yield from _of_other_protocols(project)
    yield from _of_other_settings(applications, project)


# --- which there are -------------------------------------------------------------------------------------------------


def find_applications(commands: Iterable[ServerCommand]) -> tuple[Application, ...]:
    """Return every application that commands or the settings name, or that lies beside these, and what each is."""
    known: dict[str, Application] = {}
    protocols: tuple[Literal["asgi", "wsgi"], ...] = ("asgi", "wsgi")
    for protocol in protocols:
        name = f"{protocol.upper()}_APPLICATION"
        dotted = getattr(settings, name, None)
        if isinstance(dotted, str) and "." in dotted:
            target = ":".join(dotted.rsplit(".", 1))
            known[target] = Application(target=target, protocol=protocol, setting=name)
    for command in commands:
        if command.mistaken_for:
            continue
        if command.server == "gateway serve":
            for application in known.values():
                if application.setting == "ASGI_APPLICATION":
                    application.commands.append(command)
        elif command.target:
            application = known.setdefault(
                command.target, Application(target=command.target, protocol=command.protocol)
            )
            application.commands.append(command)
    for protocol, module in modules_beside_settings():
        known.setdefault(f"{module}:application", Application(target=f"{module}:application", protocol=protocol))
    for application in known.values():
        _look_at(application)
    return tuple(known.values())


def _look_at(application: Application) -> None:
    module, _, attribute = application.target.partition(":")
    with _importable(application.commands):
        application.file = find_file(module)
        if not _may_be_djangos(module, application.file):
            return
        try:
            with _undisturbed():
                imported = _attribute(module, attribute)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, too: the file of somebody else
            application.error = error
        else:
            application.kind = kind_of(imported)


def _attribute(module: str, attribute: str) -> object:
    __import__(module)
    found: object = sys.modules[module]
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


def _may_be_djangos(module: str, file: Path | None) -> bool:
    if module.startswith("hybrid_gateway."):
        return True
    source = source_of(file)
    return any(word in source for word in ("get_asgi_application", "get_wsgi_application", "hybrid_gateway"))


@contextmanager
def _importable(commands: Iterable[ServerCommand]) -> Iterator[None]:
    """Let modules be found where the commands find them: in the folder that they start in."""
    before = list(sys.path)
    for command in commands:
        start = command.given.path.parent
        folders = [start / command.folder, *start.parents[:2]] if command.folder else [start, start / "src"]
        sys.path += [str(folder) for folder in folders if folder.is_dir() and str(folder) not in sys.path]
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Undo what importing an application does to the process: environment, handlers of signals."""
    environment = dict(os.environ)
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if is_main else {}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in handlers.items():
            with suppress(TypeError):  # one that was not installed by Python cannot be put back by it
                signal.signal(number, handler)


# --- what each is ----------------------------------------------------------------------------------------------------


def kind_of(thing: object) -> Kind:
    """Return whether an object is the gateway, has it inside, or is Django alone."""
    if isinstance(thing, Gateway | WSGIDriver):
        return "gateway"
    seen: set[int] = set()
    level, is_django = [thing], False
    for _ in range(MAX_LEVELS):
        following: list[object] = []
        for entry in level:
            if id(entry) in seen or len(seen) > MAX_OBJECTS:
                continue
            seen.add(id(entry))
            if isinstance(entry, Gateway | WSGIDriver):
                return "wrapped"
            if isinstance(entry, BaseHandler):
                is_django = True
            else:
                following += _inside(entry)
        level = following
    return "django" if is_django else "other"


def _inside(thing: object) -> Iterator[object]:
    """Yield what an application may pass requests on to."""
    if isinstance(thing, Mapping):
        # Of a router of protocols, HTTP counts: the rest may be anybody's.
        yield from [thing["http"]] if "http" in thing else thing.values()
    elif isinstance(thing, list | tuple):
        yield from thing[:50]
    elif isinstance(thing, partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, MethodType):
        yield from (thing.__self__, thing.__func__)
    elif isinstance(thing, FunctionType):
        for cell in thing.__closure__ or ():
            with suppress(ValueError):  # one that is empty
                yield cell.cell_contents
        yield from (thing.__globals__.get(name) for name in _names(thing.__code__) if name in thing.__globals__)
    elif not isinstance(thing, type) and type(thing).__module__.partition(".")[0] not in _OF_NO_INTEREST:
        yield from getattr(thing, "__dict__", {}).values()
        yield from (getattr(thing, name, None) for name in getattr(type(thing), "__slots__", ()))


_OF_NO_INTEREST = frozenset(("logging", "threading", "re", "pathlib", "asyncio", "builtins", "sqlite3", "weakref"))


def _names(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


# --- what to say -----------------------------------------------------------------------------------------------------


def _verdict(application: Application, project: Project, served: set[str]) -> Iterator[Finding]:
    module, _, attribute = application.target.partition(":")
    named = together(command.place for command in application.commands)
    file = shown(application.file, project.root) if application.file is not None else ""
    if application.error is not None:
        yield from _failed(application, project, named, file)
    elif application.file is None and not module.startswith("hybrid_gateway."):
        package = module.rpartition(".")[0]
        is_there = package and find_file(package) is not None
        if application.commands and (is_there or _is_nowhere(application, project.root)):
            yield found("D010", Severity.BROKEN, f"{named} serves {application.target}, and there is no {module}.")
    elif application.kind == "django":
        yield _django_alone(application, project, served, named, file)
    elif application.kind == "other" and _may_be_djangos(module, application.file):
        message = f"{file} has an {attribute!r} in which neither the gateway nor Django is to be found."
        yield found("D012", Severity.ADVICE, message, place=file)
    elif application.kind in ("gateway", "wrapped"):
        where = named or application.setting or file
        what = "the gateway" if application.kind == "gateway" else "the gateway, inside of something"
        yield found("W004" if application.protocol != "wsgi" else "W005", Severity.FINE, f"{where} serves {what}.")


def _is_nowhere(application: Application, root: Path) -> bool:
    """Tell whether a command that can mean nothing but this project names a package that is nowhere in it."""
    top = application.target.partition(":")[0].partition(".")[0]
    means_project = any(
        command.given.platform in ROUTERS or command.given.path.name.startswith("Dockerfile")
        for command in application.commands
    )
    if not means_project or find_file(top) is not None:
        return False
    return not any(path.stem == top or top in path.relative_to(root).parts for path in files_below(root))


def _failed(application: Application, project: Project, named: str, file: str) -> Iterator[Finding]:
    error = application.error
    if isinstance(error, ConfigurationError) or project.gateway is None:
        return  # the system checks tell
    if isinstance(error, AttributeError) and application.commands:
        attribute = application.target.rpartition(":")[2]
        yield found("D010", Severity.BROKEN, f"{named} serves {application.target}: {file} has no {attribute!r}.")
        return
    place = file or application.target
    message = f"{place} cannot be imported: {raised_in(error, project.root)}" if error is not None else place
    severity = Severity.BROKEN if application.commands or application.setting else Severity.RISKY
    yield found("D011", severity, message, place=file)


def _django_alone(application: Application, project: Project, served: set[str], named: str, file: str) -> Finding:
    protocol: Literal["asgi", "wsgi"] = "wsgi" if application.protocol == "wsgi" else "asgi"
    if named:
        severity = Severity.BROKEN
        verb = "serves" if len({command.place for command in application.commands}) == 1 else "serve"
        message = f"{named} {verb} {application.target}, which is Django alone ({file}): no route answers there."
    else:
        whom = f"{application.setting} names it" if application.setting else "servers are usually told to serve it"
        message = f"{file} makes Django's application, without the gateway, and {whom}: no route would answer there."
        is_served_elsewhere = bool(served) and (bool(project.production) or protocol not in served)
        is_run = application.setting == "ASGI_APPLICATION" and not project.production  # by runserver, if by nobody else
        severity = Severity.RISKY if is_served_elsewhere and not is_run else Severity.BROKEN
        if project.production and not application.setting and served:
            severity = Severity.ADVICE
    return found(
        "W004" if protocol == "asgi" else "W005",
        severity,
        message,
        place=file,
        remedy=application_remedy(protocol, application.file),
    )


def raised_in(error: BaseException, root: Path) -> str:
    """Return what an error says, on one line, and the last line of the project's own that it came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    own = [
        frame for frame in frames if Path(frame.filename).is_relative_to(root) and "site-packages" not in frame.filename
    ]
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    place = (own or frames)[-1:]
    return f"{text} ({shown(Path(place[0].filename), root)}:{place[0].lineno})" if place else text


def _of_other_protocols(project: Project) -> Iterator[Finding]:
    for command in project.commands:
        if command.mistaken_for:
            message = f"{command.place} starts `{command.mistaken_for}`, and there is no such command."
            yield found("D010", Severity.BROKEN, message, place=command.place)
        if command.server == "granian" and command.protocol == "other":
            message = f"{command.place} starts granian without --interface asgi or wsgi: it would speak RSGI."
            yield found("D013", Severity.BROKEN, message, place=command.place)
        given = command.given
        is_web = given.platform in ROUTERS | {"unit"} and (given.platform != "heroku" or given.name == "web")
        if command.server == "runserver" and is_web and not given.is_for_development:
            message = f"{command.place} serves with runserver, which is made for development."
            yield found("D014", Severity.RISKY, message, place=command.place)


def _of_other_settings(applications: Iterable[Application], project: Project) -> Iterator[Finding]:
    """Yield D004 where settings of development are looked at, and servers have others.

    What an ``asgi.py`` says is a default; those who look at settings of production have chosen them.
    """
    if not settings.DEBUG:
        return
    current = settings_module()
    for application in applications:
        commands = [command for command in application.commands if not command.is_for_development]
        named = {command.given.environment.get("DJANGO_SETTINGS_MODULE", "") for command in commands} - {""}
        named = named or {settings_named_in(source_of(application.file)) or ""} - {""}
        other = sorted(named - {current})
        if current and other and current not in named and (commands or not project.production):
            where = commands[0].place if commands else shown(application.file or project.root, project.root)
            message = f"{where} is for the settings {other[0]!r}; what is said here is about {current!r}."
            yield found("D004", Severity.ADVICE, message, place=where, other=other[0])
            return
