"""The differences of two answers to one request: status, headers and body, JSON by its places."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import msgspec

from hybrid_gateway.comparison.exchanges import JSON, Answer, read_json

KINDS = {
    "crash": "one side answers, the other fails with 500",
    "status": "another status",
    "unrouted": "the new side has no route there: the project's URLconf answered, by a prefix or FALLTHROUGH",
    "missing": "a place of the old JSON that the new one has not",
    "type": "a value of another type",
    "length": "a list of another length",
    "value": "another value of the same type",
    "moved": "the value of a missing place, at another one",
    "order": "the same members of a list in another order",
    "added": "a place that the old JSON has not",
    "body": "bodies that are no JSON, and other bytes",
    "error": "an error of the same status, told in other words",
    "header": "another header",
    "bytes": "the same JSON, written in other bytes",
    "route": "documents: a route that one side has not",
    "parameter": "documents: a parameter",
    "request": "documents: what is sent",
    "response": "documents: what is answered",
}
"""The kinds of differences, worst first."""

UNDERSTOOD = frozenset(
    (
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "server",
        "server-timing",
        "transfer-encoding",
        "x-request-id",
    )
)
"""Headers that differ between any two answers, or follow from the body."""

SETS = frozenset(("allow", "vary", "access-control-allow-methods", "access-control-allow-headers"))
"""Headers whose values are sets."""


class Difference(msgspec.Struct, frozen=True):
    """One difference. Those with the same kind, place and detail are one line of a report."""

    kind: str
    place: str
    detail: str = ""
    old: str = ""
    new: str = ""


def answer_differences(old: Answer, new: Answer, *, is_write: bool = False) -> Iterator[Difference]:
    """Yield how ``new`` differs from ``old``; of a write, moments of now are the same moment."""
    if new.by_urlconf and not old.by_urlconf:
        yield Difference("unrouted", "URLconf")
    if old.status != new.status:
        kind = "crash" if max(old.status, new.status) >= 500 > min(old.status, new.status) else "status"
        why = new.error or old.error
        yield Difference(
            kind,
            f"{old.status}→{new.status}",
            re.split(r"\W", why)[0],
            _shown(old.body),
            _shown(why.encode() or new.body),
        )
        return
    told = list(_json_differences(old.body, new.body, is_write=is_write)) if old.is_json and new.is_json else []
    is_same_json = bool(told) and all(one.kind == "bytes" for one in told)
    is_other_error = old.status >= 400 and old.body != new.body and not is_same_json
    passed_over = {"content-type"} if is_other_error else set()  # that of other words
    yield from (one for one in header_differences(old, new) if one.place not in passed_over)
    if old.body == new.body:
        return
    if is_other_error:
        yield Difference("error", str(old.status), "", _shown(old.body), _shown(new.body))
    elif old.is_json and new.is_json:
        yield from told
    else:
        detail = "" if old.body and new.body else "empty→something" if new.body else "something→empty"
        yield Difference("body", old.media_type or "-", detail, _shown(old.body), _shown(new.body))


# --- headers ---------------------------------------------------------------------------------------------------------


def header_differences(old: Answer, new: Answer) -> Iterator[Difference]:
    """Yield the headers that differ, but for those that are understood."""
    for name in sorted({name for name, _ in (*old.headers, *new.headers)} - UNDERSTOOD):
        before, after = _header(old, name), _header(new, name)
        if before != after:
            detail = "added" if not before else "missing" if not after else "another value"
            yield Difference("header", name, detail, old.header(name), new.header(name))


def _header(answer: Answer, name: str) -> object:
    value = answer.header(name)
    if name in SETS:
        return sorted(word.strip().lower() for word in value.split(",") if word.strip())
    if name == "content-type":
        return value.lower().replace(" ", "").replace('"', "")
    if name == "set-cookie":  # values are secrets and moments; what matters is which cookies, and how they are kept
        return sorted(_cookie(value) for key, value in answer.headers if key == name)
    return value


def _cookie(value: str) -> list[str]:
    name, *attributes = value.split(";")
    words = (word.strip().lower() for word in attributes)
    return [name.partition("=")[0], *sorted(word for word in words if not word.startswith("expires="))]


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json_differences(old: bytes, new: bytes, *, is_write: bool) -> Iterator[Difference]:
    try:
        before, after = read_json(old), read_json(new)
    except ValueError:
        yield Difference("body", "application/json", "no JSON", _shown(old), _shown(new))
        return
    found = list(_walk(before, after, "$", is_write=is_write))
    if found:
        yield from _with_moves(found)
    elif before == after:
        yield Difference("bytes", "$", _spelling(before, after), _shown(old), _shown(new))


class _Place(msgspec.Struct, frozen=True):
    """A difference with the very values, to find out what has moved."""

    difference: Difference
    old: JSON
    new: JSON


def _walk(old: JSON, new: JSON, place: str, *, is_write: bool) -> Iterator[_Place]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            inside = f"{place}.{key}" if key.isidentifier() else f"{place}[{json.dumps(key)}]"
            if key not in new:
                yield _place("missing", inside, _type(old[key]), old[key], None)
            elif key not in old:
                yield _place("added", inside, _type(new[key]), None, new[key])
            else:
                yield from _walk(old[key], new[key], inside, is_write=is_write)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield _place("length", f"{place}[]", "", old, new)
        elif old != new and _counted(old) == _counted(new):
            yield _place("order", f"{place}[]", "", old, new)
        else:
            for one, other in zip(old, new, strict=True):
                yield from _walk(one, other, f"{place}[]", is_write=is_write)
    elif _type(old) != _type(new):
        yield _place("type", place, f"{_type(old)}→{_type(new)}", old, new)
    elif old != new and not (is_write and _is_now(old, new)):
        yield _place("value", place, "", old, new)


def _place(kind: str, place: str, detail: str, old: JSON, new: JSON) -> _Place:
    return _Place(Difference(kind, place, detail, _shown(old), _shown(new)), old, new)


def _with_moves(found: list[_Place]) -> Iterator[Difference]:
    """Yield the differences, of which a missing value that was added elsewhere is one that moved."""
    added = {id(place): place for place in found if place.difference.kind == "added"}
    targets: dict[int, _Place] = {}
    for place in found:
        if place.difference.kind == "missing" and place.old not in (None, "", [], {}, False):
            target = next((other for other in added.values() if other.new == place.old), None)
            if target is not None:
                targets[id(place)] = added.pop(id(target))
    gone = {id(target) for target in targets.values()}
    for place in found:
        if id(place) in targets:
            where = targets[id(place)].difference.place
            yield msgspec.structs.replace(
                place.difference, kind="moved", detail=f"to {where}", new=place.difference.old
            )
        elif id(place) not in gone:
            yield place.difference


_TYPES = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "list",
    dict: "object",
    type(None): "null",
}


def _type(value: JSON) -> str:
    return _TYPES[type(value)]


def _counted(values: list[JSON]) -> Counter[str]:
    return Counter(json.dumps(value, sort_keys=True) for value in values)


def _is_now(old: JSON, new: JSON) -> bool:
    """Return whether two texts are moments of the same minute, as two sides write them in turn."""
    try:
        between = datetime.fromisoformat(str(old)) - datetime.fromisoformat(str(new))
    except (TypeError, ValueError):
        return False
    return abs(between.total_seconds()) < 60


def _spelling(before: JSON, after: JSON) -> str:
    """Say what makes equal JSON other bytes."""
    if json.dumps(before) == json.dumps(after):
        return "spaces, escapes or digits"
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    return "order of keys" if same else "numbers with and without a fraction"


def _shown(value: JSON | bytes) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"
