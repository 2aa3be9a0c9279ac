"""Channels as projects declare them: a template of names, a type of values, and how they are kept."""

from __future__ import annotations

from functools import partial
from typing import Any, Generic, Literal, TypeVar, get_args, overload

import msgspec
from starlette.requests import Request

from hybrid_gateway.binding.decoders import check_decodable, decode_known, why_not
from hybrid_gateway.channels.backend import History
from hybrid_gateway.channels.backlog import Backlog, Overflow
from hybrid_gateway.channels.channel_events import ChannelEvents, channel_events
from hybrid_gateway.channels.channel_message import Gap, Message, Sink
from hybrid_gateway.channels.fan_out import Attachment
from hybrid_gateway.channels.local_channel import Topic
from hybrid_gateway.channels.name_template import NameTemplate
from hybrid_gateway.channels.process_channels import Publication, channels
from hybrid_gateway.channels.subscription import Subscription
from hybrid_gateway.exceptions import ConfigurationError, DependencyError, ResponseValidationError
from hybrid_gateway.responses.enc_hook import enc_hook
from hybrid_gateway.responses.return_filter.filter_builder import build_filter
from hybrid_gateway.spelling import reject_unknown_keywords

T = TypeVar("T")

_encode = msgspec.json.Encoder(enc_hook=enc_hook).encode


