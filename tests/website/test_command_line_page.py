"""The page of the command line has every command of the package, with every option."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

from command_line import command_names, parser_of
from website.generated_pages import command_line_page

from hybrid_gateway import __main__, management

PAGE = command_line_page()


def test_every_command_is_there() -> None:
    folder = Path(management.__path__[0])
    modules = {path.stem for path in (folder / "commands").glob("*.py")} - {"__init__", "gateway"}
    subcommands = {path.stem for path in (folder / "subcommands").glob("*.py")} - {"__init__"}
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert len(titles) == len(command_names()) >= len(modules) + len(subcommands) + len(__main__.COMMANDS)
    assert {"python -m hybrid_gateway init", "python -m hybrid_gateway doctor", "startapi", "runserver"} <= set(titles)
    assert modules <= set(titles)


@pytest.mark.parametrize("command", command_names())
def test_every_option_is_told_with_what_it_is_for(command: str) -> None:
    part = PAGE.partition(f"usage: {command} ")[2].partition("\n## ")[0]
    for action in parser_of(command)._actions:
        assert action.help, f"{command}: {action.dest} says nothing"
        wanted = action.option_strings or action.choices or [action.metavar or action.dest]
        assert all(str(text) in part for text in wanted), wanted


def test_the_command_in_front_of_django_tells_its_options_without_libcst(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "libcst", None)
    with pytest.raises(SystemExit):
        __main__.main(["init", "--help"])
    assert "--dry-run" in capsys.readouterr().out
