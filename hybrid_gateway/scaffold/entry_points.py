"""``asgi.py`` and ``wsgi.py``: the gateway in the place of Django's application, and everything else as it was."""

from __future__ import annotations

import re
from pathlib import Path

import libcst as cst

from hybrid_gateway.scaffold.python_source import PythonSource

_OTHERS = {"asgi": "wsgi", "wsgi": "asgi"}
_TEMPLATE = '''"""For {upper} servers, which serve `{module}:application`."""

import os

from hybrid_gateway import get_{protocol}_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")

application = get_{protocol}_application()
'''


def edit_entry_point(data: bytes, protocol: str) -> bytes | None:
    """Return the file with the gateway's ``get_…_application`` for Django's, ``None`` where that is not enough."""
    if b"hybrid_gateway" in data:
        return data
    source = PythonSource(data)
    imports = [node for node in _statements(source.module) if isinstance(node, cst.ImportFrom)]
    function = f"get_{protocol}_application"
    for node in imports:
        if (
            node.module is None
            or _dotted(node.module) != f"django.core.{protocol}"
            or isinstance(node.names, cst.ImportStar)
        ):
            continue
        if [alias.name.value for alias in node.names] == [function]:
            source.replace(*source.span(node.module), "hybrid_gateway")
            return source.result()
    return None


def _statements(module: cst.Module) -> list[cst.BaseSmallStatement]:
    found: list[cst.BaseSmallStatement] = []

    def look(node: cst.CSTNode) -> None:
        for child in node.children:
            if isinstance(child, cst.SimpleStatementLine):
                found.extend(child.body)
            elif isinstance(child, cst.BaseCompoundStatement | cst.BaseSuite):
                look(child)

    look(module)
    return found


def _dotted(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def keeps_lifespan(text: str) -> bool:
    """Return whether the gateway is the whole application, and so hears of a server's start and end."""
    values = re.findall(r"^application\b[^=\n]*=\s*(.*)", text, re.MULTILINE)
    return bool(values) and re.match(r"get_asgi_application\(\)\s*(#|$)", values[-1]) is not None


def new_entry_point(protocol: str, module: str, settings: str) -> bytes:
    """Return a file that serves the gateway, where the project has none."""
    return _TEMPLATE.format(upper=protocol.upper(), protocol=protocol, module=module, settings=settings).encode()


def modelled_on(data: bytes, protocol: str) -> bytes | None:
    """Return the file of one protocol as that of the other is, with all that it does before its application.

    ``None`` where something in it may be for the other protocol alone: an application that is wrapped or called, a
    module of that protocol's, greenlets.
    """
    other = _OTHERS[protocol]
    source = PythonSource(data)
    function = f"get_{other}_application"
    swapped: list[cst.CSTNode] = []
    made = 0
    for statement in _top_level(source.module):
        match statement:
            case cst.ImportFrom(
                module=cst.Name() | cst.Attribute() as module, names=[cst.ImportAlias(asname=None) as alias]
            ) if _dotted(alias.name) == function and _dotted(module) in (
                f"django.core.{other}",
                "hybrid_gateway",
                f"hybrid_gateway.{other}",
            ):
                source.replace(*source.span(module), "hybrid_gateway")
                source.replace(*source.span(alias), f"get_{protocol}_application")
            case cst.Assign(
                targets=[cst.AssignTarget(target=cst.Name("application"))],
                value=cst.Call(func=cst.Name(value) as called, args=[]),
            ) if value == function:
                made += 1
                source.replace(*source.span(called), f"get_{protocol}_application")
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name())], value=cst.Name("application")):
                pass  # another name of it
            case cst.Expr(value=cst.SimpleString() as text) if statement is _top_level(source.module)[0]:
                swapped.append(text)
            case _ if _is_of(statement, other):
                return None
            case _:
                pass
    if made != 1 or any(
        _is_of(node, other) for node in source.module.body if isinstance(node, cst.BaseCompoundStatement)
    ):
        return None
    swapped += [node for node in source.positions if isinstance(node, cst.Comment)]
    name = re.compile(rf"\b(?:get_)?{other}(?:_application)?\b", re.IGNORECASE)
    for node in swapped:
        start, end = source.span(node)
        for found in name.finditer(source.text, start, end):
            renamed = found[0].replace(other, protocol).replace(other.upper(), protocol.upper())
            source.replace(found.start(), found.end(), renamed)
    return source.result()


def _top_level(module: cst.Module) -> list[cst.BaseSmallStatement]:
    lines = [node for node in module.body if isinstance(node, cst.SimpleStatementLine)]
    return [statement for line in lines for statement in line.body]


_GREENLETS = frozenset(("gevent", "eventlet", "psycogreen"))


def _is_of(node: cst.CSTNode, protocol: str) -> bool:
    """Return whether a statement uses the application, or names the protocol, or greenlets."""
    match node:
        case cst.Name(value):
            return value == "application" or value in _GREENLETS or protocol in value.lower()
        case cst.SimpleString(value):
            return protocol in value.lower()
        case cst.Comment():
            return False
        case _:
            return any(_is_of(child, protocol) for child in node.children)


def to_write(path: Path, protocol: str, model: Path | None) -> str:
    """Say what to write where a file is missing, and nothing tells with certainty what belongs into it."""
    why, what = "manage.py does not plainly name a module of settings", "choose the settings of production"
    if model is not None:
        why = f"{model.name} may do what is for its own protocol alone (it wraps or calls its application, say)"
        what = f"take over what {model} does before its application"
    return (
        f"{path} is missing, and not written, as {why}. Write it: {what}, then `from hybrid_gateway import "
        f"get_{protocol}_application` and `application = get_{protocol}_application()`. Until then servers can serve "
        f"`hybrid_gateway.{protocol}:application`, with DJANGO_SETTINGS_MODULE in their environment."
    )


def by_hand(path: Path, protocol: str) -> str:
    """Say what to do with a file that is not edited."""
    return (
        f"{path} does not import get_{protocol}_application of django.core.{protocol} in a way that can be edited "
        f"with certainty. Let it serve `hybrid_gateway.get_{protocol}_application()` in the place of Django's "
        f"application, or let your server serve `hybrid_gateway.{protocol}:application`."
    )
