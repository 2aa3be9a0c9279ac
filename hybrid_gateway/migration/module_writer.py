"""A :class:`~.form.Move` as a module of Python, laid out as ``ruff format`` would.

How this works: every text of the form is an expression on one line. One that is too long is parsed, and its outermost
brackets are opened, an entry per line, as often as it takes; so the form need not know how wide a line is.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator

from hybrid_gateway.migration.form import ClassForm, FieldForm, FunctionForm, Move, Names, TextForm

WIDTH = 88
"""Columns of a line: the default of ruff and of black."""
_INDENT = "    "


def write_module(move: Move, first_party: Iterable[str] = ()) -> str:
    """Return the text of the module; ``first_party`` are packages of the project, whose imports stand last."""
    blocks: list[list[str]] = []
    if move.constants:
        blocks.append([line for constant in move.constants for line in _field(constant, 0)])
    blocks += [_function(function, 0) for function in move.functions]
    blocks += [_class(struct) for struct in move.structs]
    if move.styles:
        blocks.append([line for style in move.styles for line in _field(style, 0)])
    blocks += [_view(view) for view in move.views]
    listed = ", ".join(move.listed)
    blocks.append(_broken(f"routes = [{listed}]", 0))
    body = "\n\n\n".join("\n".join(block) for block in blocks)
    imports = "\n".join(_imports(move.names, body, set(first_party)))
    head = f'"""{move.doc}"""\n\n' if move.doc else ""
    blank = "\n" if move.constants else "\n\n"
    return f"{head}{imports}\n{blank}{body}\n"


# --- imports -------------------------------------------------------------------------------------------------------


def _imports(names: Names, body: str, first_party: set[str]) -> Iterator[str]:
    """Yield the imports that ``body`` uses: the standard library's, others', the project's own."""
    words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", _code_of(body)))
    modules: dict[int, list[tuple[str, list[str]]]] = {0: [], 1: [], 2: []}
    froms: dict[str, list[str]] = {}
    for local, (module, name) in names.imports.items():
        if local.split(".")[0] not in words:
            continue
        if name:
            froms.setdefault(module, []).append(name if name == local else f"{name} as {local}")
        else:
            modules[_group(module, first_party)].append((module if module == local else f"{module} as {local}", []))
    for module, entries in froms.items():
        modules[_group(module, first_party)].append((module, sorted(entries, key=_import_order)))
    groups = [list(_group_lines(entries)) for entries in modules.values() if entries]
    for number, group in enumerate(groups):
        yield from ([""] if number else [])
        yield from group


def _code_of(body: str) -> str:
    """Return a module without its comments, so that no import stays for the sake of one."""
    return re.sub(r"(?m)^\s*#.*$|  # .*$", "", body)


def _group(module: str, first_party: set[str]) -> int:
    top = module.split(".")[0]
    return 0 if top in sys.stdlib_module_names else 2 if top in first_party else 1


def _import_order(entry: str) -> tuple[int, str]:
    """Order names as isort does: constants, classes, functions."""
    name = entry.split(" ")[0]
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2, name)


def _group_lines(entries: list[tuple[str, list[str]]]) -> Iterator[str]:
    for module, _ in sorted(entry for entry in entries if not entry[1]):
        yield f"import {module}"
    whole = [(module, [name for name in names if " as " not in name]) for module, names in entries if names]
    renamed = [(module, [name]) for module, names in entries for name in names if " as " in name]
    for module, names in sorted([*filter(lambda entry: entry[1], whole), *renamed], key=lambda entry: entry[0]):
        line = f"from {module} import {', '.join(names)}"
        if len(line) <= WIDTH:
            yield line
        else:
            yield from (f"from {module} import (", *(f"{_INDENT}{name}," for name in names), ")")


# --- classes and functions -----------------------------------------------------------------------------------------


def _class(form: ClassForm) -> list[str]:
    arguments = [*form.bases, *(f"{name}={value}" for name, value in form.keywords.items())]
    head = f"class {form.name}({', '.join(arguments)}):"
    if len(head) > WIDTH:
        head = "\n".join([f"class {form.name}(", *(f"{_INDENT}{entry}," for entry in arguments), "):"])
    lines = [*_comments(form.comments, 0), head]
    if form.doc:
        lines += [f'{_INDENT}"""{form.doc}"""']
    lines += [""] if form.doc and form.fields else []
    lines += [line for entry in form.fields for line in _field(entry, 1)]
    for number, method in enumerate(form.methods):
        lines += [""] if number or form.fields or form.doc else []
        lines += _function(method, 1)
    return lines if form.doc or form.fields or form.methods else [*lines, f"{_INDENT}pass"]


