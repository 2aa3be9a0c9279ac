"""The gates of the house: each is a function from the sources of the package to its findings, lines for the reader.

``scripts/house.py`` lists them, counts them, and holds them to the limits of pyproject.toml.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fence import complaints as undocumented_names

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "hybrid_gateway"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Graph = dict[str, set[str]]

RIDDLES = re.compile(r"(What|Who|Whose|Why|How|Where|Whether|The same)\b")
"""A docstring that opens with one of these asks a question, or leans on its neighbour, which may move."""

SHARED_NAMES = {"__init__", "admin", "apps", "models", "routes"}
"""Names of modules that Django, or our own convention, gives to many."""

SHARED_FOLDERS = {"commands", "migrations", "templatetags"}
"""Folders whose modules have the names that users type."""


@dataclass(frozen=True)
class Source:
    """One file of the package."""

    root: Path
    """Of the repository."""
    path: Path
    """Below the root."""
    text: str

    @cached_property
    def module(self) -> str:
        """The dotted name; that of a package is without ``__init__``."""
        return ".".join(self.path.with_suffix("").parts).removesuffix(".__init__")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def tokens(self) -> list[tokenize.TokenInfo]:
        return list(tokenize.generate_tokens(io.StringIO(self.text).readline))

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in self.nodes if isinstance(node, Function)]

    def at(self, node: ast.stmt | int) -> str:
        return f"{self.path}:{node if isinstance(node, int) else node.lineno}"


def read_sources(root: Path = ROOT, package: str = PACKAGE) -> list[Source]:
    """Read every module of the package but Django's migrations."""
    paths = sorted(path for path in (root / package).rglob("*.py") if "migrations" not in path.parts)
    return [Source(root, path.relative_to(root), path.read_text(encoding="utf-8")) for path in paths]


def house_config(root: Path = ROOT) -> dict[str, Any]:
    """Return the table ``[tool.house]``."""
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["house"]
    return table


# --- imports ---------------------------------------------------------------------------------------------------------


def imports_of(source: Source, modules: set[str]) -> Iterator[tuple[ast.stmt, str]]:
    """Yield each import of a module of ``modules``, wherever it is: in a function and for type checkers as well."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = sorted({name if name in modules else node.module for name in dotted})
        else:
            continue
        for target in targets:
            if target in modules and target != source.module:
                yield node, target


def import_graph(sources: list[Source]) -> Graph:
    """Return what each module imports of the package."""
    modules = {source.module for source in sources}
    return {source.module: {target for _, target in imports_of(source, modules)} for source in sources}


def reachable(graph: Graph, start: str) -> set[str]:
    """Return everything that ``start`` leads to; ``start`` itself where it is on a circle."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += graph[node]
    return seen


def circles_of(graph: Graph) -> list[list[str]]:
    """Return the groups of nodes that all lead to one another."""
    below = {node: reachable(graph, node) for node in graph}
    groups = {tuple(sorted(other for other in below[node] if node in below[other])) for node in graph}
    return sorted(list(group) for group in groups if group)


# --- gates -----------------------------------------------------------------------------------------------------------


def circles(sources: list[Source]) -> list[str]:
    """No module imports itself by way of others."""
    return [" <-> ".join(circle) for circle in circles_of(import_graph(sources))]


def names(sources: list[Source]) -> list[str]:
    """No two modules have one file name."""
    homes = defaultdict(list)
    for source in sources:
        if source.path.stem not in SHARED_NAMES and source.path.parent.name not in SHARED_FOLDERS:
            homes[source.path.stem].append(str(source.path))
    return [" and ".join(paths) + " have one name" for paths in homes.values() if len(paths) > 1]


def file_length(sources: list[Source], most: int = 400) -> list[str]:
    """No file has more than 400 lines."""
    return [f"{source.path}: {source.lines} lines" for source in sources if source.lines > most]


def length_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def function_length(sources: list[Source], most: int = 60) -> list[str]:
    """No function has more than 60 lines."""
    found = [(source, function) for source in sources for function in source.functions]
    return [f"{source.at(f)}: {f.name}() has {length_of(f)} lines" for source, f in found if length_of(f) > most]


def docstrings(sources: list[Source]) -> list[str]:
    """No docstring opens with a question or with "The same"."""
    return [
        f"{source.at(node) if node is not source.tree else source.path}: {text.partition(chr(10))[0]}"
        for source in sources
        for node, text in docstrings_of(source)
        if RIDDLES.match(text)
    ]


def docstrings_of(source: Source) -> Iterator[tuple[Any, str]]:
    for node in source.nodes:
        if isinstance(node, ast.Module | ast.ClassDef | Function) and (text := ast.get_docstring(node)):
            yield node, text


def any_tokens(sources: list[Source]) -> list[str]:
    """``Any`` stands for what users hand us, and for nothing else."""
    return [
        source.at(token.start[0])
        for source in sources
        for token in source.tokens
        if token.type == tokenize.NAME and token.string == "Any"
    ]


