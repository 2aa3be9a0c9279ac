"""What the commands say that they leave to somebody, and what they refuse."""

import pytest

from tests.scaffold.projects import init, run, start_project

URLS = """
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpResponse
from django.urls import path

def page(request, exception=None, **values):
    return HttpResponse("a page")

handler404 = "config.urls.page"
urlpatterns = [path("<slug:one>/", page), path("<int:two>/", page), path("polls/", page)]
urlpatterns += i18n_patterns(path("shop/", page))
if settings.SHOP:
    urlpatterns += [path("<slug:one>/three/", page)]
"""


def test_every_reason_for_fallthrough_is_named(tmp_path):
    folder = start_project(tmp_path / "site", "config")
    (folder / "config/urls.py").write_text(URLS)
    with (folder / "config/settings.py").open("a") as settings:
        settings.write("\nSHOP = True\nMIDDLEWARE += ['config.quiet.Redirects']\n")
    (folder / "config/quiet.py").write_text("def Redirects(get_response):\n    return get_response\n")
    output = init(folder, "--dry-run")
    assert "'FALLTHROUGH': True" in output
    with (folder / "config/settings.py").open("a") as settings:
        settings.write("ROOT_URLCONF = 'config.urls'\n")
    told = next(line for line in init(folder, "--yes").splitlines() if "FALLTHROUGH is set" in line)
    assert told == (
        "* FALLTHROUGH is set, so that Django answers every path that no route does: paths of the URLconf depend on "
        "settings; the URLconf has a handler404; config.quiet.Redirects may answer any path; the pattern "
        "'<slug:one>/', the pattern '<int:two>/', i18n_patterns, and 1 more: no fixed beginning leads there."
    )


def test_a_new_project_has_no_reason(tmp_path):
    output = init(start_project(tmp_path / "site"), "--yes")
    assert "FALLTHROUGH" not in output


def test_a_check_that_fails_ends_with_the_way_back(tmp_path):
    folder = start_project(tmp_path / "site", "config")
    with (folder / "config/settings.py").open("a") as settings:
        settings.write("\nSTATICFILES_DIRS = 'wrong'\n")
    output = init(folder, "--yes", code=1)
    assert "The check fails. Mend it, or take everything back: python -m hybrid_gateway init --undo" in output
    assert "Next:" not in output


def test_an_entry_point_that_imports_otherwise_is_left_to_its_owner(tmp_path):
    folder = start_project(tmp_path / "site", "config")
    (folder / "config/asgi.py").write_text("import config.made\n\napplication = config.made.application\n")
    (folder / "config/made.py").write_text("application = None\n")
    output = init(folder, "--dry-run")
    assert "b/config/asgi.py" not in output
    assert "config/asgi.py" in "".join(line for line in init(folder, "--yes").splitlines() if line.startswith("* "))


def test_a_wrapped_application_is_to_hand_on_the_lifespan(tmp_path):
    folder = start_project(tmp_path / "site", "config")
    asgi = folder / "config/asgi.py"
    asgi.write_text(
        asgi.read_text()
        + "\nfrom channels.routing import ProtocolTypeRouter\napplication = ProtocolTypeRouter({'http': application})\n"
    )
    assert f"* {asgi} wraps the application. See that it hands `lifespan`" in init(folder, "--yes")


def test_settings_in_a_class_are_told_with_what_to_write(tmp_path):
    folder = start_project(tmp_path / "site", "config")
    settings = folder / "config/settings.py"
    text = settings.read_text().replace("INSTALLED_APPS = [", "class Common:\n    INSTALLED_APPS = [")
    settings.write_text(text + "\nglobals().update(vars(Common))\n")
    assert "stands in a class (django-configurations), which is not edited" in init(folder, "--yes", code=1)


def test_several_projects_and_no_folder_are_told(tmp_path):
    for name in ("one", "two"):
        start_project(tmp_path / name)
    assert "There are several projects here: one/manage.py, two/manage.py." in init(tmp_path, "--yes", code=1)
    assert "is no folder. Give the one that manage.py is in." in init(tmp_path / "three", "--yes", code=1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["nowhere"],
            "INSTALLED_APPS has: admin, auth, contenttypes, hybrid_gateway, messages, sessions, staticfiles.",
        ),
        (["auth", "--model", "Nothing"], "auth has no such models: it has Permission, Group, User."),
        (["auth"], "django.contrib.auth is no app of the project. Say which is to have its routes: --into APP."),
        (["auth", "--into", "shop"], "shop/tests/test_auth_api.py is there already. Move it away"),
    ],
)
def test_what_startapi_cannot_do_is_told(tmp_path, arguments, told):
    folder = start_project(tmp_path / "site")
    if "shop" in arguments:
        (folder / "shop/tests").mkdir(parents=True)
        (folder / "shop/__init__.py").touch()
        (folder / "shop/tests/test_auth_api.py").touch()
        with (folder / "mysite/settings.py").open("a") as settings:
            settings.write("\nINSTALLED_APPS += ['shop']\n")
    init(folder, "--yes")
    done = run(folder, "manage.py", "startapi", *arguments, "--dry-run")
    assert done.returncode == 1 and told in done.stderr, done.stderr


def test_routes_that_are_no_plain_list_get_a_line_to_write(tmp_path):
    folder = start_project(tmp_path / "site")
    (folder / "shop").mkdir()
    (folder / "shop/__init__.py").touch()
    (folder / "mysite/routes.py").write_text("routes = list(())\n")
    with (folder / "mysite/settings.py").open("a") as settings:
        settings.write("\nINSTALLED_APPS += ['shop', 'hybrid_gateway']\nHYBRID_GATEWAY = {'ROUTES': 'mysite.routes'}\n")
    done = run(folder, "manage.py", "startapi", "auth", "--into", "shop", "--model", "Group", "--yes", "--no-test")
    assert 'no plain list `routes`. Add Include("/api/auth", "shop.auth_api", name="auth")' in done.stdout, done.stderr
