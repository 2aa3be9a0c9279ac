"""Concern: is the lane on, command by command, and why not?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

from django.conf import settings

from hybrid_gateway.doctor.command_lines import ServerCommand
from hybrid_gateway.doctor.examined_project import Project, source_of
from hybrid_gateway.doctor.finding import Finding, Severity, found, together
from hybrid_gateway.drivers.lane.obstacles import find_obstacle

_LANE_WORKER = "hybrid_gateway.workers.LaneWorker"


def look_at_lanes(project: Project) -> Iterator[Finding]:
    """Yield D040 where the lane is off and could be on, D041 where a server lacks its packages."""
    said: dict[tuple[Severity, str], list[str]] = {}
    for command in project.production:
        yield from _packages(command)
        application = project.served_by(command)
        if command.protocol == "asgi" and application is not None and application.kind in ("gateway", "wrapped"):
            reason = _reason(command, project)
            if reason is None:
                verdict = (Severity.FINE, "the lane is on.")
            elif reason:
                verdict = (Severity.ADVICE, f"the lane is off: {reason}")
            else:
                verdict = (Severity.FINE, f"{command.server} has no lane, which is uvicorn's.")
            said.setdefault(verdict, []).append(command.place)
    for (severity, text), places in said.items():
        yield found("D040", severity, f"{together(places)}: {text}", place=places[0])


def _reason(command: ServerCommand, project: Project) -> str | None:
    """Return why the lane is off; ``None`` where it is on, nothing where the server knows none."""
    worker = command.options.get("--worker-class", "")
    if command.server == "uvicorn":
        return "the command uvicorn has no option for it; `manage.py gateway serve` is uvicorn with the lane."
    if command.server == "gunicorn" and worker != _LANE_WORKER:
        is_uvicorn = "uvicorn" in worker.lower()
        return f"-k {worker} does not know it; -k {_LANE_WORKER} is that worker with the lane." if is_uvicorn else ""
    if command.server not in ("gateway serve", "gunicorn"):
        return ""
    if "--limit-concurrency" in command.options:
        return "--limit-concurrency ends it, since only uvicorn's own road counts."
    application, gateway = project.served_by(command), project.gateway
    if application is not None and application.kind == "wrapped":
        return f"what wraps the gateway in {application.target} must see every request."
    if gateway is None:
        return None
    prefix = command.options.get("--root-path", "") or settings.FORCE_SCRIPT_NAME or ""
    return find_obstacle(gateway, prefix)


_NEEDED = {"gateway serve": ("uvicorn", "httptools"), "waitress": ("waitress",)}
_EXTRAS = {"gateway serve": "hybrid-gateway[server]", _LANE_WORKER: "hybrid-gateway[gunicorn]"}

_INSTALLS = re.compile(r"\b(?:pip3? install|uv add|poetry add)\b([^\n;&|]*)")  # as an image's own file has it


def _packages(command: ServerCommand) -> Iterator[Finding]:
    worker = command.options.get("--worker-class", "")
    needed = [*_NEEDED.get(command.server, (command.server,))]
    if worker == _LANE_WORKER or worker.startswith("uvicorn_worker"):
        needed.append("uvicorn_worker")
    installed_there = " ".join(_INSTALLS.findall(source_of(command.given.path).replace("\\\n", " ")))
    missing = [
        name
        for name in needed
        if name not in ("runserver", "uwsgi")
        and find_spec(name) is None
        and not re.search(rf"[\s\"']{name.replace('_', '[-_]')}(?![\w-])", installed_there)
    ]
    if missing:
        package = _EXTRAS.get(worker) or _EXTRAS.get(command.server) or missing[0].replace("_", "-")
        message = f"{command.place} starts {command.server}, and there is no {missing[0]} in this environment."
        yield found("D041", Severity.RISKY, message, place=command.place, package=package)
