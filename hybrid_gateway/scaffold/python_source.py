"""A Python file whose statements are found by libcst, and into whose text edits are spliced.

How this works: libcst says where things stand, and nothing else is made of its tree. What no edit touches stays as
it is byte for byte: comments, ends of lines, tabs, the encoding and its mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

NEWLINE = re.compile(r"\r\n|\n|\r")


class Assignment(NamedTuple):
    """A statement that gives a name a value: ``NAME = …``, ``NAME: … = …`` or ``NAME += …``."""

    name: str
    value: cst.BaseExpression
    operator: str  # "=" or "+="
    is_nested: bool  # below an `if`, in a class or a function
    start: int
    value_start: int
    end: int


class PythonSource:
    """The text of a module. Edits are remembered, and applied by :meth:`result` all at once."""

    def __init__(self, data: bytes) -> None:
        wrapper = MetadataWrapper(cst.parse_module(data), unsafe_skip_copy=True)
        self.module = wrapper.module
        self.positions = wrapper.resolve(PositionProvider)
        self.text = data.decode(self.module.encoding)
        self.newline = self.module.default_newline
        self._lines = [0, *(match.end() for match in NEWLINE.finditer(self.text))]
        self._edits: list[tuple[int, int, str]] = []

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return the offsets at which a node starts and ends, without parentheses around it."""
        place = self.positions[node]
        start, end = place.start, place.end
        return self._lines[start.line - 1] + start.column, self._lines[end.line - 1] + end.column

    def assignments(self) -> Iterator[Assignment]:
        """Yield every assignment to one plain name, in the order of the file."""
        yield from self._assignments_in(self.module, is_nested=False)

    def _assignments_in(self, node: cst.CSTNode, *, is_nested: bool) -> Iterator[Assignment]:
        for child in node.children:
            if isinstance(child, cst.SimpleStatementLine):
                yield from (found for part in child.body if (found := self._assignment(part, is_nested=is_nested)))
            elif isinstance(child, cst.BaseCompoundStatement | cst.BaseSuite | cst.Else | cst.Finally):
                yield from self._assignments_in(child, is_nested=True)

    def _assignment(self, node: cst.BaseSmallStatement, *, is_nested: bool) -> Assignment | None:
        before: cst.CSTNode  # what the operator stands behind
        operator = "="
        if isinstance(node, cst.Assign) and len(node.targets) == 1:
            before = target = node.targets[0].target
        elif isinstance(node, cst.AnnAssign):
            before, target = node.annotation.annotation, node.target
        elif isinstance(node, cst.AugAssign) and isinstance(node.operator, cst.AddAssign):
            before, target, operator = node.target, node.target, "+="
        else:
            return None
        if not isinstance(target, cst.Name) or node.value is None:
            return None
        start, end = self.span(node)
        after_operator = self.text.index(operator, self.span(before)[1]) + len(operator)
        gap = re.compile(r"(?:\s|\\\r?\n)*").match(self.text, after_operator)
        value_start = gap.end() if gap is not None else after_operator
        return Assignment(target.value, node.value, operator, is_nested, start, value_start, end)

    # --- edits -------------------------------------------------------------------------------------------------------

    def replace(self, start: int, end: int, text: str) -> None:
        """Put ``text`` where the text between two offsets was, with the ends of lines that the file has."""
        self._edits.append((start, end, text.replace("\n", self.newline)))

    def insert(self, offset: int, text: str) -> None:
        """Put ``text`` before the character at ``offset``."""
        self.replace(offset, offset, text)

    def insert_line_after(self, offset: int, text: str) -> None:
        """Put whole lines after the one that ``offset`` is in."""
        found = NEWLINE.search(self.text, offset)
        if found is None:
            self.insert(len(self.text), "\n" * bool(self.text) + text)
        else:
            self.insert(found.end(), text)

    def indentation(self, offset: int) -> str:
        """Return what the line of ``offset`` begins with."""
        line = next(start for start in reversed(self._lines) if start <= offset)
        return self.text[line:offset] if not self.text[line:offset].strip() else ""

    def result(self) -> bytes:
        """Return the file with all edits in it."""
        text = self.text
        for start, end, replacement in sorted(self._edits, key=lambda edit: edit[:2], reverse=True):
            text = text[:start] + replacement + text[end:]
        return text.encode(self.module.encoding)


def string_value(node: cst.BaseExpression | None) -> str | None:
    """Return the text of a plain string literal, else ``None``."""
    if isinstance(node, cst.SimpleString | cst.ConcatenatedString):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None