@reject_unknown_keywords()
class Channel(Generic[T]):
    """A channel for each name that ``name`` makes, with values of ``kind``.

    ``name`` has parameters: ``"room:{room_id}"``, or ``{room_id:int}`` with a converter of path templates. ``history``
    is how many messages are kept, for ``history_ttl`` seconds. ``on_overflow`` says what becomes of messages to a
    reader whose queue is full, and with ``presence`` the channel knows who is connected.

    Raises :class:`ConfigurationError` for what makes no sense.
    """

    @overload
    def __init__(
        self,
        name: str,
        kind: type[T],
        *,
        history: int = 0,
        history_ttl: float = 3600,
        on_overflow: Overflow = "drop_oldest",
        presence: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self: Channel[Any],
        name: str,
        kind: object,
        *,
        history: int = 0,
        history_ttl: float = 3600,
        on_overflow: Overflow = "drop_oldest",
        presence: bool = False,
    ) -> None: ...

    def __init__(
        self,
        name: str,
        kind: object,
        *,
        history: int = 0,
        history_ttl: float = 3600,
        on_overflow: Overflow = "drop_oldest",
        presence: bool = False,
    ) -> None:
        self.template = NameTemplate.parse(name)
        self.kind = kind
        self.on_overflow: Overflow = on_overflow
        self.presence = presence
        if isinstance(history, bool) or not isinstance(history, int) or history < 0:
            raise ConfigurationError(
                f"{self!r}: history={history!r} must be a number of messages, 0 for none.", id="K006"
            )
        if not history_ttl > 0:
            raise ConfigurationError(
                f"{self!r}: history_ttl={history_ttl!r} must be a number of seconds above 0.", id="K006"
            )
        if on_overflow not in get_args(Overflow):
            raise ConfigurationError(
                f"{self!r}: on_overflow={on_overflow!r} must be one of {get_args(Overflow)}.", id="K006"
            )
        self.history = History(history, float(history_ttl)) if history else None
        try:
            check_decodable(kind, lambda cls: False)
            self._decode = msgspec.json.Decoder[Any](kind, dec_hook=decode_known).decode
        except DependencyError as error:
            raise ConfigurationError(f"{self!r}: {error.text}.", id=error.id) from None
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{self!r}: its values cannot be read, {why_not(kind, error)}", id="K008"
            ) from None
        self._rule = build_filter(kind)
        channels.declared.add(self)

    def __repr__(self) -> str:
        return f"Channel({self.template.text!r}, {getattr(self.kind, '__name__', self.kind)})"

    def name_of(self, **names: object) -> str:
        """Return the name that the template makes of ``names``; raise ``TypeError`` for others than it has."""
        return self.template.fill(names)

    # --- publishing

    @overload
    def publish(self, value: T, /, *, on_commit: Literal[False] = False, **names: object) -> str: ...

    @overload
    def publish(self, value: T, /, *, on_commit: bool | str, **names: object) -> str | None: ...

    def publish(self, value: T, /, *, on_commit: bool | str = False, **names: object) -> str | None:
        """Send a value to all who are subscribed, from any thread; return its offset.

        With ``on_commit`` (``True``, or the alias of a database) it is sent once the current transaction is committed,
        not at all if that is rolled back, and ``None`` is returned; a failure then is logged, for the transaction
        stands.

        Raises ``TypeError`` for names and values that do not fit, before anything is sent; ``ChannelsUnavailable``
        (503) where the back end does not answer within a second; ``RuntimeError`` in ``async def`` code, which awaits
        :meth:`apublish`.
        """
        return channels.send(self.publication(self.name_of(**names), value), on_commit)

    async def apublish(self, value: T, /, **names: object) -> str:
        """Send a value to all who are subscribed; return its offset. Raises what :meth:`publish` raises."""
        return await channels.asend(self.publication(self.template.fill(names), value))

    def publication(self, name: str, value: T, /) -> Publication:
        """Return what is sent to the channel of a name; raise ``TypeError`` for a value that does not fit."""
        try:
            if self._rule is not None and not self._rule.fits(value):
                # SECURITY: what the kind has not got is sent to nobody, as with an annotation.
                value = self._decode(_encode(self._rule.narrow(value)))
            payload = _encode(value)
            self._decode(payload)  # the check of a value: msgspec does not look into a Struct that is there already
        except ResponseValidationError as error:
            raise TypeError(f"{self!r} takes no {type(value).__name__}: {error}") from None
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise TypeError(f"{self!r} takes no {type(value).__name__} such as {value!r:.100}: {error}") from None
        return Publication(name, payload, value, self.history)

    # --- subscribing

    @overload
    def subscribe(
        self,
        *,
        since: str | None = None,
        gaps: Literal[False] = False,
        user: object = None,
        queue: int = 256,
        **names: object,
    ) -> Subscription[T]: ...

    @overload
    def subscribe(
        self, *, since: str | None = None, gaps: bool, user: object = None, queue: int = 256, **names: object
    ) -> Subscription[T | Gap]: ...

    def subscribe(
        self,
        *,
        since: str | None = None,
        gaps: bool = False,
        user: object = None,
        queue: int = 256,
        **names: object,
    ) -> Subscription[Any]:
        """Return a subscription, to be entered by ``async with``.

        ``since`` is an offset: what history has after it comes first. ``gaps`` yields each :class:`Gap`, where
        otherwise :class:`MessagesMissed` is raised. ``user``, or their key, is present meanwhile. ``queue`` messages
        may wait.
        """
        topic = self.topic(**names)
        hub = channels.hub
        return Subscription(
            partial(hub.attach, topic, since=since, user=user_key(user)),
            self._decode,
            Backlog(queue, self.on_overflow),
            gaps=gaps,
            since=since or None,
            position=partial(hub.position, topic),
            on_drop=self.count_dropped,
        )

    def events(
        self,
        request: Request,
        /,
        *,
        since: str | None = None,
        user: object = None,
        queue: int = 256,
        **names: object,
    ) -> ChannelEvents[T]:
        """Return the channel as Server-Sent Events, resumed by ``Last-Event-ID``, or else by ``since``.

        Values are events with their offset as ``id``; there are ``gap``, and with presence ``joined`` and ``left``.
        """
        since = request.headers.get("last-event-id") or since
        subscription = self.subscribe(since=since, gaps=True, user=user, queue=queue, **names)
        return ChannelEvents(channel_events(subscription, is_new=not since))

    async def attach(
        self, sink: Sink, /, *, since: str | None = None, user: object = None, **names: object
    ) -> Attachment:
        """Attach a sink of one's own on the running loop, without a task or a queue; :meth:`subscribe` has both."""
        return await channels.hub.attach(self.topic(**names), sink, since=since, user=user_key(user))

    def count_dropped(self, count: int) -> None:
        """Count messages in the metrics that a sink of one's own was too slow for."""
        if channels.meter is not None:
            channels.meter.dropped(self.template.text, count)

    def topic(self, **names: object) -> Topic:
        """Return the channel of ``names``, as the hub knows it."""
        return Topic(self.template.fill(names), self.template.text, self.history, self.presence)

    # --- presence

    def present(self, **names: object) -> list[str]:
        """Return the keys of the users who are connected, as text, sorted; on a thread that may wait."""
        return channels.present(self._with_presence(names))

    async def apresent(self, **names: object) -> list[str]:
        """Return the keys of the users who are connected, as text, sorted."""
        return await channels.hub.amembers(self._with_presence(names))

    def _with_presence(self, names: dict[str, object]) -> str:
        if not self.presence:
            raise RuntimeError(f"{self!r} knows nobody; declare it with presence=True.")
        return self.template.fill(names)


def user_key(user: object) -> str | None:
    """Return the key of a user, as text; ``None`` for nobody, and for users who are not saved."""
    key = getattr(user, "pk", user)
    return None if key is None else str(key)


def decode_message(channel: Channel[T], message: Message) -> T:
    """Return the value of a message."""
    value: T = channel._decode(message.payload)
    return value
