"""The client in TypeScript: types by openapi-typescript, and our wrapper around openapi-fetch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from hybrid_gateway.client_code.generated_client import GeneratedClient
from hybrid_gateway.client_code.node_tools import OPENAPI_FETCH, has_node, installed_package, openapi_typescript_types
from hybrid_gateway.client_code.runtime_tables import runtime_tables
from hybrid_gateway.client_code.typed_documents import BLOB, BUFFER, events_of, for_http, for_websockets
from hybrid_gateway.openapi.schema_types import JSONObject

WRAPPER = Path(__file__).with_name("client.ts")

HEAD = """\
// Made by `manage.py gateway client typescript`. Do not edit: make it anew when the API has changed.
// {origin}
/* eslint-disable */
// biome-ignore-all lint: generated
// biome-ignore-all format: generated
"""

NO_WEBSOCKETS = """\
export type paths = Record<string, never>;
export interface components {
    schemas: Record<string, never>;
}
"""


def typescript_client(openapi: JSONObject, asyncapi: JSONObject, folder: Path) -> GeneratedClient:
    """Return the client that is meant for ``folder``, whose project may have openapi-typescript.

    Raises :class:`ToolError` where Node is missing, or npx can fetch nothing.
    """
    documents = {"schema.ts": for_http(openapi)}
    if asyncapi["channels"]:
        documents["realtime.ts"] = for_websockets(asyncapi)
    types = {"realtime.ts": NO_WEBSOCKETS, **openapi_typescript_types(documents, folder)}
    has_fetch = installed_package("openapi-fetch", folder) is not None
    notes = () if has_fetch else (f"It needs one package: npm install openapi-fetch@{OPENAPI_FETCH}",)
    return GeneratedClient(_with_heads(openapi, asyncapi, types), notes)


def typescript_client_to_check(openapi: JSONObject, asyncapi: JSONObject, folder: Path) -> GeneratedClient:
    """Return the client to compare a folder with.

    Where there is no Node its types are taken as they are, and what they say of the documents that they were made of
    is compared.
    """
    if has_node():
        return typescript_client(openapi, asyncapi, folder)
    known = {name: (folder / name) for name in ("schema.ts", "realtime.ts")}
    length = HEAD.count("\n")
    types = {
        name: "".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[length:])
        for name, file in known.items()
        if file.is_file()
    }
    notes = ("There is no Node here: types were not made anew, what they were made of was compared.",)
    return GeneratedClient(_with_heads(openapi, asyncapi, types), notes)


def _with_heads(openapi: JSONObject, asyncapi: JSONObject, types: Mapping[str, str]) -> dict[str, str]:
    wrapper = WRAPPER.read_text(encoding="utf-8") + _path_types(openapi, asyncapi) + runtime_tables(openapi, asyncapi)
    text = json.dumps([openapi, asyncapi], sort_keys=True).encode()
    origin = f"Of documents with the SHA-256 {hashlib.sha256(text).hexdigest()[:32]}."
    files = {"client.ts": wrapper, **types}
    return {
        name: HEAD.format(origin=origin) + body.replace(f'"{BLOB}"', "Blob").replace(f'"{BUFFER}"', "ArrayBuffer")
        for name, body in files.items()
    }


def _path_types(openapi: JSONObject, asyncapi: JSONObject) -> str:
    """Return the types of paths that the documents tell apart, and types alone do not."""
    events, sockets = events_of(openapi), asyncapi["channels"].values()
    return "".join(
        (
            _union("EventPath", list(events), "Paths that answer with Server-Sent Events."),
            _union(
                "ChannelEventPath",
                [path for path, kind in events.items() if "x-channel-events" in kind],
                "... of a channel.",
            ),
            _union("SocketPath", [socket["address"] for socket in sockets], "Paths of websockets."),
            _union(
                "ChannelPath", [socket["address"] for socket in sockets if "x-channel" in socket], "... of a channel."
            ),
        )
    )


def _union(name: str, paths: list[str], words: str) -> str:
    members = " | ".join(map(json.dumps, dict.fromkeys(paths))) or "never"
    return f"/** {words} */\nexport type {name} = {members};\n"
