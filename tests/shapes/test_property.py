"""For generated classes of all kinds, one inside another, and any paths: what is promised is sent, and comes back."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_gateway import Shape
from hybrid_gateway.binding.decoders import decode_known
from hybrid_gateway.responses.enc_hook import enc_hook
from hybrid_gateway.responses.return_filter.filter_builder import build_filter, compile_fits

KINDS = ("struct", "dataclass", "typed_dict", "attrs", "pydantic")
LEAVES = {"int": int, "str": str}
AROUND = ("plain", "optional", "list", "dict", "rows")


@dataclasses.dataclass
class Node:
    """A class that is to be made: of which kind, and its fields, each a leaf or a node in something."""

    kind: str
    fields: dict[str, tuple[str, Any]]
    made: Any = None


def nodes(depth: int, kinds: tuple[str, ...] = KINDS) -> st.SearchStrategy[Node]:
    return st.sampled_from(kinds).flatmap(lambda kind: st.builds(Node, st.just(kind), _fields(kind, depth, kinds)))


def _fields(kind: str, depth: int, kinds: tuple[str, ...]) -> st.SearchStrategy[dict[str, tuple[str, Any]]]:
    field = st.tuples(st.just("leaf"), st.sampled_from(sorted(LEAVES)))
    if depth:
        inner = ("dataclass", "pydantic") if kind == "pydantic" or "struct" not in kinds else kinds  # which it writes
        field = field | st.tuples(st.sampled_from(AROUND), nodes(depth - 1, inner))
    return st.dictionaries(st.sampled_from(["one", "two_words", "three", "four"]), field, min_size=1, max_size=3)


def annotation(around: str, inner: Any) -> Any:
    if around == "leaf":
        return LEAVES[inner]
    made = make_class(inner)
    kinds = {"plain": made, "optional": made | None, "list": list[made], "dict": dict[str, made]}
    return kinds.get(around, list[list[made]])


def make_class(node: Node) -> Any:
    """Make the class of a node; all of its fields have defaults, so that any of them may be excluded."""
    if node.made is None:
        types = {name: annotation(*field) for name, field in node.fields.items()}
        defaults = {name: lambda field=field: default(*field) for name, field in node.fields.items()}
        node.made = _MAKERS[node.kind](types, defaults)
    return node.made


def default(around: str, inner: Any) -> Any:
    if around == "leaf":
        return LEAVES[inner]()
    if around == "plain":
        return inner.made() if inner.kind != "typed_dict" else {}
    return {"list": [], "rows": [], "dict": {}}.get(around)


def _struct(types: Any, defaults: Any) -> Any:
    fields = [(name, kind, msgspec.field(default_factory=defaults[name])) for name, kind in types.items()]
    return msgspec.defstruct("Made", fields, kw_only=True)


def _dataclass(types: Any, defaults: Any) -> Any:
    fields = [(name, kind, dataclasses.field(default_factory=defaults[name])) for name, kind in types.items()]
    return dataclasses.make_dataclass("Made", fields)


def _attrs(types: Any, defaults: Any) -> Any:
    fields = {name: attrs.field(factory=defaults[name]) for name in types}
    return attrs.define(type("Made", (), {"__annotations__": types, **fields}))


def _pydantic(types: Any, defaults: Any) -> Any:
    fields = {name: (kind, pydantic.Field(default_factory=defaults[name])) for name, kind in types.items()}
    return pydantic.create_model("Made", **fields)


_MAKERS = {
    "struct": _struct,
    "dataclass": _dataclass,
    "attrs": _attrs,
    "pydantic": _pydantic,
    "typed_dict": lambda types, defaults: TypedDict("Made", {name: NotRequired[kind] for name, kind in types.items()}),
}


# --- instances, and what is to be seen of them


def values(data: st.DataObject, around: str, inner: Any) -> Any:
    """Return a value of a field as JSON has it."""
    if around == "leaf":
        return data.draw({"int": st.integers(0, 9), "str": st.sampled_from(["", "a", "hunter2"])}[inner])
    if around == "optional" and data.draw(st.booleans()):
        return None
    if around in ("plain", "optional"):
        return {name: values(data, *field) for name, field in inner.fields.items()}
    count = data.draw(st.integers(0, 2))
    items = [values(data, "plain", inner) for _ in range(count)]
    return {"list": items, "rows": [items]}.get(around, dict(enumerate_keys(items)))


def enumerate_keys(items: list[Any]) -> Iterator[tuple[str, Any]]:
    yield from ((f"k{place}", item) for place, item in enumerate(items))


def instance(plain: Any, around: str, inner: Any) -> Any:
    """Return the instances that a value of JSON stands for."""
    if around == "leaf" or plain is None:
        return plain
    if around in ("plain", "optional"):
        given = {name: instance(plain[name], *field) for name, field in inner.fields.items()}
        return make_class(inner)(**given)
    if around == "rows":
        return [[instance(entry, "plain", inner) for entry in row] for row in plain]
    if around == "list":
        return [instance(entry, "plain", inner) for entry in plain]
    return {key: instance(entry, "plain", inner) for key, entry in plain.items()}


STEPS = {"list": ("*",), "dict": ("*",), "rows": ("*", "*")}


def paths(node: Node) -> Iterator[tuple[str, ...]]:
    """Yield the paths to all fields."""
    for name, (around, inner) in node.fields.items():
        yield (name,)
        if around != "leaf":
            yield from ((name, *STEPS.get(around, ()), *path) for path in paths(inner))


def without(plain: Any, hidden: set[tuple[str, ...]]) -> Any:
    """Return a value of JSON without what paths lead to."""
    if isinstance(plain, list):
        below = {path[1:] for path in hidden if path[0] == "*"}
        return [without(entry, below) for entry in plain] if below else plain
    if not isinstance(plain, dict):
        return plain
    found = {}
    for name, value in plain.items():
        if (name,) not in hidden:
            below = {path[1:] for path in hidden if path[0] in (name, "*") and len(path) > 1}
            found[name] = without(value, below) if below else value
    return found


def drawn_paths(data: st.DataObject, node: Node) -> set[tuple[str, ...]]:
    """Draw a set of paths, none inside another, that leaves something of each class."""
    chosen: set[tuple[str, ...]] = set()
    for path in data.draw(st.permutations(sorted(paths(node)))):
        related = any(path[: len(one)] == one or one[: len(path)] == path for one in chosen)
        siblings = {one for one in paths(node) if one[:-1] == path[:-1]}
        if not related and data.draw(st.booleans()) and not siblings <= {*chosen, path}:
            chosen.add(path)
    return chosen


def encoded(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=enc_hook))


def shape_of(source: Any, **options: Any) -> Any:
    return type(Shape)("Made", (Shape,), {"__module__": __name__}, of=source, **options)


quick = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@quick
@given(node=nodes(2), data=st.data())
def test_what_is_promised_is_sent_and_nothing_else(node, data):
    plain = values(data, "plain", node)
    source, hidden = make_class(node), drawn_paths(data, node)
    shape = shape_of(source, exclude={".".join(path) for path in hidden})
    whole, expected = instance(plain, "plain", node), without(plain, hidden)
    assert encoded(shape.from_instance(whole)) == expected
    for kind, value, seen in (
        (shape, whole, expected),
        (shape | None, whole, expected),
        (list[shape], [whole], [expected]),
        (dict[str, tuple[shape, ...]], {"a": (whole,)}, {"a": [expected]}),
    ):
        rule = build_filter(kind)
        assert compile_fits(rule)(value) == rule.fits(value)
        assert encoded(rule.apply(value)) == seen


@quick
@given(node=nodes(2), data=st.data())
def test_what_is_included_alone_is_sent(node, data):
    plain = values(data, "plain", node)
    source, shown = make_class(node), drawn_paths(data, node)
    if not shown:
        return
    shape = shape_of(source, include={".".join(path) for path in shown})
    found = encoded(shape.from_instance(instance(plain, "plain", node)))
    left = {path for path in paths(node) if not any(_leads_to(path, one) for one in shown)}
    assert found == without(plain, left)


def _leads_to(path: tuple[str, ...], one: tuple[str, ...]) -> bool:
    """Return whether a path is that of a field which is shown, of one around it, or of one inside it."""
    return path[: len(one)] == one or one[: len(path)] == path


@quick
@given(node=nodes(2), data=st.data())
def test_what_is_sent_comes_back(node, data):
    plain = values(data, "plain", node)
    source, hidden = make_class(node), drawn_paths(data, node)
    options = {"exclude": {".".join(path) for path in hidden}, "rename": data.draw(st.sampled_from([None, "camel"]))}
    shape = shape_of(source, **options)
    sent = msgspec.json.encode(shape.from_instance(instance(plain, "plain", node)), enc_hook=enc_hook)
    received = msgspec.json.decode(sent, type=shape, dec_hook=decode_known)
    made = received.create()
    assert isinstance(made, dict if node.kind == "typed_dict" else source)
    assert msgspec.json.encode(shape.from_instance(made), enc_hook=enc_hook) == sent


@quick
@given(node=nodes(2), data=st.data())
def test_what_is_applied_is_there_and_the_rest_as_it_was(node, data):
    plain, other = values(data, "plain", node), values(data, "plain", node)
    source, hidden = make_class(node), drawn_paths(data, node)
    exclude = {".".join(path) for path in hidden}
    change = shape_of(source, exclude=exclude, partial=True)
    chosen = data.draw(st.sets(st.sampled_from(sorted(node.fields))))
    sent = {name: value for name, value in without(plain, hidden).items() if name in chosen}
    stored = instance(other, "plain", node)
    before = encoded(copy.deepcopy(stored))
    received = msgspec.json.decode(msgspec.json.encode(sent), type=change, dec_hook=decode_known)
    assert received.apply(stored) is stored
    after = encoded(stored)
    shown = encoded(shape_of(source, exclude=exclude).from_instance(stored))
    for name in node.fields:
        if name in sent:
            assert shown[name] == sent[name]
        else:
            assert after[name] == before[name]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_made(kind):
    inner = Node(kind, {"one": ("leaf", "int")})
    assert encoded(instance({"two": {"one": 1}}, "plain", Node(kind, {"two": ("plain", inner)}))) == {"two": {"one": 1}}
