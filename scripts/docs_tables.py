"""Write the parts of documents that are made of code: settings, checks, options of commands, close codes, floors.

python scripts/docs_tables.py           write them anew
python scripts/docs_tables.py --check   exit status 1 where a document differs
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import house
from gates import read_sources

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the package beside this script, whatever is installed

from command_line import options_table  # noqa: E402

from hybrid_gateway.problems.catalogue import catalogue  # noqa: E402
from hybrid_gateway.websockets.close_codes import CLOSE_CODES  # noqa: E402

DOCS = ("settings", "checks", "websockets", "starting", "doctor")
PAGES = [*(ROOT / "docs" / f"{name}.md" for name in DOCS), ROOT / "ARCHITECTURE.md"]
PART = re.compile(r"(<!-- (\w+): by scripts/docs_tables.py -->\n).*?(<!-- end -->)", re.DOTALL)


class Field(NamedTuple):
    """An attribute in the body of a class, as it is written."""

    name: str
    kind: str
    default: str
    doc: str


def fields_of(module: str, name: str) -> Iterator[Field]:
    """Yield the annotated attributes of a class of the package."""
    source = (ROOT / "hybrid_gateway" / f"{module}.py").read_text(encoding="utf-8")
    body = next(node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            doc = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                doc = re.sub(r"\s+", " ", str(after.value.value)).strip()
            default = ast.get_source_segment(source, node.value) if node.value else ""
            yield Field(node.target.id, ast.get_source_segment(source, node.annotation) or "", default or "", doc)


def row_of(field: Field, default: str) -> str:
    """Return a row of a table; a section such as ``OPENAPI`` has its keys in it instead of a default."""
    section = default.removesuffix("()")
    keys = ""
    if section.endswith("Settings"):
        keys, default = ", ".join(f"`{inner.name.upper()}`" for inner in fields_of("conf", section)), ""
    doc = re.sub(r":\w+:`~?(.*?)`", r"`\1`", field.doc.replace("{keys}", keys)).replace("``", "`").replace("|", r"\|")
    return f"| `{field.name.upper()}` | {f'`{default}`' if default else ''} | {doc} |"


def settings_table() -> Iterator[str]:
    """Yield the settings of the gateway."""
    yield from ("| key | default | what |", "|---|---|---|")
    for field in fields_of("conf", "GatewaySettings"):
        if field.name != "layer":
            yield row_of(field, "" if field.default == "None" else field.default)


def layers_table() -> Iterator[str]:
    """Yield the options of a layer."""
    yield from ("| key | default | what |", "|---|---|---|")
    defaults = {field.name: field.default for field in fields_of("layer_options", "Layers")}
    for field in fields_of("layer_options", "LayerOptions"):
        yield row_of(field, defaults[field.name])


def checks_table() -> Iterator[str]:
    """Yield the system checks."""
    yield from ("| id | what is wrong |", "|---|---|")
    for problem in catalogue().values():
        if problem.is_check:
            yield f"| `hybrid_gateway.{problem.id}` | {problem.title}. |"


def close_codes_table() -> Iterator[str]:
    """Yield the codes with which websockets are closed."""
    yield from ("| code | what has ended the connection | reconnect? |", "|---|---|---|")
    for row in CLOSE_CODES:
        yield f"| {row.code} | {row.meaning} | {row.reconnect} |"


def floors() -> Iterator[str]:
    """Yield the picture of the floors."""
    yield from ("```", house.picture(read_sources(), house.declared_floors()), "```")


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings_table,
    "layers": layers_table,
    "checks": checks_table,
    "close_codes": close_codes_table,
    "floors": floors,
    "init_options": partial(options_table, "python -m hybrid_gateway init"),
    "startapi_options": partial(options_table, "manage.py startapi"),
    "doctor_options": partial(options_table, "manage.py gateway doctor"),
}


@cache
def text_of(part: str) -> str:
    """Return the lines of a part, which stay as they are while this runs."""
    return "".join(f"{line}\n" for line in PARTS[part]())


def write(page: str) -> str:
    """Return a document with its parts as they should be."""
    return PART.sub(lambda found: found[1] + text_of(found[2]) + found[3], page)


def main(arguments: list[str]) -> int:
    """Run the command line."""
    is_stale = False
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        written = write(page)
        if "--check" not in arguments:
            path.write_text(written, encoding="utf-8")
        elif written != page:
            is_stale = True
            print(f"{path.relative_to(ROOT)} differs from the code: python scripts/docs_tables.py writes it anew")
    return is_stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
