"""Find undocumented names of other packages outside of ``hybrid_gateway/_compat``; see there for what to do with one.

Undocumented is what begins with one underscore and is not ours, and what ``FENCED`` lists. A name of an object other
than ``self`` is ours where its module defines it; so no module uses private names of another one, either.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "hybrid_gateway"

# What no documentation promises: names without an underscore, and names with one that classes of ours give to something
# of their own, too, or take over from a class of others.
FENCED = frozenset(
    {
        # CPython
        *("_getframe", "_current_frames", "setprofile", "settrace"),
        # asgiref
        *("threadlocal", "single_thread_executor", "context_to_thread_executor", "loop_thread_executors"),
        "WsgiToAsgiInstance",
        # Django: handlers, requests, settings, caches, the test client
        *("adapt_method_mode", "convert_exception_to_response", "_resource_closers", "_wrapped", "create_connection"),
        *("_dont_enforce_csrf_checks", "CSRF_COOKIE_NEEDS_UPDATE", "_messages", "_acached_user"),
        *("close_caches", "_base_scope", "_base_environ", "_ensure_redirects_not_cyclic"),
        # Django: connections
        *("in_atomic_block", "closed_in_transaction", "close_if_unusable_or_obsolete", "needs_rollback"),
        *("_configure_connection", "initialized_only"),
        # Django: queries and fields
        *("klass_info", "annotation_col_map", "get_initial_alias", "clear_select_fields", "set_select", "set_values"),
        *("alias_map", "low_mark", "high_mark", "get_converters", "apply_converters", "results_iter", "base_table"),
        *("bilateral_transforms", "RelatedLookupMixin", "ExpressionList", "fields_map"),
        *("_forward_fields_map", "_validators", "_iterable_class", "_db", "_known_related_objects", "_result_cache"),
        *("_prefetch_related_lookups", "_do_insert", "_get_pk_val", "_get_unique_checks", "_filtered_relations"),
        # Starlette
        *("cookie_parser", "stream_response", "body_iterator"),
        # uvicorn
        *("HttpToolsProtocol", "RequestResponseCycle", "STATUS_LINE", "default_headers", "_start_asgi_task"),
        *("_unset_keepalive_if_required", "_should_upgrade_to_ws", "_get_upgrade"),
    }
)

# With an underscore, but documented: by Django (models, managers), by the standard library (named tuples, os).
DOCUMENTED = frozenset(
    {
        "_meta",
        "_state",
        "_default_manager",
        "_base_manager",
        "_replace",
        "_asdict",
        "_fields",
        "_field_defaults",
        "_exit",
    }
)

# What stays outside: why.
ALLOWED: dict[tuple[str, str], str] = {
    (
        "hybrid_gateway/drivers/lane/protocol.py",
        "default_headers",
    ): "PERF: read for each response; a call is 0.04 µs",
}


def is_private(name: str) -> bool:
    """Whether a name says that it is nobody else's."""
    return name.startswith("_") and not name.startswith("__") and not name.endswith("_") and name not in DOCUMENTED


def definitions(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """The line and the name of what a module gives a name to."""
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Attribute(value=ast.Name("self" | "cls"), attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Assign(targets=[ast.Name("__slots__")], value=value):
                yield from (
                    (node.lineno, str(part.value)) for part in ast.walk(value) if isinstance(part, ast.Constant)
                )


def uses(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """The line and the name of what is asked of an object or a mapping."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name("getattr" | "hasattr" | "setattr"), args=[_, ast.Constant(str(name)), *_]):
                yield node.lineno, name
            case ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(str(name))) | ast.keyword(arg=str(name)):
                yield node.lineno, name
            case ast.Compare(left=ast.Constant(str(name)), ops=[ast.In() | ast.NotIn()]):
                yield node.lineno, name


def foreign(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """The line and the name of what is asked of an object that is neither ``self`` nor a class or its parent."""
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name("self" | "cls") | ast.Call(func=ast.Name("super"))):
                continue
            case ast.Attribute(attr=name):
                yield node.lineno, name


def imports(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """The line and each part of what is imported from other packages."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                parts = [part for alias in names for part in alias.name.split(".")]
            case ast.ImportFrom(module=str(module), names=names):
                parts = [*module.split("."), *(alias.name for alias in names)]
            case _:
                continue
        if parts[0] not in ("hybrid_gateway", "_typeshed"):
            yield from ((node.lineno, part) for part in parts)


def complaints(package: Path = PACKAGE) -> list[str]:
    """A line for each undocumented name outside of ``_compat``."""
    modules = {
        path.relative_to(package.parent).as_posix(): list(ast.walk(ast.parse(path.read_text())))
        for path in package.rglob("*.py")
    }
    ours = {name for nodes in modules.values() for _, name in definitions(nodes)} - FENCED
    found = set()
    for path, nodes in modules.items():
        if "_compat" in path.split("/"):
            continue
        seen = [*definitions(nodes), *uses(nodes), *imports(nodes)]
        own = {name for _, name in definitions(nodes)}
        unknown = {name for _, name in imports(nodes) if is_private(name)}
        unknown |= {name for _, name in foreign(nodes) if is_private(name) and name not in own}
        unknown |= {name for _, name in seen if name in FENCED or (is_private(name) and name not in ours)}
        found |= {(path, line, name) for line, name in seen if name in unknown and (path, name) not in ALLOWED}
    return [f"{path}:{line}: {name} is undocumented: see _compat/__init__.py" for path, line, name in sorted(found)]


if __name__ == "__main__":
    sys.exit("\n".join(complaints()) or None)