def _view(form: ClassForm | FunctionForm | TextForm) -> list[str]:
    if isinstance(form, TextForm):
        return [form.text]
    return _class(form) if isinstance(form, ClassForm) else _function(form, 0)


def _field(form: FieldForm, depth: int) -> list[str]:
    annotated = f"{form.name}: {form.annotation}" if form.annotation else form.name
    text = annotated if form.default is None else f"{annotated} = {form.default}"
    indent = _INDENT * depth
    if form.comment and len(indent + text) + len(form.comment) + 4 <= WIDTH:
        return [f"{indent}{text}  # {form.comment}"]
    return [*_comments([form.comment] if form.comment else [], depth), *_broken(text, depth)]


def _function(form: FunctionForm, depth: int) -> list[str]:
    indent = _INDENT * depth
    head = f"{indent}def {form.name}({', '.join(form.parameters)}) -> {form.returns}:"
    if len(head) > WIDTH:
        inner = f"{indent}{_INDENT}{', '.join(form.parameters)}"
        fits = len(inner) <= WIDTH and not any(entry == "*" for entry in form.parameters)
        rows = [inner] if fits else [f"{indent}{_INDENT}{entry}," for entry in form.parameters]
        head = "\n".join([f"{indent}def {form.name}(", *rows, f"{indent}) -> {form.returns}:"])
    lines = _comments(form.comments, depth)
    lines += [line for decorator in form.decorators for line in _broken(f"@{decorator}", depth)]
    lines.append(head)
    for line in form.body:
        inside = len(line) - len(line.lstrip())
        lines += _broken(line.strip(), depth + 1 + inside // 4) if line.strip() else [""]
    return lines


def _comments(comments: Iterable[str], depth: int) -> list[str]:
    """Return comments as lines that are not too long."""
    indent, lines = _INDENT * depth, []
    for comment in comments:
        line = f"{indent}#"
        for word in comment.split():
            if len(line) + len(word) + 1 > WIDTH and not line.endswith("#"):
                lines.append(line)
                line = f"{indent}#  "
            line += f" {word}"
        lines.append(line)
    return lines


# --- long lines ----------------------------------------------------------------------------------------------------


def _broken(text: str, depth: int) -> list[str]:
    """Return a statement as lines; one that is too long has its brackets opened, the outermost last one first."""
    indent = _INDENT * depth
    if len(indent + text) <= WIDTH or "\n" in text:
        return [indent + line for line in text.split("\n")]
    found = _brackets(text)
    if found is None:
        return [indent + text]
    start, end, entries = found
    opened = [f"{indent}{text[: start + 1]}"]
    is_last = text[end + 1 :] == ""
    if clauses := _clauses(text[start : end + 1]):
        whole = f"{indent}{_INDENT}{' '.join(clauses)}"
        opened += [whole] if len(whole) <= WIDTH else [f"{indent}{_INDENT}{clause}" for clause in clauses]
    else:
        for entry in entries:
            lines = _broken(entry, depth + 1)
            comma = "" if entry.startswith("**") and text.startswith("def ") else ","
            opened += [*lines[:-1], f"{lines[-1]}{comma}"]
    return [*opened, f"{indent}{text[end:]}"] if is_last or len(text[end:]) + len(indent) <= WIDTH else [indent + text]


def _clauses(text: str) -> list[str]:
    """Return what stands in brackets as ``item``, ``for ... in ...``, ``if ...``; empty where it is no such thing."""
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return []
    if not isinstance(node, (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)) or not text.isascii():
        return []
    cuts = [1]
    for part in node.generators:
        cuts.append(text.rindex(" for ", 0, part.target.col_offset) + 1)
        cuts += [text.rindex(" if ", 0, test.col_offset) + 1 for test in part.ifs]
    return [text[at:end].strip() for at, end in zip(cuts, [*cuts[1:], len(text) - 1], strict=True)]


def _brackets(text: str) -> tuple[int, int, list[str]] | None:
    """Return where the last outermost bracket of a statement opens and closes, and its entries."""
    try:
        ast.parse(text.removeprefix("@"))
    except SyntaxError:
        return None
    depth, start, best, entries, last, quote = 0, 0, None, list[str](), 0, ""
    position = 0
    while position < len(text):
        letter = text[position]
        if quote:
            position += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "([{":
            depth += 1
            if depth == 1:
                start, entries, last = position, [], position + 1
        elif letter in ")]}":
            depth -= 1
            if depth == 0:
                tail = text[last:position].strip()
                best = (start, position, [*entries, tail] if tail else entries)
        elif letter == "," and depth == 1:
            entries.append(text[last:position].strip())
            last = position + 1
        position += 1
    return best if best and best[2] else None
