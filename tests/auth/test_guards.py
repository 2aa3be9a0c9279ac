"""Guards: who passes. A guard says no with False; the core turns that into 401 or 403."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission

from hybrid_gateway import Router, get
from hybrid_gateway.auth import (
    AllowAny,
    Authentication,
    BasicAuthentication,
    HasPermission,
    InGroup,
    IsAuthenticated,
    IsStaff,
    IsSuperuser,
)
from hybrid_gateway.exceptions import ConfigurationError

User = get_user_model()
pytestmark = pytest.mark.django_db

GUARDS = {
    "authenticated": IsAuthenticated(),
    "staff": IsStaff(),
    "superuser": IsSuperuser(),
    "permission": HasPermission("auth.add_group"),
    "permissions": HasPermission("auth.add_group", "auth.delete_group"),
    "any permission": HasPermission("auth.add_group", "auth.delete_group", match="any"),
    "group": InGroup("editors", "writers"),
}


def passed(user):
    authentication = None if user is None else Authentication(user=user, scheme=None)
    return {name for name, guard in GUARDS.items() if guard(authentication) is True}


def person(*, permissions=(), groups=(), **flags):
    user = User.objects.create_user("ada", **flags)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in groups])
    return user


def test_the_anonymous_pass_no_guard():
    assert passed(None) == set()


def test_anybody_passes_allow_any():
    assert AllowAny()() is True
    assert AllowAny.drops_outer_guards


def test_a_plain_user_is_only_authenticated():
    assert passed(person()) == {"authenticated"}


def test_staff_are_no_superusers():
    assert passed(person(is_staff=True)) == {"authenticated", "staff"}


def test_superusers_have_every_permission_but_are_in_no_group():
    assert passed(person(is_superuser=True)) == set(GUARDS) - {"staff", "group"}


def test_inactive_users_pass_only_what_asks_nothing_of_them():
    user = person(is_active=False, is_staff=True, is_superuser=True, permissions=["add_group"], groups=["editors"])
    assert passed(user) == {"authenticated"}


def test_every_permission_is_asked_for_unless_any_will_do():
    assert passed(person(permissions=["add_group"])) == {"authenticated", "permission", "any permission"}


def test_permissions_count_that_come_from_a_group():
    user = person(groups=["editors"])
    Group.objects.get().permissions.set(Permission.objects.filter(codename__in=["add_group", "delete_group"]))
    assert passed(user) == {"authenticated", "permission", "permissions", "any permission", "group"}


@pytest.mark.parametrize(
    ("groups", "inside"), [(["writers"], True), (["editors", "writers"], True), (["Editors"], False)]
)
def test_one_of_the_groups_is_enough(groups, inside):
    assert ("group" in passed(person(groups=groups))) is inside


def test_a_user_model_without_flags_has_no_staff():
    class Machine:
        pk = 1
        is_active = True

    authentication = Authentication(user=Machine(), scheme=None)
    assert not IsStaff()(authentication)
    assert not IsSuperuser()(authentication)


@pytest.mark.parametrize("guard", [AllowAny, IsAuthenticated, IsStaff, IsSuperuser])
def test_guards_that_only_look_need_no_thread(guard, django_assert_num_queries):
    user = person(is_staff=True)
    assert guard.sync_to_thread is False
    with django_assert_num_queries(0):
        guard()() if guard is AllowAny else guard()(Authentication(user=user, scheme=None))


@pytest.mark.parametrize("guard", [HasPermission("auth.add_group"), InGroup("editors")])
def test_guards_that_query_run_on_a_thread(guard):
    assert getattr(guard, "sync_to_thread", True)


@pytest.mark.parametrize(
    "make",
    [HasPermission, lambda: HasPermission("add_group"), lambda: HasPermission("auth."), lambda: HasPermission(".x"),
     lambda: HasPermission("auth.add_group", match="some"), InGroup, lambda: InGroup(""), lambda: InGroup(["editors"])],
)  # fmt: skip
def test_a_guard_that_asks_for_nothing_sensible_is_a_configuration_error(make):
    with pytest.raises(ConfigurationError, match=r"HasPermission\(|InGroup\("):
        make()


def test_guards_show_what_they_ask_for():
    assert [repr(guard) for guard in GUARDS.values()] == [
        "IsAuthenticated()",
        "IsStaff()",
        "IsSuperuser()",
        "HasPermission('auth.add_group')",
        "HasPermission('auth.add_group', 'auth.delete_group')",
        "HasPermission('auth.add_group', 'auth.delete_group', match='any')",
        "InGroup('editors', 'writers')",
    ]


# --- over HTTP


def answer() -> str:
    return "passed"


async def answer_async() -> str:
    return "passed"


@pytest.fixture
def status(serve):
    """The status that a user, or nobody, gets from a handler behind guards; the same for sync and async handlers."""

    def ask(user, *guards, outer=()):
        router = Router("/v1", [get("/sync", guards=guards)(answer), get("/async", guards=guards)(answer_async)])
        client = serve(router, authentication=[BasicAuthentication()], guards=outer)
        client.force_authenticate(user)
        first, second = client.get("/v1/sync"), client.get("/v1/async")
        assert (first.status_code, first.content) == (second.status_code, second.content)
        assert ("WWW-Authenticate" in first.headers) is (first.status_code == 401)
        return first.status_code

    return ask


@pytest.mark.parametrize("guard", [IsAuthenticated, *GUARDS.values()])
def test_the_anonymous_get_401(status, guard):
    assert status(None, guard) == 401


@pytest.mark.parametrize("guard", [IsStaff, IsSuperuser, HasPermission("auth.add_group"), InGroup("editors")])
def test_the_wrong_user_gets_403(status, guard):
    assert status(person(), guard) == 403


def test_the_right_user_gets_200(status):
    user = person(is_staff=True, is_superuser=True, groups=["editors"])
    assert status(user, IsStaff, IsSuperuser, HasPermission("auth.add_group"), InGroup("editors")) == 200


def test_inner_guards_add_to_outer_ones(status):
    assert status(person(), IsAuthenticated, outer=[IsStaff]) == 403


def test_allow_any_drops_outer_guards_and_keeps_its_neighbours(status):
    user = person()
    assert status(None, AllowAny, outer=[IsStaff]) == 200
    assert status(user, AllowAny, IsAuthenticated, outer=[IsStaff]) == 200
    assert status(None, AllowAny, IsAuthenticated, outer=[IsStaff]) == 401
