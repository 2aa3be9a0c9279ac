"""An option that does not exist is told when a gateway is built, wherever it is written; above all what protects."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import Group
from django.test import override_settings
from django.utils.functional import cached_property as django_cached_property
from django.views import View

from hybrid_gateway import (
    CORS,
    ASGIMiddleware,
    AuthenticationScheme,
    Body,
    Cache,
    Component,
    Compression,
    ConfigurationError,
    Controller,
    Cookie,
    Depends,
    File,
    Form,
    Gateway,
    Header,
    Include,
    Mount,
    Path,
    Query,
    Route,
    Router,
    Throttle,
    delete,
    get,
    head,
    options,
    patch,
    post,
    put,
    route,
)
from hybrid_gateway.auth import (
    APIKeyAuthentication,
    BasicAuthentication,
    HasPermission,
    HasScope,
    IsAuthenticated,
    JWTAuthentication,
    TokenAuthentication,
)
from hybrid_gateway.conf import READERS, OpenAPISettings, TokenSettings, get_settings
from hybrid_gateway.gateway.options import GatewayOptions
from hybrid_gateway.layer_options import LAYER_OPTIONS
from hybrid_gateway.orm import Column, Cursor, LimitOffset, ModelStruct, ModelViewSet, PageNumber, ViewSet, action, crud
from hybrid_gateway.routing.declare import HANDLER_OPTIONS
from hybrid_gateway.spelling import GUARDING, MEANINGS, suggestion


class GroupOut(ModelStruct, model=Group):
    id: int
    name: str


def handler(self: Any = None) -> str:
    return "open"


# --- where options are written


class Place(NamedTuple):
    known: frozenset[str]
    write: Callable[[str, Any], object]  # of a name and a value


def in_class(base: type, **more: Any) -> Callable[[str, Any], object]:
    def write(name: str, value: Any) -> object:
        members = {"__module__": __name__, **more, name: value}
        return Gateway([type("Written", (base,), members)])

    return write


def in_mixin(name: str, value: Any) -> object:
    mixin = type("Mixin", (), {"__module__": __name__, name: value})
    base = type("Base", (mixin, Controller), {"__module__": __name__})
    return Gateway([type("Written", (base,), {"__module__": __name__, "shown": get("/shown")(handler)})])


def in_inner(name: str, value: Any) -> object:
    inner = type("Inner", (Controller,), {"shown": get("/shown")(handler), name: value})
    return Gateway([type("Outer", (Controller,), {"Inner": inner})])


def in_settings(name: str, value: Any) -> object:
    with override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", name.upper(): value}):
        return get_settings()


def in_openapi(name: str, value: Any) -> object:
    with override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", "OPENAPI": {name.upper(): value}}):
        return get_settings()


def in_tokens(name: str, value: Any) -> object:
    with override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", "TOKENS": {name.upper(): value}}):
        return get_settings()


VERBS = {verb.__name__: verb for verb in (get, post, put, patch, delete, head, options, route)}
LAYER = LAYER_OPTIONS
HANDLER = HANDLER_OPTIONS
SHOWN = {"shown": get("/shown")(handler)}
ROWS = {"out": GroupOut}
VIEWSET = frozenset(
    LAYER | {"queryset", "given", "write_guards", "deletes", "filters", "lookup_field", "create_in", "update_in"}
)
PLACES: dict[str, Place] = {
    **{name: Place(HANDLER, lambda n, v, verb=verb: verb("/x", **{n: v})(handler)) for name, verb in VERBS.items()},  # type: ignore[misc]
    "Route": Place(HANDLER, lambda n, v: Route("/x", handler, **{n: v})),
    "Router": Place(LAYER, lambda n, v: Router("/x", [], **{n: v})),
    "Include": Place(LAYER, lambda n, v: Include("/x", [], **{n: v})),
    "Gateway": Place(LAYER, lambda n, v: Gateway([], **{n: v})),
    "GatewayOptions.inside": Place(LAYER, lambda n, v: GatewayOptions(routes=()).inside(**{n: v})),
    "action": Place(HANDLER, lambda n, v: action(detail=False, **{n: v})),
    "crud": Place(LAYER, lambda n, v: crud(Group, out=GroupOut, **{n: v})),
    "Controller": Place(LAYER, in_class(Controller, **SHOWN)),
    "an inner Controller": Place(LAYER, in_inner),
    "a mixin": Place(LAYER, in_mixin),
    "ViewSet": Place(LAYER, in_class(ViewSet, list=handler)),
    "ModelViewSet": Place(VIEWSET, in_class(ModelViewSet, **ROWS)),
    "HYBRID_GATEWAY": Place(frozenset(key.lower() for key in READERS), in_settings),
    "OPENAPI": Place(frozenset(OpenAPISettings.__struct_fields__), in_openapi),
    "TOKENS": Place(frozenset(TokenSettings.__struct_fields__), in_tokens),
}


CLASSES = ["Controller", "an inner Controller", "a mixin", "ViewSet", "ModelViewSet"]


# --- what people type instead


def typos(name: str) -> Iterator[str]:
    middle = len(name) // 2
    yield name[:middle] + name[middle + 1 :]  # a letter less
    yield name[:middle] + name[middle] + name[middle:]  # twice
    yield name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :]  # in the other order
    yield name[:-1] if name.endswith("s") else name + "s"
    yield name.replace("_", "") if "_" in name else name + "_"
    yield "".join(part.title() if place else part for place, part in enumerate(name.split("_")))
    yield f"default_{name}"
    yield f"my_{name}"
    if len(name) > 7:
        yield name[:2] + name[3:-2] + name[-1]  # two letters less


@pytest.mark.parametrize("place", PLACES)
def test_a_misspelt_option_is_told_with_the_right_one(place: str) -> None:
    """Of the verbs, which are one function with other methods, the first takes every typo, the others one an option."""
    most = 1 if place in VERBS and place != "get" else None
    for option in sorted(PLACES[place].known):
        for typo in sorted(set(typos(option)) - PLACES[place].known)[:most]:
            if not is_honest(place, option, typo):
                assert_told(place, option, typo)


def is_honest(place: str, option: str, typo: str) -> bool:
    """Whether ``typo`` may be what it says it is."""
    if typo in ("", "path", "name", "methods", "routes", "out", "list") or (len(option) < 4 and "_" not in typo):
        return True
    return typo.startswith("my_") and place in CLASSES and option not in GUARDING


def assert_told(place: str, option: str, typo: str) -> None:
    try:
        PLACES[place].write(typo, [IsAuthenticated])
    except ConfigurationError as error:
        told = str(error)
    else:
        raise AssertionError(f"{typo}, for {option}, is taken in silence.")
    assert " has no option " in told or " has no key " in told
    assert typo.lower() in told.lower()
    assert typo.startswith("my_") or "Did you mean" in told or "It is an option of" in told, told


PROTECTING = [
    *("guard", "gaurds", "GUARDS", "Guards", "guardss", "permission_classes", "permissionClasses", "permission_clases"),
    *("permissions", "permission", "permission_required", "login_required", "decorators", "dependencies", "depends_on"),
    *("auth", "autentication", "authentification", "authentications", "authentication_classes", "authentication_class"),
    *("throttles", "throttle_classes", "throttle_scope", "throtle", "rate_limit", "middlewares", "middlware"),
    *("require_auth", "requires_login", "is_staff", "staff_only", "allow_anonymous", "acl", "access_control"),
    *("user_required", "roles_required", "authorize", "authorise", "authorisation"),
    *("django_middlewares", "before_requests", "throttle_fails", "my_guards", "extra_permissions", "auth_required"),
]
OPEN = frozenset(("depends_on", "my_guards", "extra_permissions", "auth_required", "Guards"))  # unless they are read


@pytest.mark.parametrize("place", CLASSES)
@pytest.mark.parametrize("name", PROTECTING)
def test_what_protects_elsewhere_is_never_taken_in_silence(name: str, place: str) -> None:
    if name == "depends_on":
        pytest.skip("A name like any other.")
    with pytest.raises(ConfigurationError, match="has no option"):
        PLACES[place].write(name, [IsAuthenticated])


@pytest.mark.parametrize("name", [name for name in PROTECTING if name not in OPEN])
def test_nor_where_a_method_reads_it(name: str) -> None:
    code = f"def reads(self):\n    return self.{name}"
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102
    write = in_class(Controller, **SHOWN, reads=namespace["reads"])
    with pytest.raises(ConfigurationError, match="has no option"):
        write(name, [IsAuthenticated])


@pytest.mark.parametrize("base", [LoginRequiredMixin, View])
def test_views_of_others_are_no_bases(base: type) -> None:
    with pytest.raises(ConfigurationError, match="protects and answers nothing here"):
        Gateway([type("Written", (base, Controller), dict(SHOWN))])


@pytest.mark.parametrize(
    "name", ["get_permissions", "check_permissions", "get_authenticators", "get_throttles", "dispatch"]
)
@pytest.mark.parametrize("place", CLASSES)
def test_methods_that_others_call_to_protect_are_told(name: str, place: str) -> None:
    if name == "dispatch" and place != "ModelViewSet":
        pytest.skip("A word like any other, where it means nothing.")
    with pytest.raises(ConfigurationError, match="has no option"):
        PLACES[place].write(name, lambda self: [])


@pytest.mark.parametrize(
    "name", ["get_query_set", "perform_create", "querysets", "deletable", "givens", "filter_queryset"]
)
def test_methods_that_scope_rows_elsewhere_are_told(name: str) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean '(get_queryset|queryset|given|deletes|filters)'"):
        PLACES["ModelViewSet"].write(name, lambda self: [])


def marks(**attributes: Any) -> Any:
    def decorate(function: Any) -> Any:
        vars(function).update(attributes)
        return function

    return decorate


@pytest.mark.parametrize(
    "name", ["permission_classes", "authentication_classes", "throttle_classes", "guard", "guards"]
)
@pytest.mark.parametrize("above", [True, False])
def test_what_decorators_of_others_leave_on_a_handler_is_told(name: str, above: bool) -> None:
    if name.startswith("guard"):
        pytest.skip("No decorator of a framework leaves that.")

    def shown() -> str:
        return "open"

    mark = marks(**{name: [IsAuthenticated]})
    made = mark(get("/x")(shown)) if above else get("/x")(mark(shown))
    with pytest.raises(ConfigurationError, match="has no option"):
        Gateway([made])
    member = mark(get("/x")(handler)) if above else get("/x")(mark(lambda self: "open"))
    with pytest.raises(ConfigurationError, match="has no option"):
        Gateway([type("Written", (Controller,), {"shown": member})])


# --- what is honestly the project's own


def test_what_a_controller_needs_itself_is_its_own(serve: Any) -> None:
    class Shop(Controller):
        path = "/shop"
        queryset = "rows"
        model = Group
        title = "Shop"
        PAGE = 10
        TIMEOUT = 3
        _guards = "private"
        currency: str = "EUR"
        limit = 5
        name = "shop"
        cost = 3.5

        class Settings:
            guard = None

        @property
        def where(self) -> str:
            return getattr(self, "name")  # noqa: B009

        def get_queryset(self) -> str:
            return self.queryset

        @staticmethod
        def priced(value: float) -> str:
            return f"{value}"

        @get("/rows")
        def rows(self) -> list[str]:
            limits = list(range(self.limit))
            return [
                self.get_queryset(),
                self.priced(self.cost),
                self.title,
                self.where,
                str(len(limits) + self.TIMEOUT),
            ]

    assert serve(Shop).get("/shop/rows").json() == ["rows", "3.5", "Shop", "shop", "8"]


def reader(self: Any) -> Any:
    return self.page_size, self.rows, getattr(self, "serializer")  # noqa: B009


@pytest.mark.parametrize(
    "reads",
    [
        *(reader, classmethod(reader), staticmethod(reader), property(reader), property(None, reader)),
        *(functools.cached_property(reader), django_cached_property(reader), functools.partialmethod(reader)),
        *(functools.lru_cache(reader), functools.singledispatchmethod(reader), get("/read")(reader)),
        lambda self: [(lambda: reader(self))(), self.page_size, self.rows, self.serializer],
    ],
)
def test_what_anything_of_the_class_reads_is_its_own(reads: Any) -> None:
    base = type("Base", (), {"reads": reads, "page_size": 10, "rows": (), "serializer": str})
    Gateway([type("Written", (base, Controller), {"__module__": __name__, **SHOWN})])


@pytest.mark.parametrize(
    "name",
    [
        *("author", "authors", "authored_by", "author_field", "author_model", "authority", "authorship", "guardian"),
        *(
            "staff_email",
            "staff_email_address",
            "permit_empty",
            "permitted",
            "MAX_ITEMS",
            "TIMEOUT",
            "HEADERS",
            "CODES",
        ),
        *("table", "unit", "requires_redis", "access_log", "access_key", "classes_taken", "miracle", "oracle"),
    ],
)
@pytest.mark.parametrize("place", CLASSES)
def test_words_that_are_like_an_option_in_letters_alone_are_ones_own(name: str, place: str) -> None:
    PLACES[place].write(name, "value")


@pytest.mark.parametrize(
    "name",
    [
        "actions",
        "allowed_actions",
        "exclude_actions",
        "read_only",
        "readonly",
        "operations",
        "methods",
        "allowed_methods",
    ],
)
def test_what_would_leave_actions_out_elsewhere_is_told(name: str) -> None:
    for value in (["list"], "list", True):
        with pytest.raises(ConfigurationError, match="has no option"):
            PLACES["ModelViewSet"].write(name, value)


@pytest.mark.parametrize("place", PLACES)
def test_the_known_options_are_those_that_users_write(place: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        PLACES[place].write("requires_group_x" if place in CLASSES else "zzz", 1)
    assert "__" not in str(told.value)


# --- by meaning, not by letters


@pytest.mark.parametrize(
    ("place", "typed", "meant"),
    [
        ("get", "permission_classes", "'guards'"), ("get", "dependencies", "'guards' or 'components'"),
        ("get", "response_model", "'response'"), ("get", "responses", "'raises'"),
        ("get", "media_type", "'media_types'"),
        ("get", "auth", "'authentication'"), ("get", "serializer_class", "'response'"), ("get", "url_name", "'name'"),
        ("get", "return_dto", "'response'"), ("get", "middlewares", "'middleware'"), ("get", "method", "'methods'"),
        ("Router", "response_model", "'response', an option of each handler"), ("Router", "prefix", "'path'"),
        ("Router", "summary", "an option of each handler"), ("Router", "operation_id", "an option of each handler"),
        ("Router", "dependencies", "'guards' or 'components'"), ("Controller", "permission_classes", "'guards'"),
        ("Controller", "queryset", "Handlers return querysets"), ("ModelViewSet", "serializer_class", "'out'"),
        ("ModelViewSet", "permission_classes", "'guards'"), ("ModelViewSet", "lookup", "'lookup_field'"),
        ("ModelViewSet", "filter_fields", "'filterset_fields'"), ("ModelViewSet", "pagination_class", "'pagination'"),
        ("crud", "guard", "'guards'"), ("crud", "permissions", "'guards'"), ("crud", "serializer_class", "'out'"),
        ("crud", "create_schema", "'create'"), ("crud", "write_permissions", "'write_guards'"),
        ("Gateway", "middlewares", "'middleware'"), ("HYBRID_GATEWAY", "default_permission_classes", "'GUARDS'"),
        ("HYBRID_GATEWAY", "default_authentication_classes", "'AUTHENTICATION'"), ("HYBRID_GATEWAY", "url", "'PATH'"),
        ("ViewSet", "http_method_names", "The verbs of the handlers"), ("ViewSet", "throttle_classes", "'throttle'"),
    ],
)  # fmt: skip
def test_the_suggestion_goes_by_meaning(place: str, typed: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        PLACES[place].write(typed, [IsAuthenticated])
    assert meant in str(told.value)


def test_what_others_call_it_leads_somewhere() -> None:
    """No entry of the table is shadowed by an option of the name, or leads to nothing there is."""
    everything = {name for known, _ in PLACES.values() for name in known} | {"methods", "path", "routes", "name"}
    for foreign, ours in MEANINGS.items():
        if foreign not in HANDLER:
            assert any(entry in everything for entry in ours) or ours, foreign
        if ours[0] in HANDLER and foreign not in HANDLER:
            assert repr(ours[0]) in suggestion(foreign, HANDLER), foreign
    assert GUARDING - {"queryset", "get_queryset", "given", "deletes", "write_guards"} <= LAYER


# --- calls with keywords of their own


CALLS: dict[str, Callable[..., object]] = {
    "CORS": lambda **k: CORS(["https://shop.example"], **k),
    "Throttle": lambda **k: Throttle("5/minute", **k),
    "Cache": lambda **k: Cache(5, **k),
    "Compression": Compression,
    "Mount": lambda **k: Mount("/x", handler, **k),
    "PageNumber": PageNumber,
    "LimitOffset": LimitOffset,
    "Cursor": Cursor,
    "Column": Column,
    "Query": Query,
    "Header": Header,
    "Cookie": Cookie,
    "Path": Path,
    "Body": Body,
    "Form": Form,
    "File": File,
    "Depends": Depends,
    "APIKeyAuthentication": APIKeyAuthentication,
    "BasicAuthentication": BasicAuthentication,
    "TokenAuthentication": TokenAuthentication,
    "JWTAuthentication": JWTAuthentication,
    "HasPermission": lambda **k: HasPermission("a.b", **k),
    "HasScope": lambda **k: HasScope("a:b", **k),
    "GatewayOptions.replace": GatewayOptions(routes=()).replace,
    "ModelStruct": lambda **k: type(ModelStruct)("Made", (ModelStruct,), {}, **k),
}
WORDS = {
    "CORS": {"allow_credentials": "credentials", "credental": "credentials"},
    "Throttle": {"scopes": "scope", "bye": "by"},
    "PageNumber": {"page_size": "size", "max_page_size": "max_size"},
    "LimitOffset": {"default_limit": "limit", "max_limits": "max_limit"},
    "Column": {"readonly": "read_only", "sources": "source"},
    "Query": {"regex": "pattern", "min_lenght": "min_length"},
    "File": {"max_sice": "max_size", "content_type": "content_types"},
    "ModelStruct": {"modle": "model", "excludes": "exclude"},
    "GatewayOptions.replace": {"thread": "threads", "route": "routes"},
}


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_keyword_is_told_by_the_same_words(call: str) -> None:
    for typed, meant in {"nonsense_of_mine": "Known options", **WORDS.get(call, {})}.items():
        with pytest.raises(ConfigurationError, match=f"has no option '{typed}'") as told:
            CALLS[call](**{typed: "x"})
        assert meant in str(told.value)


def test_any_letters_are_told() -> None:
    """Whatever is typed, building ends with an error of ours or, in a class, with what is nobody's option."""
    chance = random.Random(4)
    for _ in range(60):
        typed = "".join(chance.choice("abcdegilnoprstuw_") for _ in range(chance.randint(3, 12))).strip("_") or "abc"
        for place in ("get", "Router", "Gateway", "crud", "HYBRID_GATEWAY"):
            if typed not in PLACES[place].known:
                with pytest.raises(ConfigurationError):
                    PLACES[place].write(typed, None)


