"""Each id is provoked: the message says what it should, where, and where to read more.

A row is an id and a function that makes the mistake. What stands in ``UNPROVOKED`` has a reason.
"""

import dataclasses
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path as FilePath
from types import ModuleType
from typing import Annotated, Any, Literal, TypeVar
from unittest.mock import patch

import annotated_types
import msgspec
import pydantic
import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db.models import QuerySet
from django.test import override_settings
from django.utils import timezone
from django.views.decorators.cache import never_cache

from hybrid_gateway import (
    CORS,
    ASGIMiddleware,
    Body,
    Component,
    Compression,
    ConfigurationError,
    Controller,
    File,
    Frontend,
    Gateway,
    Header,
    Include,
    Listener,
    Mount,
    Path,
    Query,
    Request,
    Route,
    Router,
    Shape,
    SkipValidation,
    StaticFiles,
    computed,
    get,
    listener,
    post,
    stream,
    websocket,
)
from hybrid_gateway.auth import HasScope, IsAuthenticated, JWTAuthentication, TokenAuthentication
from hybrid_gateway.auth.credential_store import UserResolver
from hybrid_gateway.auth.keys import load_pyjwt
from hybrid_gateway.binding.parameter_sources import ParameterSource
from hybrid_gateway.caching import Cache
from hybrid_gateway.channels import Channel
from hybrid_gateway.channels.backends.postgres_notify import PostgreSQLBackend
from hybrid_gateway.channels.backends.redis_connection import RedisAddress
from hybrid_gateway.channels.process_channels import make_backend
from hybrid_gateway.conf import ChannelsSettings, OpenAPISettings, get_settings
from hybrid_gateway.events import on
from hybrid_gateway.gateway.settings_gateway import from_settings
from hybrid_gateway.orm import (
    Column,
    ModelStruct,
    ModelViewSet,
    Ordering,
    PageNumber,
    Search,
    crud,
    model_struct,
    prepare,
)
from hybrid_gateway.orm.introspection import model_of
from hybrid_gateway.orm.lists.cursors import Keyset
from hybrid_gateway.orm.write.instance_writer import update_many
from hybrid_gateway.problems import link
from hybrid_gateway.problems.catalogue import catalogue
from hybrid_gateway.sessions.flash_messages import check_messages_installed
from hybrid_gateway.static_files.frontend import _routes_of_dev_server
from hybrid_gateway.stores.store import find_store
from hybrid_gateway.throttling import Throttle
from tests.library.models import Author, Book

HERE = FilePath(__file__)
T = TypeVar("T")
PROVOKED: dict[str, Callable[[], object]] = {}


