"""Django's ``TestCase`` over both sides: rows of the test are visible everywhere, and gone afterwards."""

from unittest import mock
from urllib.request import Request, urlopen

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, transaction
from django.http import HttpResponse
from django.test import override_settings
from django.urls import NoReverseMatch, path

from hybrid_gateway import Include, Router, get, post
from hybrid_gateway.test import (
    AsyncTestClient,
    LiveServerTestCase,
    SimpleTestCase,
    TestCase,
    TestClient,
    TransactionTestCase,
)


@get("/groups")
def list_groups() -> list[str]:
    return list(Group.objects.order_by("name").values_list("name", flat=True))


@get("/groups-async")
async def list_groups_async() -> list[str]:
    return [group.name async for group in Group.objects.order_by("name")]


@post("/groups/{name}")
def create_group(name: str) -> None:
    with transaction.atomic():
        Group.objects.create(name=name)


@post("/groups-async/{name}")
async def create_group_async(name: str) -> None:
    await Group.objects.acreate(name=name)


@get("/thread")
async def read_through_another_hop() -> int:
    return await sync_to_async(Group.objects.count)()


@post("/fail/{name}")
def create_and_fail(name: str) -> None:
    with transaction.atomic():
        Group.objects.create(name=name)
        raise ValueError(name)


@get("/{number:int}")
def number(number: int) -> int:
    return number


@get("/django-response")
def django_response() -> HttpResponse:
    return HttpResponse("closing it sends request_finished")


def is_connected(signal):
    """Whether Django looks after connections on ``signal``; asking must not change it."""
    connected = signal.disconnect(close_old_connections)
    signal.connect(close_old_connections)
    return connected


routes = [
    django_response,
    list_groups,
    list_groups_async,
    create_group,
    create_group_async,
    read_through_another_hop,
    create_and_fail,
    Router("/v1", [Include("/inner", [number], name="inner")]),
]
urlpatterns = [path("admin/", admin.site.urls)]

SETTINGS = {
    "ROOT_URLCONF": __name__,
    "HYBRID_GATEWAY": {"ROUTES": __name__, "ALLOWED_DJANGO_ROUTES": ("/admin/",)},
}
READERS = ("/groups", "/groups-async")


class Rows:
    """What holds for rows, whatever the protocol."""

    protocol = "asgi"

    @classmethod
    def setUpTestData(cls):
        cls.ada = User.objects.create_superuser("ada")
        Group.objects.create(name="class")

    def setUp(self):
        self.client = TestClient(protocol=self.protocol)

    def test_rows_created_in_the_test_are_visible_to_sync_and_async_handlers(self):
        Group.objects.create(name="test")
        for url in READERS:
            self.assertEqual(self.client.get(url).json(), ["class", "test"])
        self.assertEqual(self.client.get("/thread").json(), 2)

    def test_rows_created_by_handlers_are_visible_to_the_test_and_to_each_other(self):
        self.client.post("/groups/sync")
        self.client.post("/groups-async/async")
        for url in READERS:
            self.assertEqual(self.client.get(url).json(), ["async", "class", "sync"])
        self.assertEqual(Group.objects.count(), 3)

    def test_everything_was_rolled_back_again(self):
        for url in READERS:
            self.assertEqual(self.client.get(url).json(), ["class"])

    def test_a_failing_handler_rolls_back_its_own_block_only(self):
        Group.objects.create(name="test")
        with self.assertRaisesMessage(ValueError, "broken"):
            self.client.post("/fail/broken")
        self.assertEqual(self.client.get("/groups").json(), ["class", "test"])

    def test_no_request_closes_the_connection_of_the_transaction(self):
        # What Django calls around requests; it would close any connection but one to a database in memory.
        self.client.force_login(self.ada)
        with mock.patch.object(connection, "close_if_unusable_or_obsolete") as close:
            for url in ("/admin/", "/django-response", "/nowhere", *READERS):
                self.client.get(url)
        close.assert_not_called()
        self.assertTrue(is_connected(request_started) and is_connected(request_finished))

    def test_both_sides_see_what_the_other_writes(self):
        self.client.force_login(self.ada)
        response = self.client.post("/admin/auth/group/add/", {"name": "admin's"}, follow=True)
        self.assertContains(response, "was added successfully")
        self.assertEqual(self.client.get("/groups").json(), ["admin's", "class"])
        self.client.post("/groups/gateway")
        self.assertContains(self.client.get("/admin/auth/group/"), "gateway")

    def test_queries_of_handlers_are_counted(self):
        for url in READERS:
            with self.assertNumQueries(1):
                self.client.get(url)


