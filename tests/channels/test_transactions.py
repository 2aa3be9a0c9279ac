"""Publishing in transactions, and in tasks: what is committed is sent, what is rolled back is not."""

import asyncio
import threading

import django
import pytest
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from hybrid_gateway.channels import Channel, ChannelsUnavailable
from tests.channels.conftest import using

room = Channel("orders:{number}", str, history=100)
has_database = pytest.mark.django_db(transaction=True)
everywhere = pytest.mark.parametrize(
    "shared",
    [*(pytest.param(kind, marks=has_database) for kind in ("memory", "broker", "redis")), "postgresql"],
    indirect=True,
)


@pytest.fixture
def alias(request, shared, django_db_blocker):
    """The database whose transactions messages belong to."""
    if request.node.callspec.params["shared"] != "postgresql":
        yield "default"
        return
    with django_db_blocker.unblock():
        yield "channels"
        connections["channels"].close()


def say(text: str, **options: object) -> str | None:
    return room.publish(text, number=1, **options)


def heard(since: str) -> list[str]:
    """What history has, up to a message that is sent now."""

    async def read() -> list[str]:
        found: list[str] = []
        async with room.subscribe(number=1, since=since) as messages:
            await room.apublish("end", number=1)
            while (text := await anext(messages)) != "end":
                found.append(text)
        return found

    return asyncio.run(asyncio.wait_for(read(), 30))


@everywhere
def test_messages_that_wait_for_the_commit_go_with_their_savepoint(alias):
    since = say("first")
    with transaction.atomic(alias):
        with transaction.atomic(alias):
            say("inner", on_commit=alias)
        with pytest.raises(LookupError), transaction.atomic(alias):
            say("of a savepoint that is rolled back", on_commit=alias)
            with transaction.atomic(alias):
                say("deeper", on_commit=alias)
            raise LookupError
        say("outer", on_commit=alias)
    assert heard(since) == ["inner", "outer"]


@pytest.mark.parametrize("shared", ["postgresql"], indirect=True)
def test_over_postgresql_a_message_belongs_to_the_transaction_without_on_commit(alias):
    since = say("first")
    with transaction.atomic(alias):
        say("one")
        with pytest.raises(LookupError), transaction.atomic(alias):
            say("of a savepoint that is rolled back")
            raise LookupError
        say("two")
    with pytest.raises(LookupError), transaction.atomic(alias, durable=True):
        say("rolled back")
        raise LookupError
    with transaction.atomic():  # of another database, which says nothing here
        say("three")
        transaction.set_rollback(True)
    assert heard(since) == ["one", "two", "three"]


@everywhere
def test_a_callback_of_the_commit_may_publish_with_on_commit(alias):
    since = say("first")

    def after() -> None:
        say("of the callback", on_commit=alias)
        with transaction.atomic(alias):
            say("of a transaction in the callback", on_commit=alias)

    with transaction.atomic(alias, durable=True):
        transaction.on_commit(after, alias)
        say("after it", on_commit=alias)
    assert heard(since) == ["of the callback", "of a transaction in the callback", "after it"]


@everywhere
def test_a_rolled_back_transaction_is_not_heard_of_by_the_next_of_the_connection(alias):
    since = say("first")
    with pytest.raises(LookupError), transaction.atomic(alias, durable=True):
        say("rolled back", on_commit=alias)
        raise LookupError
    with transaction.atomic(alias):
        say("committed", on_commit=alias)
        transaction.set_rollback(True, alias)
    transaction.set_autocommit(False, alias)
    try:
        with transaction.atomic(alias):
            say("in a transaction by hand", on_commit=alias)
        transaction.rollback(alias)
        with transaction.atomic(alias):
            say("by hand", on_commit=alias)
        transaction.commit(alias)
    finally:
        transaction.set_autocommit(True, alias)
    assert heard(since) == ["by hand"]


@everywhere
def test_a_thread_without_a_loop_has_transactions_of_its_own(alias):
    since = say("first")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with transaction.atomic(alias):
                say("of the thread", on_commit=alias)
            say("at once")
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()
            BaseDatabaseWrapper.close(connections[alias])  # Django leaves open what is in memory

    with transaction.atomic(alias):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(30)
    assert errors == []
    assert heard(since) == ["of the thread", "at once"]


@has_database
def test_a_message_that_fails_after_the_commit_is_logged_and_hides_no_other(hubs, caplog):
    (hub,) = hubs()
    hub.publish("nobody", b"1", None)
    done: list[str] = []
    with using(hub):
        hub.backend.is_cut = True
        with transaction.atomic():
            get_user_model().objects.create_user("ada")
            say("lost", on_commit=True)
            transaction.on_commit(lambda: done.append("the next callback"))
        say("at once", on_commit=True)
    assert done == ["the next callback"]
    assert get_user_model().objects.filter(username="ada").exists()
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert told == ["A message to the channel 'orders:1' was not sent after the commit."] * 2


# --- django.tasks

needs_tasks = pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 5.2 has no tasks.")


if django.VERSION >= (6, 0):
    from django.tasks import task

    @task
    def tell(text: str) -> str | None:
        return say(text)

    @task
    async def tell_async(text: str) -> str | None:
        return await room.apublish(text, number=1)

    @task
    def tell_and_fail(text: str, alias: str) -> None:
        with transaction.atomic(alias):
            say(text, on_commit=alias)
            raise LookupError


@everywhere
@needs_tasks
def test_tasks_publish_where_they_run(alias, settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    since = say("first")
    with transaction.atomic(alias):
        assert tell.enqueue("of a task").return_value
        assert tell_async.enqueue("of an async task").return_value
        assert tell_and_fail.enqueue("rolled back", alias).errors
        say("of the transaction", on_commit=alias)
        transaction.on_commit(lambda: tell.enqueue("after the commit"), alias)
    assert heard(since) == ["of a task", "of an async task", "of the transaction", "after the commit"]


@everywhere
@needs_tasks
def test_tasks_that_nobody_runs_publish_nothing(alias, settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}
    since = say("first")
    tell.enqueue("never")
    tell_async.enqueue("never")
    assert heard(since) == []


@needs_tasks
@pytest.mark.django_db
def test_a_task_whose_message_is_not_sent_has_failed(hubs, settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    (hub,) = hubs()
    hub.publish("nobody", b"1", None)
    with using(hub):
        hub.backend.is_cut = True
        for each in (tell, tell_async):
            assert each.enqueue("lost").errors[0].exception_class is ChannelsUnavailable
