"""Tasks, caches, settings and channels of other packages."""

from typing import Any

from tests.packages.site import Site, row
from tests.packages.tokens import redis_url


def queries(client: Any, path: str) -> int:
    """How many queries a request takes."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    return len(captured)


def counting(site: Site) -> Any:
    """A model, and routes that list and make its rows, by ``fetch`` and by the manager, which the cache is for."""
    from django.db import models

    from hybrid_gateway import get, post
    from hybrid_gateway.orm import ModelStruct, prepare

    class Thing(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        name: str

    class In(ModelStruct, model=Thing):
        name: str

    newest = prepare(Out, lambda: Thing.objects.order_by("-pk")[:1])

    @get("/things")
    def things() -> list[Out]:
        return Out.fetch(Thing.objects.order_by("-pk")[:1])

    @get("/athings")
    async def athings() -> list[Out]:
        return await Out.afetch(Thing.objects.order_by("-pk")[:1])

    @get("/prepared")
    def prepared() -> list[Out]:
        return newest.fetch()

    @get("/managed")
    def managed() -> list[str]:
        return [thing.name for thing in Thing.objects.order_by("-pk")[:1]]

    @post("/things")
    def made(data: In) -> Out:
        return Out.from_model(data.create())

    @post("/athings")
    async def amade(data: In) -> Out:
        return Out.from_model(await data.acreate())

    def ask(client: Any) -> bool:
        for path in ("/things", "/athings") * 2:
            name = f"thing{site.number()}"
            client.post(path, json={"name": name})
            for _ in range(2):
                shown = [client.get(p).json() for p in ("/things", "/athings", "/prepared")]
                if shown != [[{"name": name}]] * 3 or client.get("/managed").json() != [name]:
                    return False
        return [queries(client, path) for path in ("/things", "/prepared", "/managed")] == [1, 1, 0]

    return [things, athings, prepared, managed, made, amade], ask


@row("django-cachalot", apps=["cachalot"], settings=lambda: {"CACHALOT_ENABLED": True})
def cachalot(site: Site) -> Any:
    return counting(site)


@row(
    "django-cacheops",
    apps=["cacheops"],
    needs="redis",
    settings=lambda: {"CACHEOPS_REDIS": redis_url(), "CACHEOPS": {"packages.*": {"ops": "all", "timeout": 60}}},
)
def cacheops(site: Site) -> Any:
    return counting(site)


@row(
    "django-redis",
    needs="redis",
    settings=lambda: {
        "CACHES": {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_url()}},
        "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
    },
)
def django_redis(site: Site) -> Any:
    from hybrid_gateway import Session, get

    calls: list[int] = []

    @get("/cached", cache=60)
    def cached() -> int:
        calls.append(1)
        return len(calls)

    @get("/limited", throttle="2/hour")
    async def limited() -> str:
        return "one of two"

    @get("/visits")
    async def visits(session: Session) -> int:
        await session.aset("visits", await session.aget("visits", 0) + 1)
        return await session.aget("visits")

    def ask(client: Any) -> bool:
        from django.core.cache import cache

        cache.clear()
        calls.clear()
        return (
            [client.get("/cached").json() for _ in range(3)] == [1, 1, 1]
            and [client.get("/limited").status_code for _ in range(3)] == [200, 200, 429]
            and [client.get("/visits").json() for _ in range(3)] == [1, 2, 3]
        )

    return [cached, limited, visits], ask


@row(
    "django-constance",
    apps=["constance"],
    settings=lambda: {
        "CONSTANCE_CONFIG": {"GREETING": ("hello", "What is said")},
        "CONSTANCE_BACKEND": "constance.backends.database.DatabaseBackend",
    },
)
def constance(site: Site) -> Any:
    from constance import config

    from hybrid_gateway import get

    @get("/greeting")
    def greeting() -> str:
        return config.GREETING

    @get("/agreeting")
    async def agreeting() -> str:
        return await config.GREETING

    def ask(client: Any) -> bool:
        for text in ("hello", "good bye"):
            config.GREETING = text
            if [client.get(path).text for path in ("/greeting", "/agreeting")] != [text, text]:
                return False
        return True

    return [greeting, agreeting], ask


def after_commit(site: Site, send: Any, done: list[Any]) -> Any:
    """Routes whose task is sent with the commit alone: one commits, one fails and undoes it."""
    from hybrid_gateway import post

    @post("/sent/{number}", atomic=True)
    def sent(number: int) -> None:
        send(number)

    @post("/undone/{number}", atomic=True)
    def undone(number: int) -> None:
        send(number)
        raise LookupError

    def ask(client: Any) -> bool:
        number = site.number()
        statuses = [client.post(f"/{path}/{number}").status_code for path in ("sent", "undone")]
        return statuses == [201, 500] and done.count(number) == 1

    return [sent, undone], ask


@row("celery")
def celery(site: Site) -> Any:
    from celery import Celery

    app = Celery("packages", set_as_current=True, broker="memory://", fixups=["celery.fixups.django:fixup"])
    app.conf.task_always_eager = True
    done: list[int] = []

    @app.task
    def note(number: int) -> None:
        done.append(number)

    return after_commit(site, lambda number: note.delay_on_commit(number), done)


@row(
    "django-dramatiq",
    apps=["django_dramatiq"],
    settings=lambda: {
        "DRAMATIQ_BROKER": {
            "BROKER": "dramatiq.brokers.stub.StubBroker",
            "OPTIONS": {},
            "MIDDLEWARE": ["django_dramatiq.middleware.DbConnectionsMiddleware"],
        }
    },
)
def django_dramatiq(site: Site) -> Any:
    import dramatiq
    from django.db import transaction

    done: list[int] = []

    @dramatiq.actor
    def note(number: int) -> None:
        raise AssertionError("No worker runs.")

    def send(number: int) -> None:
        def now() -> None:
            done.append(note.send(number).args[0])

        transaction.on_commit(now)

    return after_commit(site, send, done)


@row("django-q2", apps=["django_q"], settings=lambda: {"Q_CLUSTER": {"name": "packages", "orm": "default"}})
def django_q2(site: Site) -> Any:
    from django_q.models import OrmQ
    from django_q.tasks import async_task

    from hybrid_gateway import post

    @post("/sent", atomic=True)
    def sent() -> str:
        return async_task("math.sqrt", 4)

    @post("/undone", atomic=True)
    def undone() -> str:
        async_task("math.sqrt", 4)
        raise LookupError

    def ask(client: Any) -> bool:
        before = OrmQ.objects.count()
        statuses = [client.post(path).status_code for path in ("/sent", "/undone")]
        return statuses == [201, 500] and OrmQ.objects.count() == before + 1

    return [sent, undone], ask


@row(
    "channels",
    apps=["channels"],
    settings=lambda: {"CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}},
)
def channels(site: Site) -> Any:
    from asgiref.sync import async_to_sync
    from channels.layers import get_channel_layer

    from hybrid_gateway import post

    @post("/said")
    def said() -> None:
        async_to_sync(get_channel_layer().send)("room", {"type": "said"})

    @post("/asaid")
    async def asaid() -> None:
        await get_channel_layer().send("room", {"type": "said"})

    def ask(client: Any) -> bool:
        layer = get_channel_layer()
        statuses = [client.post(path).status_code for path in ("/said", "/asaid")]
        heard = [async_to_sync(layer.receive)("room")["type"] for _ in range(2)]
        return statuses == [201, 201] and heard == ["said", "said"]

    return [said, asaid], ask