def type_ignores(sources: list[Source]) -> list[str]:
    """Type checkers are told to look away no more often than now."""
    return [
        f"{source.at(token.start[0])}: {token.string}"
        for source in sources
        for token in source.tokens
        if token.type == tokenize.COMMENT and "type: ignore" in token.string
    ]


def private_functions(source: Source) -> list[Function]:
    return [f for f in source.functions if f.name.startswith("_") and not f.name.startswith("__")]


def one_caller(sources: list[Source]) -> list[str]:
    """A private function with one caller is a part that is worth a name; the fewer, the better."""
    return [
        f"{source.at(f)}: {f.name}() has one caller and {length_of(f)} lines" for source, f in _with_one_caller(sources)
    ]


def one_caller_short(sources: list[Source]) -> list[str]:
    """A private function with one caller saves five lines there, or a level of nesting; else it is written out."""
    found = [(source, f) for source, f in _with_one_caller(sources) if _lines_of_body(f) < 5]
    return [
        f"{source.at(f)}: {f.name}() has one caller, and {_lines_of_body(f)} lines in its body" for source, f in found
    ]


def _with_one_caller(sources: list[Source]) -> Iterator[tuple[Source, Function]]:
    """Yield what is called in one place, and used nowhere else: what is handed on or decorated has to be a function."""
    for source in sources:
        uses: Counter[str] = Counter()
        calls: set[str] = set()
        for node in source.nodes:
            if isinstance(node, ast.Name):
                uses[node.id] += 1
            elif isinstance(node, ast.Attribute):
                uses[node.attr] += 1
            elif isinstance(node, ast.ImportFrom):
                uses.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Call):
                calls.add(getattr(node.func, "id", getattr(node.func, "attr", "")))
        names = [function.name for function in source.functions]
        yield from (
            (source, function)
            for function in private_functions(source)
            if uses[function.name] == 1 and function.name in calls and not function.decorator_list
            if names.count(function.name) == 1  # else one overrides the other
        )


def _lines_of_body(function: Function) -> int:
    body = function.body[1 if ast.get_docstring(function) else 0 :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def local_imports(sources: list[Source], allowed: dict[str, str] | None = None) -> list[str]:
    """A function imports modules of ours only for a reason in pyproject.toml, ``[tool.house.local-imports]``."""
    modules = {source.module for source in sources}
    reasons: dict[str, str] = house_config()["local-imports"] if allowed is None else allowed
    found: dict[str, str] = {}
    for source in sources:
        top_level = set(source.tree.body)
        for node, target in imports_of(source, modules):
            if node not in top_level and not _is_for_type_checkers(source, node):
                found.setdefault(f"{source.module} -> {target}", source.at(node))
    missing = [f"{place}: {arrow}" for arrow, place in found.items() if not reasons.get(arrow)]
    return missing + [f"pyproject.toml: {arrow} is allowed, and not there" for arrow in reasons if arrow not in found]


def _is_for_type_checkers(source: Source, node: ast.stmt) -> bool:
    guards = [branch for branch in source.tree.body if isinstance(branch, ast.If)]
    return any(node in branch.body for branch in guards if "TYPE_CHECKING" in ast.dump(branch.test))


def silent_except(sources: list[Source]) -> list[str]:
    """Whoever catches every exception raises, reports or uses it, or says in a comment why not."""
    return [
        f"{source.at(handler.lineno)}: every exception is swallowed, and no comment says why"
        for source in sources
        for attempt in source.nodes
        if isinstance(attempt, ast.Try) and not isinstance(attempt.body[0], ast.Raise)
        for handler in attempt.handlers
        if _catches_all(handler) and not _uses_error(handler) and not _has_comment(source, handler)
    ]


def _catches_all(handler: ast.ExceptHandler) -> bool:
    kinds = ast.walk(handler.type) if handler.type else [ast.Name("Exception")]
    return any(isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException") for kind in kinds)


def _uses_error(handler: ast.ExceptHandler) -> bool:
    for node in ast.walk(ast.Module(handler.body, [])):
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Name) and node.id == handler.name):
            return True
        if isinstance(node, ast.Attribute) and node.attr in ("debug", "info", "warning", "error", "exception"):
            return True
    return False


def _has_comment(source: Source, handler: ast.ExceptHandler) -> bool:
    lines = range(handler.lineno, (handler.end_lineno or handler.lineno) + 1)
    return any(token.type == tokenize.COMMENT and token.start[0] in lines for token in source.tokens)


def fence(sources: list[Source]) -> list[str]:
    """Undocumented names of others stand in ``_compat`` alone."""
    return undocumented_names(sources[0].root / PACKAGE)


Gate = Callable[[list[Source]], list[str]]

GATES: dict[str, Gate] = {
    "circles": circles,
    "names": names,
    "file-length": file_length,
    "function-length": function_length,
    "docstrings": docstrings,
    "local-imports": local_imports,
    "fence": fence,
    "silent-except": silent_except,
    "any": any_tokens,
    "type-ignores": type_ignores,
    "one-caller": one_caller,
    "one-caller-short": one_caller_short,
}
