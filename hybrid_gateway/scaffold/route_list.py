"""The list of routes of a project, to which an app's are added."""

from __future__ import annotations

import libcst as cst

from hybrid_gateway.scaffold.python_source import NEWLINE, PythonSource, string_value


def add_include(data: bytes, path: str, module: str, name: str) -> bytes | None:
    """Return the module with ``Include(path, module, name=name)`` at the end of ``routes``.

    The module as it is where it has that; ``None`` where ``routes`` is no plain list.
    """
    source = PythonSource(data)
    found = [entry for entry in source.assignments() if entry.name == "routes" and not entry.is_nested]
    if not found or not isinstance(found[-1].value, cst.List):
        return None
    entry, value = found[-1], found[-1].value
    calls = [element.value for element in value.elements if isinstance(element.value, cst.Call)]
    if {string_value(argument.value) for call in calls for argument in call.args} & {module, f"{module}.routes"}:
        return data
    text = f'Include("{path}", "{module}", name="{name}")'
    close = source.text.rindex("]", entry.value_start, entry.end)
    if not value.elements:
        source.insert(entry.value_start + 1, text)
    elif NEWLINE.search(source.text, entry.value_start, close) is None:
        has_comma = isinstance(value.elements[-1].comma, cst.Comma)
        source.insert(close, f" {text}" if has_comma else f", {text}")
    else:
        start, end = source.span(value.elements[-1])
        if not isinstance(value.elements[-1].comma, cst.Comma):
            source.insert(end, ",")
        line = NEWLINE.search(source.text, end)
        indentation = source.indentation(start) or "    "
        source.insert(line.end() if line is not None and line.end() <= close else close, f"{indentation}{text},\n")
    _import_include(source)
    return source.result()


def _import_include(source: PythonSource) -> None:
    """Import ``Include``, unless it is: into the statement that imports of the package already, where there is one."""
    last = 0
    for line in source.module.body:
        if not isinstance(line, cst.SimpleStatementLine):
            continue
        for node in line.body:
            if isinstance(node, cst.Import | cst.ImportFrom):
                last = source.span(node)[1]
            elif isinstance(node, cst.Expr) and not last:
                last = source.span(node)[1]  # the docstring
            if _is_of_package(node):
                assert isinstance(node, cst.ImportFrom) and not isinstance(node.names, cst.ImportStar)
                if all(alias.name.value != "Include" for alias in node.names):
                    source.insert(source.span(node.names[0])[0], "Include, ")
                return
    statement = "from hybrid_gateway import Include\n"
    if last:
        source.insert_line_after(last, statement)
    else:
        source.insert(0, statement)


def _is_of_package(node: cst.BaseSmallStatement) -> bool:
    return (
        isinstance(node, cst.ImportFrom)
        and isinstance(node.module, cst.Name)
        and node.module.value == "hybrid_gateway"
        and not isinstance(node.names, cst.ImportStar)
    )
