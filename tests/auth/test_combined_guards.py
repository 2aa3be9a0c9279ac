"""Guards made of guards, guards that look at an object, and scopes."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission

from hybrid_gateway import Component, get
from hybrid_gateway.auth import (
    AllOf,
    AllowAny,
    AnyOf,
    Authentication,
    BasicAuthentication,
    HasPermission,
    HasScope,
    InGroup,
    IsAuthenticated,
    IsStaff,
    IsSuperuser,
    TokenAuthentication,
)
from hybrid_gateway.exceptions import ConfigurationError, Forbidden, NotFound, Unauthorized
from hybrid_gateway.tokens.models import Token

User = get_user_model()
pytestmark = pytest.mark.django_db


def answer() -> str:
    return "passed"


async def answer_async() -> str:
    return "passed"


@pytest.fixture
def status(serve):
    """The status that a user, or nobody, gets behind guards; the same for sync and async handlers."""

    def ask(user, *guards):
        routes = [get("/sync", guards=guards)(answer), get("/async", guards=guards)(answer_async)]
        client = serve(*routes, authentication=[BasicAuthentication()])
        client.force_authenticate(user)
        first, second = client.get("/sync"), client.get("/async")
        assert (first.status_code, first.content) == (second.status_code, second.content)
        assert ("WWW-Authenticate" in first.headers) is (first.status_code == 401)
        return first.status_code

    return ask


def person(**flags):
    return User.objects.create_user("ada", **flags)


def yes() -> bool:
    return True


async def yes_async() -> bool:
    return True


def no() -> bool:
    return False


async def no_async() -> bool:
    return False


def forbids() -> bool:
    raise Forbidden("forbidden by hand")


def challenges() -> bool:
    raise Unauthorized("challenged by hand")


@pytest.mark.parametrize(
    ("guard", "passes"),
    [
        (AnyOf(yes, no), True), (AnyOf(no, yes), True), (AnyOf(no, no), False), (AnyOf(yes, yes), True),
        (AllOf(yes, no), False), (AllOf(no, yes), False), (AllOf(yes, yes), True), (AllOf(no, no), False),
        (AnyOf(no_async, yes), True), (AnyOf(no, yes_async), True), (AllOf(yes_async, no), False),
        (AllOf(yes, yes_async, no_async), False), (AllOf(yes_async, yes), True),
        (AnyOf(forbids, yes), True), (AnyOf(forbids, no), False), (AllOf(yes, forbids), False),
        (AnyOf(AllOf(yes, no), AllOf(yes, yes_async)), True), (AnyOf(AllOf(yes, no), no), False),
        (AllOf(AnyOf(no, yes), AnyOf(no, no_async)), False), (AllOf(AnyOf(no, yes), AnyOf(yes_async, no)), True),
        (AllOf(no, AnyOf(yes, yes)), False), (AnyOf(yes, AllOf(no, no)), True), (AnyOf(AllowAny, no), True),
        (AnyOf(yes, AnyOf(no, no)), True), (AllOf(no, AllOf(yes, yes)), False),
    ],
    ids=repr,
)  # fmt: skip
def test_guards_combine_as_logic_does(status, guard, passes):
    assert status(person(), guard) == (200 if passes else 403)


def test_the_anonymous_get_401_from_combined_guards(status):
    assert status(None, AnyOf(IsStaff, IsSuperuser)) == 401
    assert status(None, AllOf(IsAuthenticated, IsStaff)) == 401
    assert status(None, AnyOf(IsStaff, yes)) == 200
    assert status(person(), AnyOf(IsStaff, HasPermission("auth.add_group"))) == 403


def test_combined_guards_query_and_look_on_the_threads_they_need(status):
    user = person()
    user.user_permissions.set(Permission.objects.filter(codename="add_group"))
    assert status(user, AnyOf(IsStaff, InGroup("editors"), HasPermission("auth.add_group"))) == 200
    assert status(user, AllOf(AnyOf(IsStaff, yes_async), HasPermission("auth.delete_group"))) == 403


def test_the_last_refusal_that_was_raised_is_the_answer(serve):
    client = serve(get("/x", guards=[AnyOf(challenges, forbids)])(answer))
    refused = client.get("/x")
    assert (refused.status_code, refused.json()["detail"]) == (403, "forbidden by hand")
    client = serve(get("/x", guards=[AllOf(challenges, forbids)])(answer))
    assert client.get("/x").json()["detail"] == "challenged by hand"


def test_what_is_no_refusal_is_not_swallowed(serve):
    def breaks() -> bool:
        raise NotFound("gone")

    assert serve(get("/x", guards=[AnyOf(breaks, yes)])(answer)).get("/x").status_code == 404


def test_guards_are_asked_no_longer_than_the_answer_is_open(serve):
    asked = []

    def first() -> bool:
        asked.append("first")
        return True

    def second() -> bool:
        asked.append("second")
        return True

    client = serve(
        get("/any", guards=[AnyOf(first, second)])(answer), get("/all", guards=[AllOf(no, first, second)])(answer)
    )
    assert client.get("/any").status_code == 200
    assert client.get("/all").status_code == 403
    assert asked == ["first"]


def test_combined_guards_show_what_they_are_made_of():
    guard = AnyOf(IsStaff, AllOf(HasScope("a", "b"), HasPermission("auth.add_group", obj=find_group)), yes)
    shown = "AnyOf(IsStaff, AllOf(HasScope('a', 'b'), HasPermission('auth.add_group', obj=find_group)), yes)"
    assert repr(guard) == shown
    assert repr(HasScope("a", match="any")) == "HasScope('a', match='any')"


@pytest.mark.parametrize(
    "make",
    [AnyOf, lambda: AnyOf(IsStaff), lambda: AllOf(IsStaff, "x"), HasScope, lambda: HasScope("a b"),
     lambda: HasScope(""), lambda: HasScope("a", match="some"), lambda: HasPermission("auth.add_group", obj="x")],
)  # fmt: skip
def test_a_guard_that_makes_no_sense_is_a_configuration_error(make):
    with pytest.raises(ConfigurationError, match=r"AnyOf|AllOf|HasScope|HasPermission"):
        make()


# --- scopes


@pytest.mark.parametrize(
    ("scopes", "guard", "passes"),
    [
        (["a"], HasScope("a"), True), (["a", "b"], HasScope("a", "b"), True), (["a"], HasScope("a", "b"), False),
        (["a"], HasScope("a", "b", match="any"), True), ([], HasScope("a"), False), (["A", "aa"], HasScope("a"), False),
    ],
)  # fmt: skip
def test_tokens_pass_by_their_scopes(serve, scopes, guard, passes):
    user = person(is_staff=True, is_superuser=True)
    client = serve(get("/x", guards=[guard])(answer), authentication=[TokenAuthentication()])
    _, plain = Token.objects.issue(user, scopes=scopes)
    expected = 200 if passes else 403
    assert client.get("/x", headers={"Authorization": f"Bearer {plain}"}).status_code == expected
    assert client.get("/x").status_code == 401


def test_a_test_client_gives_the_scopes_of_the_token_it_is_told(serve):
    user = person()
    client = serve(get("/x", guards=[HasScope("a")])(answer), authentication=[TokenAuthentication()])
    client.force_authenticate(user, Token.objects.issue(user, scopes=["a"])[0])
    assert client.get("/x").status_code == 200
    client.force_authenticate(user)
    assert client.get("/x").status_code == 403


def test_a_password_has_no_scopes():
    authentication = Authentication(user=person(is_superuser=True), scheme=BasicAuthentication())
    assert not HasScope("a")(authentication)


@pytest.mark.parametrize("scopes", ["a", ["a b"], [""], ['a"'], [1], ["a\n"], ["é"]])
def test_scopes_are_names(scopes):
    with pytest.raises(ValueError, match="scopes must be"):
        Token.objects.issue(person(), scopes=scopes)


# --- objects


class Group:
    def __init__(self, owner):
        self.owner = owner


class OwnersBackend(ModelBackend):
    """Owners may change what is theirs."""

    def has_perm(self, user_obj, perm, obj=None):
        return isinstance(obj, Group) and obj.owner == user_obj.username


looked_up = []


def find_group(group: str) -> Group:
    looked_up.append(group)
    if group == "none":
        raise NotFound("There is no such group.")
    return Group(owner=group)


async def find_group_async(group: str) -> Group:
    return find_group(group)


class Groups(Component):
    def resolve(self, group: str) -> Group:
        return find_group(group)


def show(group: str) -> str:
    return group


@pytest.fixture
def ask(serve, settings):
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.OwnersBackend"]
    looked_up.clear()

    def ask(user, path, *guards):
        client = serve(
            get("/groups/{group}", guards=guards)(show), components=[Groups()], authentication=[BasicAuthentication()]
        )
        client.force_authenticate(user)
        return client.get(path).status_code

    return ask


@pytest.mark.parametrize("obj", [find_group, find_group_async, Group], ids=["function", "async function", "component"])
def test_a_permission_may_be_for_an_object(ask, obj):
    user = person()
    guard = HasPermission("auth.change_group", obj=obj)
    assert ask(user, "/groups/ada", guard) == 200
    assert ask(user, "/groups/bob", guard) == 403
    assert ask(user, "/groups/none", guard) == 404
    assert ask(user, "/groups/bob", AnyOf(guard, IsAuthenticated)) == 200


def test_nothing_is_looked_up_for_the_anonymous(ask):
    guard = HasPermission("auth.change_group", obj=find_group)
    for guards in ([guard], [AnyOf(guard, IsStaff)], [AllOf(guard, yes)], [AllOf(AnyOf(guard, IsStaff), yes)]):
        assert ask(None, "/groups/none", *guards) == 401
    assert looked_up == []


def test_an_object_is_looked_up_once_for_guard_and_handler(ask, serve):
    def show_group(group: str, found: Group) -> str:
        return found.owner

    guard = HasPermission("auth.change_group", obj=Group)
    client = serve(
        get("/groups/{group}", guards=[guard])(show_group),
        components=[Groups()],
        authentication=[BasicAuthentication()],
    )
    client.force_authenticate(person())
    assert client.get("/groups/ada").text == "ada"
    assert looked_up == ["ada"]
