"""`manage.py startapi APP`: what it writes imports, is clean, and its tests pass."""

import re
import shutil
import sqlite3
from contextlib import closing

import pytest

from hybrid_gateway.scaffold.model_shapes import shape_of
from hybrid_gateway.scaffold.route_list import add_include
from tests.scaffold.projects import files, init, run, start_project

MODELS = """
import uuid

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models


class Shelf(models.Model):
    code = models.CharField(max_length=4, unique=True, validators=[RegexValidator(r"^[A-Z][0-9]+$")])
    website = models.URLField()


class Item(models.Model):
    class Size(models.TextChoices):
        SMALL = "s", "Small"
        LARGE = "l", "Large"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    shelf = models.ForeignKey(Shelf, models.CASCADE)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    size = models.CharField(max_length=1, choices=Size, default=Size.SMALL)
    colour = models.CharField(max_length=1, choices=Size, blank=True)
    pages = models.IntegerField(validators=[MinValueValidator(50)])
    price = models.DecimalField(max_digits=6, decimal_places=2, default=1)
    date = models.DateField(null=True, blank=True)
    lent_for = models.DurationField()
    data = models.JSONField(default=dict)
    labels = models.ManyToManyField(Shelf, blank=True, related_name="labelled")
    get = models.BooleanField(default=False)
    api_key = models.CharField(max_length=20, default="hidden")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["shelf", "pages"], name="once")]


class Scan(models.Model):
    item = models.OneToOneField(Item, models.CASCADE)
    file = models.FileField()


class Odd(models.Model):
    number = models.IntegerField()

    def save(self, *args, **kwargs):
        if self.number < 500:
            raise ValueError("That is too little.")
        super().save(*args, **kwargs)
"""


CLOSED = ["test_list", "test_nobody_reads_without_credentials"]
WRITING = ["test_change", "test_delete", "test_nobody_writes_without_permission"]
TESTS = {
    "Shelf": ["test_list", "test_detail", "test_create", *WRITING, CLOSED[1]],
    "Item": ["test_list", "test_detail", "test_create", "test_nobody_writes_as_somebody_else", *WRITING, CLOSED[1]],
    "Scan": ["test_list", "test_detail", CLOSED[1]],
    "Odd": CLOSED,
}
ROWS = ["auth_user", "shop_shelf", "shop_item", "shop_scan"]