def provokes(*ids: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Let a function stand in the table; each id has one."""

    def note(function: Callable[[], object]) -> Callable[[], object]:
        for number in ids:
            assert number not in PROVOKED
            PROVOKED[number] = function
        return function

    return note


def build(*routes: Any, **options: Any) -> Gateway:
    return Gateway(list(routes), **options)


def takes(kind: Any, path: str = "/x", verb: Any = get, name: str = "value", **options: Any) -> object:
    """Build a route whose handler takes one parameter of a type."""

    def handler(value: Any) -> None: ...

    handler.__annotations__ = {"value": kind, "return": None}
    if name != "value":
        exec(f"def handler({name}): ...", space := {})
        handler = space["handler"]
        handler.__annotations__ = {name: kind, "return": None}
    return build(verb(path)(handler), **options)


def in_settings(**keys: Any) -> object:
    with override_settings(HYBRID_GATEWAY=keys):
        return from_settings(get_settings())


def nothing() -> None: ...


class Anything:
    """Nobody provides it, and nobody reads it."""


class Line(msgspec.Struct):
    text: str


class Other(msgspec.Struct):
    number: int


class GroupOut(ModelStruct, model=Group):
    id: int
    name: str


@dataclasses.dataclass
class Account:
    id: int
    secret: str = ""


# --- settings --------------------------------------------------------------------------------------------------------

provokes("S001")(lambda: in_settings(ROUTES="tests.routes", GAURDS=[]))
provokes("S002")(lambda: in_settings(ROUTES="tests.routes", THREADS="8"))
provokes("S003")(lambda: in_settings(ROUTES="tests.routes", GUARDS=["no.such.guard"]))
provokes("S005")(lambda: in_settings(THREADS=8))


@provokes("S010")
def missing_app() -> object:
    with override_settings(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"]):
        return check_messages_installed()


@provokes("S011")
def no_store() -> object:
    return find_store(object())


# --- routes ----------------------------------------------------------------------------------------------------------

provokes("R001")(lambda: build(get("/x")(nothing), path="api"))
provokes("R002")(lambda: build(get("/{a}/{a}")(nothing)))
provokes("R003")(lambda: build(get("/{a:path}/x")(nothing)))
provokes("R004")(lambda: build(get("/{a}{b}")(nothing)))
provokes("R005")(lambda: build(get("/{a:integer}")(nothing)))
provokes("R010")(lambda: build(get("/x")(nothing), get("/x")(nothing)))
provokes("R011")(lambda: build(get("/x", name="n")(nothing), get("/y", name="n")(lambda: None)))
provokes("R012")(lambda: build(get("/admin/x")(nothing), django_routes=["/admin/"]))
provokes("R013")(lambda: build(Frontend("/", directory="."), Frontend("/", directory=".")))
provokes("R014")(lambda: build(Router("/{a}", [Mount("/m", Gateway([]))])))
provokes("R015")(lambda: build(nothing))
provokes("R016")(lambda: Route("/x", "nothing"))  # type: ignore[arg-type]
provokes("R018")(lambda: Route("/x", nothing, methods=["FETCH"]))
provokes("R019")(lambda: get("/x", status_code=99)(nothing))
provokes("R020")(lambda: read_document())
provokes("R021")(lambda: build(type("Empty", (Controller,), {"path": "/x"})))
provokes("R024")(lambda: get("/x", gaurds=[])(nothing))
provokes("R025")(lambda: build(get("/x", guards=IsAuthenticated)(nothing)))
provokes("R026")(lambda: build(listener("/x", emit_signals=True)(echo)))
provokes("R027")(lambda: build(get("/x", atomic=True)(asynchronous)))


def read_document() -> object:
    from hybrid_gateway.test import TestClient

    gateway = build(get("/x", raises=["no"])(nothing), openapi=OpenAPISettings(enabled=True))
    return TestClient(gateway).get("/openapi.json")


async def asynchronous() -> None: ...


@provokes("R017")
def module_without_routes() -> object:
    sys.modules["routes_of_nobody"] = ModuleType("routes_of_nobody")
    return build(Include("/x", "routes_of_nobody"))


@provokes("R022")
def foreign_base() -> object:
    from django.contrib.auth.mixins import LoginRequiredMixin

    return build(type("Mine", (LoginRequiredMixin, Controller), {"path": "/x", "shown": get("/y")(lambda self: None)}))


@provokes("R023")
def hidden_route() -> object:
    def other(function: Any) -> Any:
        def call() -> None: ...

        call.__wrapped__ = function  # type: ignore[attr-defined]
        return call

    return build(
        type("Mine", (Controller,), {"path": "/x", "hidden": other(get("/y")(nothing)), "a": get("/a")(nothing)})
    )


# --- signatures and bodies -------------------------------------------------------------------------------------------


@provokes("P001")
def unannotated() -> object:
    def handler(request): ...  # type: ignore[no-untyped-def]

    return build(get("/x")(handler))


@provokes("P002")
def unknown_name() -> object:
    def handler(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    return build(get("/x")(handler))


@provokes("P003")
def unreadable() -> object:
    return build(Route("/x", type("C", (), {"__call__": dict.get, "__signature__": 5})()))


@provokes("P004")
def variable_arguments() -> object:
    def handler(*args: int) -> None: ...

    return build(get("/x")(handler))


@provokes("P005")
def marker_as_default() -> object:
    def handler(page: int = Query()) -> None: ...  # type: ignore[assignment]

    return build(get("/x")(handler))


provokes("P006")(lambda: Query(1))  # type: ignore[call-arg]
provokes("P007")(lambda: takes(Annotated[int, annotated_types.Gt(1)]))
provokes("P008")(lambda: takes(Annotated[int, Query(), Header()]))
provokes("P009")(lambda: build(get("/x")(nothing), parameters={"a": int}))
provokes("P011")(lambda: build(get("/{a}")(nothing)))
provokes("P012")(lambda: takes(Annotated[int, Path()]))
provokes("P013")(lambda: takes(list[int], "/{value}"))
provokes("P014")(lambda: takes(Annotated[dict[str, int], Query()]))
provokes("P015")(lambda: takes(Annotated[int, Query(min_length=1)]))
provokes("P016")(lambda: takes(Annotated[SkipValidation[Line], Query()]))
provokes("P018")(lambda: takes(int, type_decoders={"no": int}))
provokes("P019")(lambda: takes(Annotated[Anything, Body()], verb=post))
provokes("B001")(lambda: build(post("/x")(two_bodies)))
provokes("B002")(lambda: takes(Annotated[Line | Account, Body()], verb=post))
provokes("B003")(lambda: takes(bytes, verb=post))
provokes("B004")(lambda: takes(Annotated[int, File()], verb=post))
provokes("B005")(lambda: File(min_size=2, max_size=1))
provokes("B006")(lambda: build(post("/x", guards=[looks_into_the_body])(nothing)))
provokes("B007")(lambda: takes(Line))


def two_bodies(one: Line, other: Line) -> None: ...


def looks_into_the_body(data: Line) -> bool:
    return True


@provokes("B008")
def synchronous_stream() -> object:
    return takes(AsyncIterator[bytes], verb=post)


@provokes("P010")
def guard_that_yields() -> object:
    def guard(request: Request) -> Any:
        yield True

    return build(get("/x", guards=[guard])(nothing))


# --- components and authentication -----------------------------------------------------------------------------------

provokes("C001")(lambda: takes(Anything, name="clock"))
provokes("C003")(lambda: build(get("/x")(nothing), components=[5]))
provokes("C004")(lambda: build(get("/x")(nothing), components=[lambda: 5]))


class Ours:
    """Needs itself."""


def make_ours(other: Ours) -> Ours:
    return other


provokes("C002")(lambda: takes(Ours, name="ours", components=[make_ours]))


class Kept(Component):
    lifetime = "app"

    def resolve(self, page: int) -> Ours:
        return Ours()


provokes("C005")(lambda: takes(Ours, name="ours", components=[Kept()]))
provokes("A001")(lambda: build(get("/x", guards=[5])(nothing)))
provokes("A002")(lambda: build(get("/x", authentication=[5])(nothing)))
provokes("A003")(lambda: HasScope())
provokes("A004")(lambda: takes(User, name="user"))
provokes("A006")(lambda: JWTAuthentication(key="a" * 64, keys={"a": "b" * 64}, algorithms=["HS256"]))
provokes("A007")(lambda: JWTAuthentication(key="short", algorithms=["HS256"]))
provokes("A008")(lambda: JWTAuthentication(key="a" * 64, algorithms=["none"]))
provokes("A010")(
    lambda: JWTAuthentication(jwks_url="http://x", issuer="a", audience="b", algorithms=["RS256"], foreign=True)
)
provokes("A011")(lambda: JWTAuthentication(key="a" * 64, algorithms=["HS256"], foreign=True).sign({}, expires_in=5))
provokes("A012")(lambda: TokenAuthentication(keywords="Token"))  # type: ignore[arg-type]


# --- models, lists, prepared queries ---------------------------------------------------------------------------------


def of_model(model: Any, **fields: Any) -> Any:
    namespace = {"__module__": __name__, "__annotations__": fields}
    return type(ModelStruct)("Made", (ModelStruct,), namespace, model=model)


def lists(struct: Any, rows: Any = None, **options: Any) -> object:
    def handler() -> Any:
        return rows

    handler.__annotations__ = {"return": list[struct]}
    return build(get("/x", **options)(handler))


provokes("M001")(lambda: of_model(Group, name=int))
provokes("M002")(lambda: of_model(Book, status=Literal["planned"]))
provokes("M004")(lambda: of_model(Book, weight=float))
provokes("M005")(lambda: of_model(Group, nowhere=str))
provokes("M007")(lambda: of_model(Author, books=GroupOut))
provokes("M008")(lambda: of_model(Book, publisher=GroupOut | None))
provokes("M011")(lambda: of_model(Group, create=Annotated[str, Column("name")]))
provokes("M012")(lambda: model_struct(Group))
provokes("M013")(lambda: Column(read_only=True, write="create"))
provokes("M016")(lambda: crud(Book, out=Whole, create=nested_input()))
provokes("M017")(lambda: crud(Group, out=GroupOut, create=GroupOut))
provokes("M020")(lambda: crud(Group, out=Line))
provokes("L001")(lambda: PageNumber(size=0))
provokes("L002")(lambda: lists(GroupOut, pagination=PageNumber(envelope=5)))
provokes("L003")(lambda: Keyset(Group.objects.order_by("permissions")))
provokes("L005")(lambda: Search())
provokes("L009")(lambda: build(get("/x", pagination=PageNumber())(nothing)))


class Whole(ModelStruct, model=Book):
    id: int
    title: str


def nested_input() -> Any:
    return of_model(
        Book, title=str, publisher=of_model(Book._meta.get_field("publisher").related_model, name=str) | None
    )


class NoDefault(msgspec.Struct):
    name: str


class BadOrder(msgspec.Struct):
    order: Annotated[str, Ordering()] = "name"


provokes("L004")(lambda: lists(GroupOut, filters=NoDefault))
provokes("L006")(lambda: lists(GroupOut, filters=BadOrder))


def viewset(**members: Any) -> object:
    namespace = {"path": "/g", "out": GroupOut, "queryset": Group.objects.all(), "__module__": __name__, **members}
    return build(type("Groups", (ModelViewSet,), namespace))


class OwnRows:
    def get_queryset(self) -> QuerySet[Group]:
        return Group.objects.none()


provokes("L007")(lambda: viewset(search_fields="name"))
provokes("M022")(lambda: viewset(queryset=Permission.objects.all()))
provokes("M024")(lambda: viewset(queryset=Permission.objects.all(), out=PermissionOut, lookup_field="name"))


class PermissionOut(ModelStruct, model=Permission):
    id: int
    name: str


@provokes("M021")
def base_behind() -> object:
    members = {"path": "/g", "out": GroupOut, "queryset": Group.objects.all(), "__module__": __name__}
    return build(
        type("Groups", (ModelViewSet, type("Mixin", (), {"filters": None, "list": lambda self: None})), members)
    )


@provokes("M006")
def no_model() -> object:
    return model_of(type(ModelStruct)("Made", (ModelStruct,), {"__module__": __name__, "__annotations__": {"id": int}}))


@provokes("M015")
def computed_without_a_type() -> object:
    def total(name):  # type: ignore[no-untyped-def]
        return name

    namespace = {"__module__": __name__, "__annotations__": {"id": int, "name": str}, "total": computed(total)}
    return type(ModelStruct)("Made", (ModelStruct,), namespace, model=Group)


@provokes("M009")
def nested_without_end() -> object:
    class Again(ModelStruct, model=Author):
        id: int
        mentor: "Again | None"

    globals()["Again"] = Again
    return lists(Again)


@provokes("M010")
def missing_annotation() -> object:
    from hybrid_gateway.orm.read.fetch import fetch

    return fetch(of_model(Group, many=Annotated[int, Column("many")]), Group.objects.all())


def by_moment() -> QuerySet[Book]:
    return Book.objects.filter(printed__lt=timezone.now())


def by_value(name: str) -> QuerySet[Group]:
    return Group.objects.filter(name=name.upper())


def of_a_tenant() -> QuerySet[Book]:
    return Book.rented.filter(pages=1)


def prefetching() -> QuerySet[Group]:
    return Group.objects.prefetch_related("permissions")


def forgetful(name: str) -> QuerySet[Group]:
    return Group.objects.all()


def no_rows() -> QuerySet[Group]:
    return 5  # type: ignore[return-value]


provokes("Q001")(lambda: prepare(by_value))
provokes("Q002")(lambda: prepare(by_moment))
provokes("Q003")(lambda: prepare(of_a_tenant))
provokes("Q004")(lambda: prepare(no_rows))
provokes("Q005")(lambda: prepare(prefetching))
provokes("Q006")(lambda: prepare(forgetful))


# --- shapes and answers ----------------------------------------------------------------------------------------------


def shape(of: Any = Account, annotations: dict[str, Any] | None = None, **options: Any) -> Any:
    namespace = {"__module__": __name__, "__annotations__": annotations or {}}
    return type(Shape)("Made", (Shape,), namespace, of=of, **options)


provokes("X001")(lambda: type(Shape)("Made", (Shape,), {"__module__": __name__, "__annotations__": {"a": int}}))
provokes("X002")(lambda: shape(exclude={"secrte"}))
provokes("X003")(lambda: shape(include={"id"}, exclude={"secret"}))
provokes("X004")(lambda: shape(exclude="id"))
provokes("X006")(lambda: shape(exclude={"id", "secret"}))
provokes("X008")(lambda: shape(of=int))
provokes("X020")(lambda: build(get("/x")(returns_anything)))


def returns_anything() -> Anything:
    return Anything()


@dataclasses.dataclass
class Named:
    create: str
    id: int = 0


provokes("X005")(lambda: shape(of=Named))


@dataclasses.dataclass
class Nested:
    inner: set[Account]


provokes("X009")(lambda: shape(of=Nested, exclude={"inner.*.secret"}))


class Aliased(pydantic.BaseModel):
    name: str = pydantic.Field(validation_alias=pydantic.AliasPath("a", 0))


provokes("X010")(lambda: shape(of=Aliased))
provokes("X011")(lambda: shape(include={"secret"})(secret="a").create())


# --- hooks, middleware, options --------------------------------------------------------------------------------------

provokes("H001")(lambda: build(get("/x", timeout=0)(asynchronous)))
provokes("H002")(lambda: Throttle("often"))
provokes("H003")(lambda: Cache(0))
provokes("H004")(lambda: CORS(["*"], credentials=True))
provokes("H005")(lambda: build(get("/x", cache_control={"nonsense": True})(nothing)))
provokes("H006")(lambda: Compression(["zip"]))
provokes("H007")(lambda: build(get("/x", media_types=["text/html"])(nothing)))
provokes("H008")(lambda: build(get("/x", event_hooks=[Anything])(nothing)))
provokes("H009")(lambda: build(get("/x", middleware=[5])(nothing)))
provokes("H011")(lambda: build(get("/x", django_middleware=["no.such.Middleware"])(nothing)))
provokes("H012")(lambda: build(plugins=[5]))
provokes("H013")(lambda: build(state={"a": 1}))
provokes("H014")(lambda: build(health_checks=[5]))
provokes("H015")(lambda: build(on_startup=[asks_for_a_clock]))
provokes("H017")(lambda: on(5)(nothing))  # type: ignore[call-overload]
provokes("H018")(lambda: build(listeners=[takes_a_number, takes_a_name]))


@on("told")
def takes_a_number(number: int) -> None: ...


@on("told")
def takes_a_name(name: str) -> None: ...


def asks_for_a_clock(clock: Anything) -> None: ...


@provokes("H019")
def override_of_nothing() -> object:
    with build(get("/x")(nothing)).override({Anything: 5}):
        return None


@provokes("H020")
def time_zone_of_nobody() -> object:
    from hybrid_gateway.locale import TimeZone

    return TimeZone()


@provokes("H021")
def decorators_around_no_request() -> object:
    from hybrid_gateway.contrib.ninja import view_decorators

    return view_decorators(never_cache)(nothing)


# --- websockets, channels, files -------------------------------------------------------------------------------------

provokes("K001")(lambda: build(websocket("/x")(nothing)))
provokes("K002")(lambda: build(listener("/x")(nothing)))
provokes("K004")(lambda: build(listener("/x", ping_interval=0)(echo)))
provokes("K005")(lambda: build(stream("/x", channel="name")(asynchronous)))
provokes("K006")(lambda: Channel("a", str, history=-1))
provokes("K007")(lambda: Channel("a b", str))
provokes("K008")(lambda: Channel("a", Line | Other))
provokes("K009")(lambda: build(listener("/x", allowed_origins=["shop"])(echo)))


def echo(data: str) -> str:
    return data


@provokes("K003")
def two_types() -> object:
    class Talk(Listener):
        path = "/x"

        async def on_disconnect(self, code: int, name: Annotated[str, Query()] = "") -> None: ...

        async def on_message(self, data: str, name: Annotated[int, Query()] = 1) -> None: ...

    return build(Talk)


provokes("F001")(lambda: build(get("/x", template="no/such.html")(dictionary)))
provokes("F002")(lambda: build(get("/x", template_engine="django")(dictionary)))
provokes("F003")(lambda: StaticFiles("/x", directory="no/such/folder"))
provokes("F004")(lambda: Frontend("/x", directory=".", exclude="/api"))


def dictionary() -> dict[str, str]:
    return {}


# --- what takes more than a line --------------------------------------------------------------------------------------

provokes("A005")(lambda: UserResolver("sub", "nowhere").of_foreign_token({"sub": "1"}))
provokes("H010")(lambda: build(get("/x", middleware=[Inner(), Outer()])(nothing)))
provokes("P017")(lambda: ParameterSource(marker=Query, values=lambda ctx: {}))
provokes("S006")(lambda: RedisAddress("http://redis:6379"))
provokes("S007")(lambda: make_backend(ChannelsSettings(backend="no.such.Backend")))
provokes("S008")(lambda: make_backend(ChannelsSettings(options={"nonsense": 1})))
provokes("S009")(lambda: make_backend(ChannelsSettings(backend=f"{PostgreSQLBackend.__module__}.PostgreSQLBackend")))
provokes("X007")(lambda: shape(of=dataclasses.make_dataclass("Early", [("later", "Later")])))
provokes("M023")(lambda: viewset(get_queryset=narrowed, list=get("/")(nothing)))
provokes("L008")(lambda: build(get("/x", pagination=PageNumber())(takes_a_page)))


class Outer(ASGIMiddleware):
    """Stands outside."""


class Inner(ASGIMiddleware):
    """Says that it stands inside, and is listed outside."""

    after = (Outer,)


def narrowed(self: Any) -> QuerySet[Group]:
    return Group.objects.none()


def takes_a_page(page: int = 1) -> list[GroupOut]:
    return []


@provokes("A009")
def no_pyjwt() -> object:
    with patch.dict(sys.modules, {"jwt": None}):
        return load_pyjwt()


@provokes("F005")
def no_package_of_the_development_server() -> object:
    with patch.dict(sys.modules, {"hybrid_gateway.static_files.dev_server": None}):
        return _routes_of_dev_server("http://127.0.0.1:5173", "front")


@provokes("M018")
def rows_without_a_key() -> object:
    struct = of_model(Group, name=str)
    return update_many([struct(name="a")], Group, using=None, full_clean=False)


UNPROVOKED = {
    "H016": "needs an application whose lifespan fails: tests/dispatch/test_mount_lifespans.py",
    "M003": "needs a model with choices that may be blank: tests/orm/test_values.py",
    "M014": "needs a model with a composite key: tests/orm/test_keys.py",
    "M025": "needs a model whose unique column has such a name",
    "P020": "needs the statement `type`, of Python 3.12: tests/binding/test_aliases.py",
    "S004": "needs a process without settings",
    "X012": "its reasons are those of msgspec: tests/shapes/test_told_at_once.py",
}


PLACELESS = {"R020"}  # told with the first request for the document


@pytest.mark.parametrize("number", PROVOKED)
@pytest.mark.django_db
def test_a_mistake_says_what_where_and_where_to_read_on(number):
    with pytest.raises(ConfigurationError) as caught:
        PROVOKED[number]()
    error, told = caught.value, str(caught.value)
    assert error.id == number
    assert told.startswith(error.text) and len(error.text) > 20
    assert told.splitlines()[-1] == link(number)
    assert f"hybrid_gateway.{number}" in told.splitlines()[-2]
    if number not in PLACELESS:
        assert error.place is not None and FilePath(error.place.file).is_file() and f"{error.place}" in told


def test_every_id_is_provoked_or_says_why_not():
    own = {number for number in catalogue() if number[0] not in "EWD"}
    assert own == PROVOKED.keys() | UNPROVOKED.keys()
    assert not PROVOKED.keys() & UNPROVOKED.keys()
