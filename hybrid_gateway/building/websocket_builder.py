"""Websocket routes: what their plans end with, a conversation in the place of a response."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_args

import msgspec

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.binding.components import mode_of
from hybrid_gateway.binding.decoders import Decoders
from hybrid_gateway.binding.plan import Step, code
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, Signature, read_signature
from hybrid_gateway.building.response_plan import keep_value
from hybrid_gateway.channels import Channel
from hybrid_gateway.endpoints.authorization_planner import RoutePlanner
from hybrid_gateway.endpoints.errors import ErrorResponses
from hybrid_gateway.exceptions import ConfigurationError, DependencyError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.orm.views.handler_results import adapt_handler
from hybrid_gateway.responses.cookies import cookie_headers
from hybrid_gateway.responses.enc_hook import enc_hook, enc_hook_with
from hybrid_gateway.routing.flat_routes import FlatRoute
from hybrid_gateway.throttling import Throttle
from hybrid_gateway.type_info import resolve_new_types, type_info
from hybrid_gateway.types import Handler, Headers
from hybrid_gateway.websockets.channel_stream import SINCE, ChannelConversation, ChannelStream
from hybrid_gateway.websockets.codec import Codec
from hybrid_gateway.websockets.connection import ConnectionOptions
from hybrid_gateway.websockets.conversations import (
    Conversation,
    ConversationPlan,
    ListenerConversation,
    SocketConversation,
    StreamConversation,
)
from hybrid_gateway.websockets.listener_instances import ListenerInstance, ListenerMethod, ListenerMethods


class WebSocketSignature(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a websocket handler's signature that the planner sees, and those that it does not."""

    injected: Signature
    """What a plan gives, before the handshake is accepted."""
    receives: object = NO_DEFAULT
    """The type of ``data``."""
    sends: object = NO_DEFAULT
    """The type of what is sent."""


def read_websocket_signature(route: FlatRoute, where: str) -> WebSocketSignature:
    """Read what a websocket handler asks for; raise :class:`ConfigurationError` where it is none of its kind."""
    handler = route.handler
    if inspect.isclass(handler):
        return _read_listener(handler, where)
    signature = read_signature(handler, where)
    plain = getattr(handler, "__func__", handler)
    if route.websocket == "socket":
        if not inspect.iscoroutinefunction(inspect.unwrap(plain)):
            raise ConfigurationError(
                f"{where}: a @websocket handler is `async def`; @listener takes `def` as well.", id="K001"
            )
        given = {name: route.options[name] for name in ("receives", "sends") if name in route.options}
        return WebSocketSignature(injected=signature, **given)
    if route.websocket == "stream":
        if route.options.get("channel") is not None:
            return WebSocketSignature(injected=signature)
        if not (inspect.isasyncgenfunction(plain) or inspect.isgeneratorfunction(plain)):
            raise ConfigurationError(f"{where}: a @stream handler has a `yield`: what it yields is sent.", id="K001")
        info = type_info(signature.returns) if signature.returns is not NO_DEFAULT else None
        items = () if info is None else info.arguments
        return WebSocketSignature(injected=signature, sends=items[0] if items else NO_DEFAULT)
    injected, data = _without(signature, "data")
    if data is None:
        raise ConfigurationError(
            f"{where}: a listener has a parameter `data`, annotated with the type of messages.", id="K002"
        )
    return WebSocketSignature(injected=injected, receives=_received(data), sends=signature.returns)


def _received(data: Parameter) -> object:
    return Any if data.type is NO_DEFAULT else data.type


def _without(signature: Signature, name: str) -> tuple[Signature, Parameter | None]:
    kept = tuple(parameter for parameter in signature.parameters if parameter.name != name)
    taken = next((parameter for parameter in signature.parameters if parameter.name == name), None)
    return msgspec.structs.replace(signature, parameters=kept), taken


def _method_signature(listener: type, name: str, where: str) -> Signature | None:
    function = getattr(listener, name, None)
    if function is None:
        return None
    signature = read_signature(function, f"{where}, {name}")
    if inspect.isfunction(inspect.getattr_static(listener, name)):
        signature = msgspec.structs.replace(signature, parameters=signature.parameters[1:])
    return signature


_LATER = {"on_message": "data", "on_disconnect": "code", "on_drain": ""}
"""The methods that run once the handshake is accepted, and the parameter that each gets from the connection."""


