"""Write the tables of docs/settings.md from ``conf.GatewaySettings`` and ``layer_options.LayerOptions``.

python scripts/settings_page.py           write them anew
python scripts/settings_page.py --check   exit status 1 where the page differs
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"
TABLE = re.compile(r"(<!-- (\w+): by scripts/settings_page.py -->\n).*?(<!-- end -->)", re.DOTALL)


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
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            doc = re.sub(r"\s+", " ", str(after.value.value)).strip() if documented else ""
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


def gateway_rows() -> Iterator[str]:
    """Yield the settings of the gateway."""
    for field in fields_of("conf", "GatewaySettings"):
        if field.name != "layer":
            yield row_of(field, "" if field.default == "None" else field.default)


def layer_rows() -> Iterator[str]:
    """Yield the options of a layer."""
    defaults = {field.name: field.default for field in fields_of("layer_options", "Layers")}
    for field in fields_of("layer_options", "LayerOptions"):
        yield row_of(field, defaults[field.name])


ROWS = {"gateway": gateway_rows, "layers": layer_rows}


def write(page: str) -> str:
    """Return the page with its tables as they should be."""
    head = "| key | default | what |\n|---|---|---|\n"
    return TABLE.sub(lambda found: f"{found[1]}{head}{chr(10).join(ROWS[found[2]]())}\n{found[3]}", page)


def main(arguments: list[str]) -> int:
    """Run the command line."""
    page = PAGE.read_text(encoding="utf-8")
    written = write(page)
    if "--check" in arguments:
        if written != page:
            print("docs/settings.md is not what the tables say: python scripts/settings_page.py writes it anew")
        return written != page
    PAGE.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
