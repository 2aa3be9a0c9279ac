"""Names and words of a route for documents, and the types that its layers put in the place of classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from functools import partial

from hybrid_gateway.binding.signature import NO_DEFAULT, read_signature, signature_namespace
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.openapi.schema import plain_name, same_name
from hybrid_gateway.openapi.schema_types import JSONObject, Use
from hybrid_gateway.routing.flat_routes import FlatRoute


def words_of(route: FlatRoute) -> JSONObject:
    """Return ``summary`` and ``description``: those given, or of the docstring, or the name."""
    handler: object = route.handler
    while isinstance(handler, partial):  # whose own docstring is its class's
        handler = handler.func
    words = inspect.getdoc(handler) if not inspect.isclass(handler) or vars(handler).get("__doc__") else None
    summary, _, description = (words or "").partition("\n")
    named = re.sub(r"[\W_]+", " ", route.name.rpartition(":")[2]).strip().capitalize()
    return {
        "summary": route.options.get("summary", summary.strip() or named),
        "description": route.options.get("description", description.strip()),
    }


def operation_ids(endpoints: Sequence[Endpoint]) -> dict[Endpoint, str]:
    """Return one name per operation; those that the project chose are given out first."""
    found: dict[Endpoint, str] = {}
    taken: set[str] = set()
    for endpoint in sorted(endpoints, key=lambda endpoint: "operation_id" not in endpoint.route.options):
        chosen = endpoint.route.options.get("operation_id") or plain_name(endpoint.route.name)
        names = [chosen, f"{chosen}_{endpoint.method.lower()}"]
        names += [f"{names[1]}_{number}" for number in range(2, len(endpoints) + 2)]
        found[endpoint] = next(name for name in names if same_name(name) not in taken)
        taken.add(same_name(found[endpoint]))
    return found


def custom_types(layers: Layers) -> dict[Use, dict[type, object]]:
    """Return the types that stand for classes of the project: what a decoder takes, or else an encoder returns."""
    taken: dict[type, object] = {}
    given: dict[type, object] = {}
    with signature_namespace(layers.signature_namespace):
        for kind, decode in layers.type_decoders.items():
            parameters = () if isinstance(decode, type) else read_signature(decode, repr(decode)).parameters
            if parameters and parameters[0].type is not NO_DEFAULT:
                taken[kind] = parameters[0].type
        for kind, encode in layers.type_encoders.items():
            returns = encode if isinstance(encode, type) else read_signature(encode, repr(encode)).returns
            if returns is not NO_DEFAULT:
                given[kind] = returns
    received = {**given, **taken}
    return {Use.TEXT: received, Use.RECEIVED: received, Use.SENT: {**taken, **given}}