def _read_listener(listener: type, where: str) -> WebSocketSignature:
    """Return what the methods of a listener ask for together."""
    merged: dict[str, Parameter] = {}
    receives: object = NO_DEFAULT
    sends: object = NO_DEFAULT
    for name, own in _LATER.items():
        signature = _method_signature(listener, name, where)
        if signature is None:
            continue
        injected, given = _without(signature, own)
        if name == "on_message":
            if given is None:
                raise ConfigurationError(
                    f"{where}: on_message has a parameter `data`, annotated with their type.", id="K002"
                )
            receives, sends = _received(given), signature.returns
        for parameter in injected.parameters:
            known = merged.setdefault(parameter.name, parameter)
            if known.type != parameter.type or known.marker != parameter.marker:
                raise ConfigurationError(
                    f"{where}: {parameter.name!r} is of two types in its methods; a connection has one value of it.",
                    id="K003",
                )
    injected = Signature(where=where, parameters=tuple(merged.values()), returns=NO_DEFAULT)
    return WebSocketSignature(injected=injected, receives=receives, sends=sends)


def plan_conversation(
    planner: RoutePlanner,
    route: FlatRoute,
    signature: WebSocketSignature,
    errors: ErrorResponses,
) -> ConversationPlan:
    """End the plan of a websocket route with its conversation, whose ``on_error`` is not known yet."""
    handler, where = route.handler, planner.binding.where
    if route.layers.atomic and route.websocket != "listener":
        raise ConfigurationError(
            f"{where}: atomic= is for `def` listeners, each of whose messages is one transaction. Say atomic=False.",
            id="R027",
        )
    plan = ConversationPlan(
        route=route.name,
        options=connection_options(route, where),
        handler=handler,
        errors=errors,
        headers=_headers(route.layers),
    )
    if route.websocket == "socket":
        _end(planner, signature, lambda **values: SocketConversation(plan, values))
    elif route.options.get("channel") is not None:
        _plan_channel_stream(planner, route, signature, plan)
    elif route.websocket == "stream":
        _encode_with(plan, signature, route.layers)
        _end(planner, signature, lambda **values: StreamConversation(plan, values))
    else:
        _plan_listener(planner, route, signature, plan)
    return plan


def _plan_channel_stream(
    planner: RoutePlanner, route: FlatRoute, signature: WebSocketSignature, plan: ConversationPlan
) -> None:
    """Plan the function that says who may follow, and then the stream of the channel."""
    channel, handler, where = route.options["channel"], route.handler, planner.binding.where
    if not isinstance(channel, Channel):
        raise ConfigurationError(
            f"{where}: channel={channel!r} must be a Channel of hybrid_gateway.channels.", id="K005"
        )
    given = {parameter.name: parameter for parameter in signature.injected.parameters}
    names = channel.template.names
    types = {parameter.name: parameter.converter.type for parameter in route.template.parameters}
    wanted: dict[str, Any] = {name: types.get(name, str) for name in names if name not in given} | {SINCE: str | None}
    if channel.presence and route.layers.authentication:
        wanted["_present"] = Authentication | None
    own = read_signature(_asking(wanted), where).parameters
    known = [given[name] for name in names if name in given]
    arguments = planner.binding.arguments(signature.injected, (where,), planner.plan.finish)
    call = code("{}({})", planner.binding.builder.name("authorize", handler), arguments)
    planner.plan.finish.steps.append(Step(call=call, mode=mode_of(handler)))
    stream = ChannelStream(channel, names)
    whole = msgspec.structs.replace(signature.injected, parameters=(*known, *own))
    planner.binding.result(lambda **values: ChannelConversation(plan, stream, values), whole, "inline", keep_value)


def _asking(wanted: dict[str, Any]) -> Callable[..., None]:
    """Return a function with these keyword parameters, ``None`` by default where that fits."""

    def ask(**values: object) -> None:
        """Do nothing; its signature is all that counts."""

    ask.__annotations__ = dict(wanted)
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=kind,
            default=None if type(None) in get_args(kind) else inspect.Parameter.empty,
        )
        for name, kind in wanted.items()
    ]
    vars(ask)["__signature__"] = inspect.Signature(parameters)
    return ask


def _headers(layers: Layers) -> Headers:
    given = [(name.lower(), value) for name, value in layers.response_headers.items() if value is not None]
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given]
    return (*headers, *cookie_headers(layers.response_cookies))


def _end(planner: RoutePlanner, signature: WebSocketSignature, make: Callable[..., Conversation]) -> None:
    planner.binding.result(make, signature.injected, "inline", keep_value)


def _encode_with(plan: ConversationPlan, signature: WebSocketSignature, layers: Layers) -> None:
    sends = NO_DEFAULT if signature.sends is NO_DEFAULT else resolve_new_types(signature.sends)
    plan.encode = plan.options.codec.encoder(sends, layers.type_encoders)


