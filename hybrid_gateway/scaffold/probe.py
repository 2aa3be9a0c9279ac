"""Load a project as its own ``manage.py`` does, in a process of its own, and tell what there is.

How this works: ``python -m hybrid_gateway.scaffold.probe FILE`` runs ``manage.py`` up to the place where it would hand
over to Django, so that whatever it does before (paths, ``.env`` files) is done, and writes :class:`ProjectFacts` to
FILE. An audit hook notes the files that ran while the settings were loaded, whichever way they include one another.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import CodeType

import django
import msgspec
from django.conf import settings
from django.core import management

from hybrid_gateway.scaffold.url_prefixes import django_prefixes, hello_path


class ProjectFacts(msgspec.Struct, kw_only=True):
    """A project, as it tells of itself once it is loaded."""

    error: str = ""  # what kept it from loading, and where
    settings_module: str = ""
    settings_files: list[str] = []  # that ran, in order, below the project
    installed_apps: list[str] = []
    apps_type: str = "list"
    asgi_application: str | None = None
    wsgi_application: str | None = None
    entry_files: dict[str, str] = {}  # "asgi" and "wsgi" -> the file of ASGI_APPLICATION, WSGI_APPLICATION
    entry_modules: dict[str, str] = {}  # likewise, and their dotted names
    root_urlconf: str = ""
    urlconf_file: str = ""
    routes: str | None = None  # HYBRID_GATEWAY["ROUTES"]
    has_gateway: bool = False
    has_locale: bool = False  # LocaleMiddleware
    free_routes_module: str = ""
    prefixes: list[str] = []
    fallthrough_reasons: list[str] = []
    hello_path: str = "/hello"


def probe(root: Path, ran: list[str]) -> ProjectFacts:
    """Load the settings and the URLconf."""
    installed = settings.INSTALLED_APPS  # the settings are loaded here
    facts = ProjectFacts(
        settings_module=os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        settings_files=[path for path in dict.fromkeys(ran) if _is_of_project(Path(path), root)],
        installed_apps=list(installed),
        apps_type=type(installed).__name__,
        asgi_application=getattr(settings, "ASGI_APPLICATION", None),
        wsgi_application=getattr(settings, "WSGI_APPLICATION", None),
        root_urlconf=getattr(settings, "ROOT_URLCONF", ""),
        has_gateway=hasattr(settings, "HYBRID_GATEWAY"),
        has_locale="django.middleware.locale.LocaleMiddleware" in settings.MIDDLEWARE,
    )
    django.setup()
    facts.routes = getattr(settings, "HYBRID_GATEWAY", {}).get("ROUTES")
    urlconf = import_module(facts.root_urlconf) if facts.root_urlconf else None
    facts.urlconf_file = getattr(urlconf, "__file__", None) or ""
    settings_file = getattr(sys.modules.get(facts.settings_module), "__file__", None) or ""
    reasons: list[str] = []
    if Path(settings_file).is_file() and not _APPS.search(Path(settings_file).read_text("utf-8", "replace")):
        reasons.append("the settings have several files, and others of them may have other pages")
    if Path(facts.urlconf_file).is_file() and _VARYING.search(Path(facts.urlconf_file).read_text("utf-8", "replace")):
        reasons.append("paths of the URLconf depend on settings")
    prefixes, others = django_prefixes()
    facts.fallthrough_reasons = [*reasons, *others]
    if facts.fallthrough_reasons:
        prefixes = ()
    facts.prefixes, facts.hello_path = list(prefixes), hello_path(prefixes)
    package = facts.root_urlconf.rpartition(".")[0] or facts.settings_module.rpartition(".")[0]
    candidates = [f"{package}.{name}".lstrip(".") for name in ("routes", "api_routes", "gateway_routes")]
    facts.free_routes_module = next((name for name in candidates if find_spec(name) is None), candidates[-1])
    for protocol, other in (("asgi", "wsgi"), ("wsgi", "asgi"), ("asgi", "wsgi")):  # the last: beside wsgi
        application = getattr(facts, f"{protocol}_application")
        packages = [package, *(module.rpartition(".")[0] for module in (facts.entry_modules.get(other),) if module)]
        modules = [application.rpartition(".")[0] if application else "", *(f"{name}.{protocol}" for name in packages)]
        if protocol not in facts.entry_files and (found := _first_file(modules)):
            facts.entry_modules[protocol], facts.entry_files[protocol] = found
    return facts


def _described(error: BaseException, root: Path) -> str:
    """Return the exception, and the line of the project that it came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_of_project(Path(frame.filename), root)] or frames
    text = "".join(traceback.format_exception_only(error)).strip()
    return f"{text}\n(raised in {own[-1].filename}, line {own[-1].lineno})" if own else text


_APPS = re.compile(r"^INSTALLED_APPS\b[^=+\n]*=(?!.*\bINSTALLED_APPS\b)", re.MULTILINE)
_VARYING = re.compile(r"settings\.(?!MEDIA_|STATIC_|DEBUG\b)|\benv(?:iron)?\b|\bconfig\(")


def _is_of_project(path: Path, root: Path) -> bool:
    if not path.is_file() or not path.is_relative_to(root):
        return False
    return not {"site-packages", "node_modules", "__pycache__"} & set(path.parts)


def _first_file(modules: list[str]) -> tuple[str, str] | None:
    """Return the first of these modules that is there, and its file."""
    for module in (module.lstrip(".") for module in modules):
        if module and not module.startswith("hybrid_gateway"):
            try:
                spec = find_spec(module)
            except ModuleNotFoundError:
                continue
            if spec is not None and spec.origin:
                return module, spec.origin
    return None


def main(output: str, root: str, manage: str) -> None:
    """Write what was found, or the traceback of what kept the project from loading, to ``output``."""
    ran: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "exec" and isinstance(code := arguments[0], CodeType):
            ran.append(code.co_filename)

    def tell(argv: list[str] | None = None) -> None:
        try:
            facts = probe(Path(root), ran)
        except BaseException as error:  # whatever it is, it is the project's, and told
            facts = ProjectFacts(error=_described(error, Path(root)))
        Path(output).write_bytes(msgspec.json.encode(facts))
        sys.exit(0)

    sys.addaudithook(note)
    if manage:
        management.execute_from_command_line = tell
        sys.argv[:] = [manage, "check"]
        sys.path[0] = str(Path(manage).parent)
        runpy.run_path(manage, run_name="__main__")
    else:
        sys.path[0] = root
        tell()


if __name__ == "__main__":
    main(*sys.argv[1:4])
