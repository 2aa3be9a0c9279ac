"""System check: context processors that need of a request what only the project's middleware adds to it.

How this works: a processor is a function of a request, and its source says which attributes it reads. One that asks
first whether an attribute is there, or catches that it is not, does without.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.http import HttpRequest
from django.template import engines

from hybrid_gateway.checks.messages import name_routes, report
from hybrid_gateway.checks.missed_middleware import import_or_none
from hybrid_gateway.checks.package import is_ours
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.responses.templates import shows_template

_ALWAYS = {*dir(HttpRequest()), "scope", "session", "user", "auser", "LANGUAGE_CODE"}
_MATCH = "resolver_match"  # which is None, where no URLconf has found a view


def blind_context_processors(endpoints: Iterable[Endpoint]) -> Iterator[CheckMessage]:
    """Yield W044 for each context processor that would fail on routes with a template."""
    pages = [endpoint for endpoint in endpoints if shows_template(endpoint.returns, endpoint.route.options)]
    bare = [page for page in pages if not (page.route.layers.django_middleware or is_ours(page))]
    paths = [path for each in engines.templates.values() for path in each["OPTIONS"].get("context_processors", ())]
    for path in dict.fromkeys(paths) if bare else ():
        read = sorted(_attributes_needed(import_or_none(path)))
        if read:
            shown = " and ".join(f"request.{name}" for name in read)
            message = f"{path} reads {shown}, which it will not find in templates of {name_routes(bare)}."
            yield report("W044", message, attribute=read[0])


def _attributes_needed(processor: Any) -> set[str]:
    """Return the attributes that a processor reads of its request, and that not every request has."""
    try:
        [function] = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(processor)))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return set()  # a class, or one without a source
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) or not function.args.args:
        return set()
    request, nodes = function.args.args[0].arg, list(ast.walk(function))
    tried = [statement for node in nodes if isinstance(node, ast.Try) for statement in node.body]
    caught = {id(node) for statement in tried for node in ast.walk(statement)}
    loads = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)]
    reads = [
        node
        for node in loads
        if isinstance(node.value, ast.Name) and node.value.id == request and id(node) not in caught
    ]
    needed = {node.attr for node in reads} - _ALWAYS - _names_asked_for(nodes, request)
    values, matches = [node.value for node in loads], [node for node in reads if node.attr == _MATCH]
    if matches and all(node in values for node in matches):  # never alone, as in a condition
        needed.add(_MATCH)
    return needed


def _names_asked_for(nodes: Iterable[ast.AST], request: str) -> set[str]:
    """Return the names in ``hasattr(request, "name")`` and ``getattr(request, "name", None)``."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr"):
            match node.args:
                case [ast.Name(id=name), ast.Constant(value=str(attribute)), *_] if name == request:
                    found.add(attribute)
    return found
