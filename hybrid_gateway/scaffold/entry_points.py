"""``asgi.py`` and ``wsgi.py``: the gateway in the place of Django's application, and everything else as it was."""

from __future__ import annotations

import re
from pathlib import Path

import libcst as cst

from hybrid_gateway.scaffold.python_source import PythonSource

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
    return re.search(r"^application\s*=\s*get_asgi_application\(\)", text, re.MULTILINE) is not None


def new_entry_point(protocol: str, module: str, settings: str) -> bytes:
    """Return a file that serves the gateway, where the project has none."""
    return _TEMPLATE.format(upper=protocol.upper(), protocol=protocol, module=module, settings=settings).encode()


def by_hand(path: Path, protocol: str) -> str:
    """Say what to do with a file that is not edited."""
    return (
        f"{path} does not import get_{protocol}_application of django.core.{protocol} in a way that can be edited "
        f"with certainty. Let it serve `hybrid_gateway.get_{protocol}_application()` in the place of Django's "
        f"application, or let your server serve `hybrid_gateway.{protocol}:application`."
    )
