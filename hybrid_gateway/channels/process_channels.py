"""The channels of this process: the hub that all share, by the settings, and what tests put in its place."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import msgspec
from django.core.signals import setting_changed
from django.db import transaction
from django.utils.module_loading import import_string

from hybrid_gateway.channels.backend import ChannelBackend, History
from hybrid_gateway.channels.hub import Hub
from hybrid_gateway.channels.local_channel import HubMeter
from hybrid_gateway.channels.memory_backend import MemoryBackend
from hybrid_gateway.channels.name_template import NameTemplate
from hybrid_gateway.concurrency.unit_of_work import running_loop
from hybrid_gateway.conf import ChannelsSettings, get_settings
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.responses.enc_hook import enc_hook

logger = logging.getLogger("hybrid_gateway")

_encode = msgspec.json.Encoder(enc_hook=enc_hook).encode


class Publication(NamedTuple):
    """One message on its way out."""

    name: str
    payload: bytes
    value: object
    history: History | None


class DeclaredChannel(Protocol):
    """A :class:`Channel`, as far as all of them together are concerned."""

    template: NameTemplate

    def publication(self, name: str, value: Any, /) -> Publication:
        """Return what is sent to the channel of a name."""
        ...


class Channels:
    """All channels of the process; ``channels`` is the one instance."""

    def __init__(self) -> None:
        self.declared: weakref.WeakSet[DeclaredChannel] = weakref.WeakSet()
        self.meter: HubMeter | None = None
        self._lock = threading.RLock()
        self._hub: Hub | None = None
        self._isolated: list[Hub] = []
        self._settings: ChannelsSettings | None = None
        self._recorders: list[list[tuple[str, object]]] = []
        self._starts = 0

    def __repr__(self) -> str:
        return f"<Channels by {get_settings().channels.backend}>"

    @property
    def hub(self) -> Hub:
        """The hub, made when first needed. Raises :class:`ConfigurationError` for a back end that cannot be made."""
        hub = self._current
        if hub is None:
            with self._lock:
                if self._hub is None:
                    self._settings = get_settings().channels
                    self._hub = Hub(make_backend(self._settings))
                hub = self._hub
        hub.meter = self.meter
        return hub

    @property
    def is_shared(self) -> bool:
        """True if the settings name a back end by which processes reach one another."""
        return get_settings().channels != ChannelsSettings()

    @property
    def fault(self) -> str | None:
        """The fault of the back end now, if there is any; none before it is used."""
        hub = self._current
        return None if hub is None else hub.fault

    @property
    def queued_bytes(self) -> int:
        """Bytes of messages that wait for readers in this process."""
        hub = self._current
        return 0 if hub is None else hub.queued_bytes

    @property
    def _current(self) -> Hub | None:
        return self._isolated[-1] if self._isolated else self._hub

    # --- publishing

    def publish(self, name: str, value: object, *, on_commit: bool | str = False) -> str | None:
        """Send a value to the channel of a name; see :meth:`Channel.publish`.

        A declared channel whose template makes that name says what values it takes, and how they are kept.
        """
        return self.send(self._publication(name, value), on_commit)

    async def apublish(self, name: str, value: object) -> str:
        """Send a value to the channel of a name; see :meth:`publish`."""
        return await self.asend(self._publication(name, value))

    def _publication(self, name: str, value: object) -> Publication:
        for channel in list(self.declared):
            if channel.template.makes(name):
                return channel.publication(name, value)
        if not NameTemplate.is_name(name):
            raise TypeError(f"{name!r} is no name of a channel: letters, digits and any of _:./~@%- make one.")
        return Publication(name, _encode(value), value, None)

    def send(self, publication: Publication, on_commit: bool | str) -> str | None:
        """Send a message now, or once the current transaction is committed."""
        if running_loop() is not None:
            raise RuntimeError("publish() waits for the back end; in `async def` code, await apublish() instead.")
        if on_commit is False:
            return self._send_now(publication)

        def send() -> None:
            try:
                self._send_now(publication)
            except Exception:  # Django's own log of it has no name for the channel, and no handler by default
                logger.exception("A message to the channel %r was not sent after the commit.", publication.name)

        transaction.on_commit(send, using=None if on_commit is True else on_commit, robust=True)
        return None

    def _send_now(self, publication: Publication) -> str:
        name, payload, value, history = publication
        offset = self.hub.publish(name, payload, history)
        for recorder in self._recorders:
            recorder.append((name, value))
        return offset

    async def asend(self, publication: Publication) -> str:
        """Send a message."""
        name, payload, value, history = publication
        offset = await self.hub.apublish(name, payload, history)
        for recorder in self._recorders:
            recorder.append((name, value))
        return offset

    def present(self, name: str) -> list[str]:
        """Return who is connected to the channel of a name."""
        if running_loop() is not None:
            raise RuntimeError("present() waits for the back end; in `async def` code, await apresent() instead.")
        return self.hub.members(name)

    # --- life

    def start(self) -> None:
        """Begin to connect, where the settings name a shared back end; a gateway calls it as it starts."""
        with self._lock:
            self._starts += 1
        if self.is_shared:
            self.hub.start()

    async def stop(self) -> None:
        """Close connections, once every gateway that has started has stopped."""
        with self._lock:
            self._starts = max(0, self._starts - 1)
            hub = self._hub
            if self._starts or hub is None or hub.is_direct:
                return
            self._hub = None
        await hub.stop()

    # --- tests

    @contextmanager
    def recorded(self) -> Iterator[list[tuple[str, object]]]:
        """In tests: list what is published meanwhile, as pairs of a channel's name and a value.

        Nothing leaves the process; whoever subscribes in it gets messages as ever.
        """
        recorder: list[tuple[str, object]] = []
        with self.isolated(only_from_others=True):
            self._recorders.append(recorder)
            try:
                yield recorder
            finally:
                self._recorders = [other for other in self._recorders if other is not recorder]

    @contextmanager
    def isolated(self, *, only_from_others: bool = False) -> Iterator[None]:
        """In tests: keep messages, history and presence in memory, empty at first; ``TestCase`` does for each test.

        With ``only_from_others`` what is in memory already stays.
        """
        if only_from_others and self.hub.is_direct:
            yield
            return
        hub = Hub(MemoryBackend())
        self._isolated = [*self._isolated, hub]
        try:
            yield
        finally:
            self._isolated = [other for other in self._isolated if other is not hub]

    def reset(self) -> None:
        """Forget history and presence that are in memory; the pytest plugin does, after each test."""
        hub, self._recorders = self._hub, []
        if hub is not None and isinstance(hub.backend, MemoryBackend):
            hub.backend.forget()

    def forget(self) -> None:
        """Begin anew in a process that was forked: connections and threads are the parent's."""
        self._lock = threading.RLock()
        self._hub = None
        self._isolated = [Hub(MemoryBackend()) for _ in self._isolated]
        self._starts = 0

    def reread(self, *, setting: str, **kwargs: object) -> None:
        """Leave the back end for another one, when the settings name one."""
        if setting != "HYBRID_GATEWAY":
            return
        with self._lock:
            hub = self._hub
            if hub is None or self._settings is None:
                return
            try:
                is_same = get_settings().channels == self._settings
            except ConfigurationError:
                is_same = False
            if not is_same:
                self._hub = self._settings = None
                hub.leave()


def make_backend(settings: ChannelsSettings) -> ChannelBackend:
    """Return the back end that the settings name, not started; raise :class:`ConfigurationError` if that cannot be."""
    try:
        backend: ChannelBackend = import_string(settings.backend)(**settings.options)
    except ImportError as error:
        remedy = _REMEDIES.get((error.name or "").partition(".")[0], "")
        raise ConfigurationError(
            f"HYBRID_GATEWAY['CHANNELS']: {settings.backend} cannot be imported: {error}.{remedy}", id="S007"
        ) from error
    except TypeError as error:
        raise ConfigurationError(f"HYBRID_GATEWAY['CHANNELS']: {settings.backend}: {error}", id="S008") from error
    return backend


_REMEDIES = {
    "redis": ' Install "hybrid-gateway[channels]", which has redis-py.',
    "psycopg": ' Install "psycopg[binary]", of version 3.',
}

channels = Channels()
"""The channels of this process, by the back end that ``HYBRID_GATEWAY["CHANNELS"]`` names."""
setting_changed.connect(channels.reread, dispatch_uid="hybrid_gateway.channels")
os.register_at_fork(after_in_child=channels.forget)
