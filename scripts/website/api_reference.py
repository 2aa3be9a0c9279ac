"""The reference of every public name: pages that autodoc fills, and where references in them lead."""

from __future__ import annotations

import ast
import inspect
import pydoc
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from types import FunctionType
from typing import Any

from website.public_names import CHAPTERS, PACKAGE, PublicName, dotted_module, homes, public_names
from website.raised import raised_by
from website.repository import ROOT, URLS

# Classes whose attributes have a page of their own, which is made of them.
TOLD_ELSEWHERE = {"hybrid_gateway.conf.GatewaySettings", "hybrid_gateway.conf.HybridGatewaySettings"}


def reference_pages() -> Iterator[tuple[str, str]]:
    """Yield the pages of the reference, each with its name."""
    yield "reference/index.md", index_page()
    for module, names in public_names().items():
        yield f"reference/{module}.md", module_page(module, names)


def index_page() -> str:
    """Return the page that leads to those of the modules."""
    lines = [
        "# Public names",
        "",
        "What is listed here stays as it is within a major version; everything else may change.",
    ]
    for chapter, modules in CHAPTERS.items():
        lines += ["", f"## {chapter}", "", "| module | names |", "|---|---|"]
        for short in modules:
            module = dotted_module(short)
            names = ", ".join(f"{{py:obj}}`{name.name} <{home_of(name)}>`" for name in public_names()[module])
            lines.append(f"| [`{module}`]({module}.md) | {names} |")
    toctree = "\n".join(public_names())
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", ":titlesonly:", "", toctree, "```", ""])


def home_of(name: PublicName) -> str:
    """Return the target under which a name is documented."""
    if not name.is_application and inspect.ismodule(name.value):
        return name.value.__name__
    return name.dotted if name.is_application else homes()[id(name.value)].dotted


def module_page(module: str, names: list[PublicName]) -> str:
    """Return the page of a module."""
    lines = [f"# {module}", "", "```{eval-rst}", f".. py:module:: {module}", ""]
    lines += [*inspect.cleandoc(import_module(module).__doc__ or "").splitlines(), ""]
    elsewhere = [name for name in names if home_of(name) != name.dotted or name.dotted in public_names()]
    if elsewhere:
        lines += ["These names are those of other modules:", ""]
        lines += [f"* ``{name.name}``: :py:obj:`{home_of(name)}`" for name in elsewhere]
        lines.append("")
    for name in names:
        if name not in elsewhere:
            lines += [*entry(name), ""]
    return "\n".join([*lines, "```", ""])


def entry(name: PublicName) -> list[str]:
    """Return the directive of one name."""
    if name.is_of_others:
        return data(name, f"``{origin(name.value)}``, as it is.")
    if name.is_application or not name.is_class_or_function:
        return data(name, name.documentation)
    if inspect.isclass(name.value):
        members = [] if name.dotted in TOLD_ELSEWHERE else ["   :members:"]
        return [f".. autoclass:: {name.dotted}", *members, "   :show-inheritance:"]
    return [f".. autofunction:: {name.dotted}"]


def data(name: PublicName, text: str) -> list[str]:
    """Return the directive of a value."""
    return [f".. py:data:: {name.name}", "", *(f"   {line}" for line in text.splitlines())]


def origin(value: Any) -> str:
    """Return where a class of another package is defined."""
    return f"{value.__module__}.{value.__qualname__}"


# --- while pages are made ------------------------------------------------------------------------------------------


def tell_exceptions(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Add the exceptions of a function or method to its docstring, if that does not speak of them."""
    function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else None
    if isinstance(function, FunctionType) and function.__module__.startswith(PACKAGE):
        text = "\n".join(lines)
        raised = [each for each in raised_by(function) if each.__name__ not in text]
        if raised:
            lines += ["", "Raises " + ", ".join(f":exc:`~{origin(each)}`" for each in raised) + "."]


@cache
def names_by_origin() -> Mapping[str, str]:
    """Return where each public class or function is documented, by where it is defined, and by its name alone."""
    found = {}
    for name in homes().values():
        if name.is_class_or_function:
            found[origin(name.value)] = name.dotted
            found.setdefault(name.name, name.dotted)
    return found


def documented_name(target: str) -> str | None:
    """Return the public name that a reference means, if there is one."""
    owner, _, member = target.rpartition(".")
    found = names_by_origin()
    return found.get(target) or (f"{found[owner]}.{member}" if owner in found else None)


@cache
def is_known(target: str, inside: str = "") -> bool:
    """Whether a reference names something that is there: in Python, another package, a module or a class of ours."""
    first, *rest = target.split(".")
    if pydoc.locate(target) is not None or (inside and holds(pydoc.locate(inside), target.split("."))):
        return True
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith(PACKAGE)]
    return any(holds(vars(module)[first], rest) for module in modules if first in vars(module)) or (
        target in names_for_type_checkers()
    )


def holds(value: Any, path: list[str]) -> bool:
    """Whether a value has attributes of attributes."""
    for name in path:
        if not hasattr(value, name) and name not in getattr(value, "__annotations__", ()):
            return False
        value = getattr(value, name, None)
    return True


@cache
def names_for_type_checkers() -> frozenset[str]:
    """Return the names that modules of the package have for type checkers alone."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / PACKAGE).rglob("*.py"))
    trees = (ast.parse(source) for source in sources if "if TYPE_CHECKING:" in source)
    found: set[str] = set()
    for block in (node for tree in trees for node in tree.body if isinstance(node, ast.If)):
        for node in ast.walk(block):
            match node:
                case ast.alias(name=name, asname=other):
                    found.add(other or name)
                case ast.Name(id=name, ctx=ast.Store()):
                    found.add(name)
    return frozenset(found)


def resolve_reference(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Lead a reference to the public name that it means; one to something else that is there stays text.

    One to nothing at all is a warning, and so an error of the build.
    """
    if node.get("refdomain") != "py":
        return None
    target = re.sub(r"^[.~]+|\[.*", "", node["reftarget"])
    name = documented_name(target)
    if name and name != node["reftarget"]:
        domain = env.get_domain("py")
        return domain.resolve_any_xref(env, node["refdoc"], app.builder, name, node, contnode)[0][1]
    inside = ".".join(filter(None, (node.get("py:module"), node.get("py:class"))))
    return contnode if is_known(target, inside) else None


def source_of(version: str, domain: str, info: Mapping[str, str]) -> str | None:
    """Return the address of the lines that define a name, on the code host."""
    module, name = info["module"], info["fullname"]
    value: Any = sys.modules.get(module)
    if module != PACKAGE and name == "application":
        return None
    for part in name.split("."):
        value = getattr(value, part, None)
    value = inspect.unwrap(getattr(value, "fget", None) or value) if value is not None else None
    try:
        path = inspect.getsourcefile(value)
        lines, first = inspect.getsourcelines(value)
    except (TypeError, OSError):  # a value, or what a metaclass has made: it has no lines of its own
        return None
    if not path or not path.startswith(f"{ROOT}/{PACKAGE}/"):
        return None
    return f"{URLS['Source']}/blob/{version}{path.removeprefix(str(ROOT))}#L{first}-L{first + len(lines) - 1}"