@pytest.fixture(scope="module")
def new_shop(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
        folder = start_project(tmp_path_factory.mktemp("new") / "site")
        assert run(folder, "manage.py", "startapp", "shop").returncode == 0
        (folder / "shop/models.py").write_text(MODELS)
        settings = folder / "mysite/settings.py"
        settings.write_text(settings.read_text() + "\nINSTALLED_APPS += ['shop']\n")
        init(folder, "--yes")
        assert run(folder, "manage.py", "makemigrations", "shop").returncode == 0
    return folder


@pytest.fixture
def shop(new_shop, tmp_path):
    """A project with the gateway and an app with models, made once and copied for each test."""
    return shutil.copytree(new_shop, tmp_path / "site")


def test_what_is_written_is_clean_and_its_tests_pass(shop):
    before = files(shop)
    shown = run(shop, "manage.py", "startapi", "shop", "--dry-run")
    assert '+    Include("/api/shop", "shop.api", name="shop"),' in shown.stdout, shown.stderr
    assert files(shop) == before
    done = run(shop, "manage.py", "startapi", "shop", "--yes")
    assert done.returncode == 0 and "The tests pass." in done.stdout, done.stdout + done.stderr
    assert "* Odd: the tests make no rows, since it asks for more than its columns say." in done.stdout
    assert (
        "shop/test_api.py was written again, without what failed: "
        "TestOdd: test_change, test_create, test_delete, test_detail, test_list, " in done.stdout
    )
    written = (shop / "shop/test_api.py").read_text()
    assert {
        body.partition("(")[0]: re.findall(r"def (test_\w+)", body) for body in written.split("\nclass Test")[1:]
    } == TESTS
    assert re.findall(r"^def make_(\w+)", written, re.MULTILINE) == ROWS
    source = (shop / "shop/api.py").read_text()
    assert "# Not shown: api_key" in source and "api_key:" not in source
    assert "# Read only: clients cannot send file, without which there is no row." in source
    clean = ("-m", "ruff", "check", "--isolated", "shop/api.py", "shop/test_api.py", "mysite/routes.py")
    assert run(shop, *clean).returncode == 0
    done = run(shop, "manage.py", "test", "shop")
    assert done.returncode == 0 and "Ran 20 tests" in done.stderr, done.stdout + done.stderr
    again = run(shop, "manage.py", "startapi", "shop", "--yes")
    assert again.returncode == 1 and "is there already. It has every model." in again.stderr
    init(shop, "--undo", "--yes")
    assert not [name for name in files(shop) if name.endswith("api.py") or name.startswith(".hybrid_gateway")]
    assert files(shop)["mysite/settings.py"].count(b"hybrid_gateway") == 0


def test_who_is_logged_in_owns_what_they_add_whoever_they_name(shop):
    done = run(shop, "manage.py", "startapi", "shop", "--yes", "--no-test", "--model", "Item", "--model", "Shelf")
    assert done.returncode == 0, done.stderr
    source, tests = ((shop / f"shop/{name}.py").read_text() for name in ("api", "test_api"))
    taken = source.partition("class ItemIn")[2].partition("class ItemPatch")[0]
    assert "shelf: int" in taken and "owner" not in taken
    assert "# owner: who is logged in, and not whom a client names" in source
    assert "def given_to_item(user: User) -> dict[str, User]:" in source and "    given=given_to_item,\n" in source
    assert source.count("given=") == 1
    assert 'self.assertEqual(str(response.json()["owner"]), str(self.user.id))' in tests
    again = run(shop, "manage.py", "startapi", "shop", "--yes")
    assert "Write the routes of Scan, Odd by hand" in again.stderr


def test_a_file_that_was_changed_between_init_and_startapi_is_not_lost_by_undoing(shop):
    routes = shop / "mysite/routes.py"
    routes.write_text(routes.read_text() + "# mine\n")
    assert run(shop, "manage.py", "startapi", "shop", "--yes", "--no-test").returncode == 0
    before = files(shop)
    assert "Changed since init or startapi wrote it: mysite/routes.py." in init(shop, "--undo", "--yes", code=1)
    assert files(shop) == before


BARE = """
SECRET_KEY = "x"
INSTALLED_APPS = ["hybrid_gateway", "hello"]
ROOT_URLCONF = "mysite.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
MIDDLEWARE = []
ASGI_APPLICATION = "hybrid_gateway.asgi.application"
WSGI_APPLICATION = "hybrid_gateway.wsgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
HYBRID_GATEWAY = {"ROUTES": "mysite.routes", "FALLTHROUGH": True}
"""


def test_without_accounts_it_says_which_apps_are_missing_and_writes_what_everybody_may_read(tmp_path):
    folder = start_project(tmp_path / "site")
    (folder / "hello").mkdir()
    (folder / "hello/__init__.py").write_text("")
    (folder / "hello/models.py").write_text(
        "from django.db import models\nclass Greeting(models.Model):\n    text = models.CharField(max_length=20)\n"
    )
    (folder / "mysite/settings.py").write_text(BARE)
    (folder / "mysite/urls.py").write_text("urlpatterns = []\n")
    (folder / "mysite/routes.py").write_text("routes = []\n")
    refused = run(folder, "manage.py", "startapi", "hello", "--dry-run")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr, refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("CommandError: Routes with log-ins and permissions need")
    assert "django.contrib.auth and django.contrib.contenttypes in INSTALLED_APPS" in refused.stderr
    assert run(folder, "manage.py", "makemigrations", "hello").returncode == 0
    done = run(folder, "manage.py", "startapi", "hello", "--yes", "--public", "--read-only")
    assert done.returncode == 0 and "The tests pass." in done.stdout, done.stdout + done.stderr
    assert "def test_detail" in (folder / "hello/tests/test_api.py").read_text()


def test_secrets_are_neither_shown_nor_taken():
    from django.contrib.auth.models import User

    from hybrid_gateway.tokens.models import Token

    for model, secret in ((User, "password"), (Token, "digest")):
        shape = shape_of(model)
        columns = {field.column for field in (*shape.out, *shape.taken)}
        assert secret not in columns
    assert "accounts have passwords" in shape_of(User).why_read_only


IMPORT = "from hybrid_gateway import get\n\n"


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        ("routes = []\n", "routes = [{}]\n"),
        ("routes = [a]\n", "routes = [a, {}]\n"),
        ("routes = [a,]  # all\n", "routes = [a, {}]  # all\n"),
        ("routes = [\n    a,  # first\n]\n", "routes = [\n    a,  # first\n    {},\n]\n"),
        ("routes = [\n    a\n]\n", "routes = [\n    a,\n    {},\n]\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_routes_are_added_to_the_list_and_nothing_else_is_touched(old, expected, newline):
    data = (IMPORT + old).replace("\n", newline).encode()
    new = add_include(data, "/api/shop", "shop.api", "shop")
    text = 'Include("/api/shop", "shop.api", name="shop")'
    wanted = "from hybrid_gateway import Include, get\n\n" + expected.replace("{}", text)
    assert new == wanted.replace("\n", newline).encode()
    assert add_include(new, "/api/shop", "shop.api", "shop") == new


def test_a_list_that_is_no_literal_is_left_alone():
    assert add_include(b"routes = make()\n", "/api/shop", "shop.api", "shop") is None


def test_a_module_without_imports_gets_one():
    new = add_include(b'"""Routes."""\nroutes = []\n', "/a", "shop.api", "shop")
    exec(compile(new, "routes.py", "exec"), found := {})
    assert len(found["routes"]) == 1


def test_a_test_database_that_others_reuse_stays_as_it_is(shop):
    with (shop / "mysite/settings.py").open("a") as settings:
        settings.write("\nDATABASES['default']['TEST'] = {'NAME': BASE_DIR / 'reused.sqlite3'}\n")
    kept = shop / "reused.sqlite3"
    with closing(sqlite3.connect(kept)) as connection:
        connection.execute("CREATE TABLE mine (id integer)")
    before = kept.read_bytes()
    (shop / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = mysite.settings\naddopts = --reuse-db\n")
    done = run(shop, "manage.py", "startapi", "shop", "--yes", "--model", "Shelf")
    assert "The tests pass." in done.stdout, done.stdout + done.stderr
    assert kept.read_bytes() == before
    assert [path.name for path in shop.glob("reused*")] == [kept.name]
    assert "Next: pytest shop/test_api.py\n" in done.stdout