# --- classes that are told by their attributes


class Waits(ASGIMiddleware):
    async def handle(self, scope: Any, receive: Any, send: Any, next_app: Any) -> None: ...


class Thing(Component):
    def resolve(self) -> Thing: ...  # type: ignore[empty-body]


class Scheme(AuthenticationScheme):
    def authenticate(self) -> None: ...

    def openapi(self) -> dict[str, Any]:
        return {}


class Hook:
    def on_request(self) -> None: ...


def nothing(self: Any) -> None: ...


@pytest.mark.parametrize(
    ("option", "base", "name", "value"),
    [
        ("middleware", Waits, "exlude", "^/a"), ("middleware", Waits, "exclude_opts", "a"),
        ("components", Thing, "lifetme", "app"), ("components", Thing, "lifetimes", "app"),
        ("components", Thing, "use_caches", False), ("authentication", Scheme, "carrier", ("X-Door",)),
        ("authentication", Scheme, "keyword", "token"), ("authentication", Scheme, "query_carrier", ("key",)),
        ("event_hooks", Hook, "on_respone", nothing), ("event_hooks", Hook, "on_errors", nothing),
    ],
)  # fmt: skip
@pytest.mark.parametrize("made", [True, False])
def test_a_misspelt_attribute_is_told(option: str, base: type, name: str, value: Any, made: bool) -> None:
    kind = type("Misspelt", (base,), {"__module__": __name__, name: value})
    with pytest.raises(ConfigurationError, match=f"Misspelt has an attribute '{name}'. Did you mean"):
        Gateway([get("/", **{option: [kind() if made or option in ("middleware", "components") else kind]})(handler)])  # type: ignore[misc]
    fine = type("Fine", (base,), {"__module__": __name__, "life": 1, "keys": (), "on_the_way": nothing})()
    vars(fine)["excluded"] = ()
    Gateway([get("/", **{option: [fine]})(lambda: "x")])  # type: ignore[misc]