@override_settings(**SETTINGS)
class TestRowsOverASGI(Rows, TestCase):
    protocol = "asgi"


@override_settings(**SETTINGS)
class TestRowsOverWSGI(Rows, TestCase):
    protocol = "wsgi"


@override_settings(**SETTINGS)
class TestAsync(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada = User.objects.create_superuser("ada")

    async def test_the_async_client_shares_the_transaction(self):
        await Group.objects.acreate(name="test")
        for url in READERS:
            self.assertEqual((await self.async_client.get(url)).json(), ["test"])
        await self.async_client.post("/groups/sync")
        await self.async_client.post("/groups-async/async")
        self.assertEqual(await Group.objects.acount(), 3)
        self.assertEqual((await self.async_client.get("/thread")).json(), 3)

    async def test_everything_was_rolled_back_again(self):
        for url in READERS:
            self.assertEqual((await self.async_client.get(url)).json(), [])

    async def test_the_admin_answers_too(self):
        await self.async_client.aforce_login(self.ada)
        await self.async_client.post("/groups/gateway")
        response = await self.async_client.get("/admin/auth/group/")
        self.assertContains(response, "gateway")
        self.assertTemplateUsed(response, "admin/change_list.html")

    async def test_force_authenticate_and_log_out(self):
        self.async_client.force_authenticate(self.ada)
        await self.async_client.alogout()
        self.assertEqual((await self.async_client.get("/groups")).status_code, 200)


@override_settings(**SETTINGS)
class TestCommits(TransactionTestCase):
    def test_commits_are_real(self):
        for url in ("/groups/sync", "/groups-async/async"):
            self.client.post(url)
        self.assertFalse(connection.in_atomic_block)
        for url in READERS:
            self.assertEqual(self.client.get(url).json(), ["async", "sync"])

    async def test_in_async_methods_too(self):
        await self.async_client.post("/groups-async/async")
        self.assertEqual((await self.async_client.get("/groups")).json(), ["async"])


@override_settings(**SETTINGS)
class TestNames(SimpleTestCase):
    def test_clients_are_ours(self):
        self.assertIsInstance(self.client, TestClient)
        self.assertIsInstance(self.async_client, AsyncTestClient)

    def test_names_of_the_gateway_come_first(self):
        self.assertEqual(self.reverse_url("list_groups"), "/groups")
        self.assertEqual(self.reverse_url("create_group", name="a b"), "/groups/a%20b")
        self.assertEqual(self.reverse_url("inner:number", number=3), "/v1/inner/3")

    def test_then_those_of_django(self):
        self.assertEqual(self.reverse_url("admin:auth_group_change", object_id=1), "/admin/auth/group/1/change/")

    def test_a_name_of_neither_says_so(self):
        with self.assertRaisesMessage(NoReverseMatch, "Gateway: ") as caught:
            self.reverse_url("nobody")
        self.assertIn("Django: ", str(caught.exception))

    def test_the_gateway_is_that_of_the_settings(self):
        self.assertEqual(self.gateway.reverse_url("list_groups"), "/groups")

    def test_redirects_are_asserted_as_in_django(self):
        self.assertRedirects(self.client.get("/admin/"), "/admin/login/?next=/admin/", fetch_redirect_response=False)


class TestOnALiveServer(LiveServerTestCase):
    """A real server in a thread, asked by urllib; rows of the test are there for it, and its own for the test."""

    def ask(self, path, method="GET"):
        request = Request(self.live_server_url + path, method=method)
        with urlopen(request, timeout=10) as response:
            return response.read().decode()

    def test_both_sides_answer(self):
        assert self.ask(self.reverse_url("hello")) == '{"message":"Hello, World!"}'
        assert "Django" in self.ask("/admin/login/")

    @override_settings(**SETTINGS)
    def test_it_serves_the_settings_of_each_test_and_its_rows(self):
        Group.objects.create(name="of the test")
        for reader in READERS:
            assert self.ask(reader) == '["of the test"]'
        self.ask("/groups/sync", "POST")
        self.ask("/groups-async/async", "POST")
        assert Group.objects.count() == 3
