"""The usual query, read fast: each of its names is asked for, none comes twice, and nothing in it is encoded.

How this works: a function is generated that reads the bytes of such a query without a list of pairs and without a dict.
It converts values by the readers of ``text_converters.py``, and whole numbers as they do. Whatever it does not expect,
an error among it, it leaves to the general reader, so that nobody can tell the two apart but by the time they take.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hybrid_gateway.binding.text_converters import TextType
from hybrid_gateway.request.head_parsing import max_fields

MAX_PARAMETERS = 8  # each pair is compared with one name after the other


class UsualParameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter as generated code has it."""

    variable: str
    wire_name: str
    prefix: str  # the name of the bytes that its pair begins with
    kind: TextType
    read: str  # the name of what makes a value of text, or raises ValidationError
    default: str | None  # an expression; None where it is required

    def conversion(self, otherwise: str) -> list[str]:
        """Return the branches for bytes that become a value; elsewhere, and where they do not, ``otherwise`` runs."""
        name, kind = self.variable, self.kind
        if kind.is_simple_int:
            lines = [f"elif {name}.isdigit():", "    try:", f"        {name} = int({name})"]
            return [
                *lines,
                f"    except ValueError: {otherwise}",
                *(f"    {line}" for line in kind.bounded(name, otherwise)),
            ]
        plain = f"{name}.isalnum() or ({name}.isascii() and {name}.find(b'%') < 0 and {name}.find(b'+') < 0)"
        if kind.is_simple_text:
            return [f"elif {plain}:", f"    {name} = {name}.decode()"]
        lines = [f"elif {plain}:", "    try:", f"        {name} = {self.read}({name}.decode())"]
        return [*lines, f"    except invalid: {otherwise}"]


def is_usual(parameters: Sequence[UsualParameter]) -> bool:
    """Return whether a query of these parameters can be read fast."""
    most = max_fields()
    return (
        len(parameters) <= MAX_PARAMETERS
        and (most is None or len(parameters) <= most)
        and all(
            parameter.kind.is_ours
            and not parameter.kind.many
            and parameter.wire_name.isascii()
            and not set("%+&=").intersection(parameter.wire_name)
            for parameter in parameters
        )
    )


def usual_lines(parameters: Sequence[UsualParameter], otherwise: str) -> list[str]:
    """Return the lines that fill the variables, or end by the statement ``otherwise``."""
    lines = ["raw = ctx.raw_query", " = ".join([*(parameter.variable for parameter in parameters), "None"])]
    lines.append("for pair in raw.split(b'&') if raw else ():")
    word = "if"
    for parameter in parameters:
        variable, start = parameter.variable, len(parameter.wire_name) + 1
        found = f"{variable} is None and pair.startswith({parameter.prefix})"
        lines.append(f"    {word} {found}: {variable} = pair[{start}:]")
        word = "elif"
    lines.append(f"    else: {otherwise}")
    for parameter in parameters:
        absent = otherwise if parameter.default is None else f"{parameter.variable} = {parameter.default}"
        lines += [f"if {parameter.variable} is None: {absent}", *parameter.conversion(otherwise)]
        lines.append(f"else: {otherwise}")
    return lines