def _plan_listener(
    planner: RoutePlanner, route: FlatRoute, signature: WebSocketSignature, plan: ConversationPlan
) -> None:
    layers, where, handler = route.layers, planner.binding.where, route.handler
    try:
        plan.decode = plan.options.codec.decoder(signature.receives)
    except DependencyError as error:
        raise error.within(where) from error
    if not inspect.isclass(handler):
        plan.mode = mode_of(handler, route.options.get("sync_to_thread"))
        plan.handler, sends = _adapted(handler, signature, layers, where)
        _encode_with(plan, msgspec.structs.replace(signature, sends=sends), layers)
        _end(planner, signature, lambda **values: ListenerConversation(plan, values))
        return
    listener: Any = handler
    function, sends = _adapted(listener.on_message, signature, layers, where)
    _encode_with(plan, msgspec.structs.replace(signature, sends=sends), layers)
    methods = ListenerMethods(
        on_message=_method(handler, "on_message", where, function),
        on_disconnect=_method(handler, "on_disconnect", where) if hasattr(handler, "on_disconnect") else None,
        on_drain=_method(handler, "on_drain", where) if hasattr(handler, "on_drain") else None,
    )
    binding, builder = planner.binding, planner.binding.builder
    instance = builder.assign("listener", planner.plan.finish.steps, Step(call=builder.call("Listener", handler, "")))
    connect = _method_signature(handler, "on_connect", where)
    if connect is not None:
        arguments = binding.arguments(connect, (where,), planner.plan.finish)
        call = code("{}.on_connect({})", instance, arguments)
        planner.plan.finish.steps.append(Step(call=call, mode=mode_of(listener.on_connect)))

    def make(instance: object, /, **values: object) -> Conversation:
        return ListenerInstance(plan, methods, instance, values)

    binding.result(make, signature.injected, "inline", keep_value, receiver=instance)


def _adapted(handler: Handler, signature: WebSocketSignature, layers: Layers, where: str) -> tuple[Handler, object]:
    """Return a handler that reads rows on its thread, in a transaction where ``atomic`` says so, and its type."""
    returns = NO_DEFAULT if signature.sends is NO_DEFAULT else resolve_new_types(signature.sends)
    whole = msgspec.structs.replace(signature.injected, where=where)
    adapted = adapt_handler(handler, whole, returns, msgspec.structs.replace(layers, pagination=None), {})
    return adapted.handler, adapted.returns


def _method(listener: type, name: str, where: str, function: Handler | None = None) -> ListenerMethod:
    signature, taken = _method_signature(listener, name, where), _LATER[name]
    assert signature is not None
    names: Sequence[str] = [parameter.name for parameter in signature.parameters if parameter.name != taken]
    own: Handler = getattr(listener, name)
    return ListenerMethod(
        function=function or own,
        parameters=names,
        mode=mode_of(own),
        takes_code=any(parameter.name == taken for parameter in signature.parameters),
    )


def connection_options(route: FlatRoute, where: str) -> ConnectionOptions:
    """Return what the layers of a route say of its connections; raise :class:`ConfigurationError` for nonsense."""
    layers, options = route.layers, route.options
    for name in ("ping_interval", "idle_timeout", "max_lifetime"):
        value = getattr(layers, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0):
            raise ConfigurationError(
                f"{where}: {name}={value!r} must be a number of seconds above 0, or None.", id="K004"
            )
    size = layers.max_message_size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError(f"{where}: max_message_size={size!r} must be a number of bytes, 1 or more.", id="K004")
    if layers.mode not in ("json", "msgpack"):
        raise ConfigurationError(f'{where}: mode={layers.mode!r} must be "json" or "msgpack".', id="K004")
    throttles = [Throttle(rate) if isinstance(rate, str) else rate for rate in layers.message_throttle]
    if not all(isinstance(throttle, Throttle) for throttle in throttles):
        raise ConfigurationError(f'{where}: message_throttle is a list of rates such as "20/second".', id="K004")
    encode_hook = enc_hook_with(layers.type_encoders) if layers.type_encoders else enc_hook
    if layers.type_decoders:
        decoders = Decoders(layers.type_decoders)
        codec = Codec(layers.mode, decoders, encode_hook, decoders.knows)
    else:
        codec = Codec(layers.mode, encode_hook=encode_hook)
    return ConnectionOptions(
        path=route.path,
        codec=codec,
        max_message_size=layers.max_message_size,
        throttles=throttles,
        max_queued=_max_queued(layers.send_queue, where),
        ping_interval=layers.ping_interval,
        idle_timeout=layers.idle_timeout,
        max_lifetime=layers.max_lifetime,
        compression=bool(layers.compression),
        subprotocols=tuple(options.get("subprotocols", ())),
    )


def _max_queued(given: object, where: str) -> tuple[int, int]:
    pair = (given, 1024 * 1024) if isinstance(given, int) else given
    if (
        not isinstance(pair, (tuple, list))
        or len(pair) != 2
        or not all(isinstance(entry, int) and not isinstance(entry, bool) and entry > 0 for entry in pair)
    ):
        raise ConfigurationError(
            f"{where}: send_queue={given!r} must be a number of messages, or it and one of bytes.", id="K004"
        )
    return pair[0], pair[1]
