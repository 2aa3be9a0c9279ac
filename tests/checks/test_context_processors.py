"""System check W044: context processors that read what the request of a template does not have."""

import pytest

from hybrid_gateway import Template, get
from tests.checks import test_checks
from tests.checks.test_checks import messages

project = test_checks.project


def site(request):
    return {"site": request.site}


def several(request):
    return {"a": request.tenant.name, "b": request.htmx}


def view_name(request):
    return {"name": request.resolver_match.view_name}


def usual(request):
    match = request.resolver_match
    shown = {"path": request.path, "user": request.user, "session": request.session, "method": request.method}
    return {**shown, "query": request.GET, "view": match.view_name if request.resolver_match else ""}


def asks(request):
    found = {"site": request.site} if hasattr(request, "site") else {}
    return {**found, "tenant": getattr(request, "tenant", None)}


def catches(request):
    try:
        return {"site": request.site}
    except AttributeError:
        return {}


def writes(request):
    request.seen = True
    return {}


class Instance:
    def __call__(self, request):
        return {"site": request.site}


instance = Instance()


@get("/page")
async def page() -> Template:
    return Template("a.html")


@get("/inline", template_str="a")
def inline() -> dict[str, int]:
    return {}


@get("/below", django_middleware=["django.middleware.common.CommonMiddleware"])
def below() -> Template:
    return Template("a.html")


@get("/plain")
def plain() -> str:
    return ""


def found(project, settings, name, routes):
    own = {**settings.TEMPLATES[0]["OPTIONS"], "context_processors": [f"{__name__}.{name}"]}
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "OPTIONS": own}]
    project(routes)
    return messages("W044")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("site", "request.site,"),
        ("several", "request.htmx and request.tenant,"),
        ("view_name", "request.resolver_match,"),
    ],
)
def test_what_a_processor_reads_in_vain_is_named_with_the_routes(project, settings, name, said):
    [message] = found(project, settings, name, [page, inline, below, plain])
    assert f"{__name__}.{name} reads {said}" in message.msg
    assert "GET /page, GET /inline." in message.msg
    assert "django_middleware=" in message.hint


@pytest.mark.parametrize("name", ["usual", "asks", "catches", "writes", "instance", "missing"])
def test_what_does_without_is_no_matter(project, settings, name):
    assert found(project, settings, name, [page]) == []


def test_without_templates_nobody_is_concerned(project, settings):
    assert found(project, settings, "site", [plain, below]) == []
