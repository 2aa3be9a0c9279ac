"""The changes that ``init`` would make in a project: settings, entry points, the module of routes, requirements."""

from __future__ import annotations

import re
from os import environ
from pathlib import Path

import msgspec

from hybrid_gateway.scaffold.changes import FileChange, ScaffoldError
from hybrid_gateway.scaffold.entry_points import (
    by_hand,
    edit_entry_point,
    keeps_lifespan,
    modelled_on,
    new_entry_point,
    to_write,
)
from hybrid_gateway.scaffold.probe import ProjectFacts
from hybrid_gateway.scaffold.project import VARIABLE, Project, all_named_settings
from hybrid_gateway.scaffold.requirements_files import requirement_changes
from hybrid_gateway.scaffold.settings_edits import APP, edit_settings, gateway_setting, names_apps

_ROUTES = '''"""What the typed API answers; the pages of Django are in {urlconf}."""

from hybrid_gateway import get


@get("{path}")
async def hello(name: str = "World") -> dict[str, str]:
    """Say hello, to whom `?name=` says."""
    return {{"message": f"Hello, {{name}}!"}}


routes = [
    hello,
]
'''


class Plan(msgspec.Struct):
    """The changes, and what a person has to know or to do."""

    changes: list[FileChange] = []
    notes: list[str] = []


def plan_init(project: Project, facts: ProjectFacts) -> Plan:
    """Plan what is missing; nothing where everything is there."""
    plan = Plan()
    applications = _plan_entry_points(project, facts, plan)
    if not facts.has_gateway or APP not in facts.installed_apps:
        _plan_settings(facts, applications, plan)
    if not facts.has_gateway:
        _plan_routes(project, facts, plan)
        if facts.fallthrough_reasons:
            why = "; ".join(facts.fallthrough_reasons)
            plan.notes.append(f"FALLTHROUGH is set, so that Django answers every path that no route does: {why}.")
    if APP not in facts.installed_apps:
        changes, notes = requirement_changes(project.root)
        plan.changes += changes
        plan.notes += notes
    plan.changes = [change for change in plan.changes if change.before != change.after]
    return plan


def _plan_entry_points(project: Project, facts: ProjectFacts, plan: Plan) -> dict[str, str]:
    """Plan ``asgi.py`` and ``wsgi.py``; return what ASGI_APPLICATION and WSGI_APPLICATION are to be."""
    applications = {}
    for protocol in ("asgi", "wsgi"):
        name = f"{protocol.upper()}_APPLICATION"
        file = facts.entry_files.get(protocol)
        if file is None:
            applications[name] = f"{_plan_missing(protocol, project, facts, plan)}.application"
            continue
        path = Path(file)
        before = path.read_bytes()
        after = edit_entry_point(before, protocol)
        if after is None:
            plan.notes.append(by_hand(path, protocol))
            applications[name] = f"{APP}.{protocol}.application"
            continue
        plan.changes.append(FileChange(path, before, after))
        current = getattr(facts, f"{protocol}_application")
        applications[name] = current or f"{facts.entry_modules[protocol]}.application"
        if protocol == "asgi" and before != after and not keeps_lifespan(after.decode("utf-8", "replace")):
            plan.notes.append(
                f"{path} wraps the application. See that it hands `lifespan` and the API's websockets to the gateway, "
                "too; those of other packages can be named as DJANGO_WEBSOCKETS."
            )
    return applications


def _plan_missing(protocol: str, project: Project, facts: ProjectFacts, plan: Plan) -> str:
    """Plan a file that is not there, as its sibling or else ``manage.py`` has it; return what servers can serve.

    What the shell of this moment says is that of a developer, and goes into no file.
    """
    other = "wsgi" if protocol == "asgi" else "asgi"
    package = facts.entry_modules.get(other, facts.root_urlconf).rpartition(".")[0]
    module = f"{package}.{protocol}".lstrip(".")
    model = Path(facts.entry_files[other]) if other in facts.entry_files else None
    if model is not None:
        path, like = model.with_name(f"{protocol}.py"), model.name
        data = modelled_on(model.read_bytes(), protocol)
    else:
        path, like = project.import_root / Path(*module.split(".")).with_suffix(".py"), "manage.py"
        named = all_named_settings(project.manage.read_bytes()) if project.manage is not None else [project.settings]
        named = named or list(filter(None, [project.settings]))
        data = new_entry_point(protocol, module, named[0]) if len(named) == 1 else None
    if data is None:
        plan.notes.append(to_write(path, protocol, model))
        return f"{APP}.{protocol}"
    plan.changes.append(FileChange(path, None, data))
    named, shell = all_named_settings(data), environ.get(VARIABLE)
    if shell and named and shell not in named:
        plan.notes.append(
            f"{path.name} names the settings {' or '.join(named)}, as {like} does; this shell has {VARIABLE}={shell}, "
            "which was not written into it."
        )
    return module


def _plan_settings(facts: ProjectFacts, applications: dict[str, str], plan: Plan) -> None:
    files = [Path(file) for file in facts.settings_files]
    homes = [path for path in files if names_apps(path.read_bytes())]
    home = homes[0] if homes else _settings_file(facts, files)
    before = home.read_bytes()
    if not homes and any(_IN_CLASS.search(path.read_bytes()) for path in files):
        raise ScaffoldError(
            "INSTALLED_APPS stands in a class (django-configurations), which is not edited. Add to that class by hand: "
            f'"{APP}" first in INSTALLED_APPS, and HYBRID_GATEWAY; asgi.py and wsgi.py serve '
            f"`{APP}.get_asgi_application()` and `{APP}.get_wsgi_application()`."
        )
    prefixes = tuple(facts.prefixes)
    setting = gateway_setting(facts.free_routes_module, prefixes, has_locale=facts.has_locale)
    gateway = "" if facts.has_gateway else setting
    elsewhere = {
        name: path
        for name, path in applications.items()
        if not (path == getattr(facts, name.lower()) and not path.startswith(f"{APP}."))
    }
    after = edit_settings(
        before,
        add_app=APP not in facts.installed_apps,
        apps_type=facts.apps_type,
        applications=elsewhere,
        gateway=gateway,
    )
    plan.changes.append(FileChange(home, before, after))


_IN_CLASS = re.compile(rb"^[ \t]+INSTALLED_APPS\s*=\s*[\[(]", re.MULTILINE)


def _settings_file(facts: ProjectFacts, files: list[Path]) -> Path:
    """Return the file of the module of settings itself."""
    tail = Path(*facts.settings_module.split("."))
    for path in files:
        if (
            path.with_suffix("").parts[-len(tail.parts) :] == tail.parts
            or path.parent.parts[-len(tail.parts) :] == tail.parts
        ):
            return path
    raise ScaffoldError(f"The file of the settings {facts.settings_module!r} is not below the project.")


def _plan_routes(project: Project, facts: ProjectFacts, plan: Plan) -> None:
    module = facts.free_routes_module
    folder = Path(facts.urlconf_file).parent if facts.urlconf_file else project.import_root
    path = folder / f"{module.rpartition('.')[2]}.py"
    urlconf = Path(facts.urlconf_file).name if facts.urlconf_file else "the URLconf"
    plan.changes.append(FileChange(path, None, _ROUTES.format(urlconf=urlconf, path=facts.hello_path).encode()))
