"""The catalogue of ids, and ``manage.py gateway explain``."""

import re
import sys
from pathlib import Path
from subprocess import run as run_process

import pytest
from django import VERSION
from django.core import checks as core
from django.core.management import CommandError, call_command

from hybrid_gateway.checks.messages import report
from hybrid_gateway.management.subcommands.explain import DJANGO_LABELS
from hybrid_gateway.problems import DOCS_URL, catalogue, link
from hybrid_gateway.problems.catalogue import find


@pytest.fixture
def explain(capsys):
    def run(*ids):
        call_command("gateway", "explain", *ids)
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("problem", catalogue.catalogue().values(), ids=lambda problem: problem.id)
def test_a_problem_says_all_that_it_should(problem):
    assert problem.title[-1] not in ".:" and len(problem.title) <= 120
    assert all(len(text) > 20 for text in (problem.wrong, problem.why, problem.remedy)), problem
    assert bool(problem.hint) is (problem.is_check or problem.id[0] == "D")


@pytest.mark.parametrize("problem", catalogue.catalogue().values(), ids=lambda problem: problem.id)
def test_a_page_reads_whole_without_values(problem):
    prose = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", problem.page())
    assert not re.search(r"\{\w*[}:!]|\{\{|\}\}|<>", prose)
    filled = re.sub(r"\{\{|\}\}|\{\w+(!r)?:[^{}]*\}", "", problem.remedy) if problem.hint else ""
    assert not re.search(r"^>.*\{", filled, re.MULTILINE), "Say behind a colon what stands in the page."


def test_what_a_message_fills_in_is_words_in_the_page():
    assert 'Require "<the package>>=<the version that the message names>".' in find("W025").page()
    assert "\\<the package>" in find("W025").page(less_than="\\<")  # or Markdown takes it for HTML
    assert 'in DATABASES["<the alias>"]' in find("D022").page() and '{"ROUTES": ' in find("D005").page()
    assert find("D022").hint.format(alias="default").count("DATABASES['default']") == 1


def test_an_id_is_found_as_messages_show_it():
    assert find("E001") is find("hybrid_gateway.E001") is find(" hybrid_gateway.e001") is not None
    assert find("E999") is find("") is find("nonsense") is None


@pytest.mark.parametrize(
    "text",
    [
        "wrong\n\n### Why\n\nwhy\n",
        "wrong\n\n### Remedy\n\nx\n\n### Why\n\nx\n",
        "### Why\n\nwhy\n\n### Remedy\n\nremedy\n",
    ],
    ids=["no remedy", "another order", "nothing wrong"],
)
def test_a_page_that_lacks_a_part_is_told(tmp_path, monkeypatch, text):
    (tmp_path / "area.md").write_text(f"# Area\n\n## X001 Title\n\n{text}")
    monkeypatch.setattr(catalogue, "PAGES", tmp_path)
    with pytest.raises(ValueError, match=r"area\.md: X001"):
        catalogue.catalogue.__wrapped__()


def test_the_hint_of_a_check_is_filled_in_and_ends_with_the_link():
    message = report("W001", "There are media files.", prefix="/media/")
    assert message.hint == f'Add "/media/" to HYBRID_GATEWAY["ALLOWED_DJANGO_ROUTES"].\n{link("W001")}'
    assert link("W001") == f"{DOCS_URL}problems/W001/"


def test_explain_prints_pages(explain):
    pages = explain("hybrid_gateway.W001", "e041")
    assert pages.index("# W001 The URLconf serves media files") < pages.index("# E041 Middleware")
    assert "## Why" in pages and "## Remedy" in pages and link("E041") in pages


def test_explain_lists_every_id_below_its_area(explain):
    listed = explain()
    assert all(f"  {problem.id}  {problem.title}" in listed for problem in catalogue.catalogue().values())
    assert listed.index("System checks: errors") < listed.index("  E001  ")


@pytest.mark.parametrize(("given", "told"), [("E00", "Did you mean E0"), ("nonsense", "`gateway explain` lists all")])
def test_an_unknown_id_is_told(explain, given, told):
    with pytest.raises(CommandError, match=f"No message has the id {given}.*{told}"):
        explain(given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("security.W012", f"Django's: https://docs.djangoproject.com/en/{VERSION[0]}.{VERSION[1]}/ref/checks/"),
        ("axes.W001", "another package or app, 'axes'"),
    ],
)
def test_an_id_of_somebody_else_s_check_is_told_whose(explain, given, told):
    assert f"{given} is a system check of {told}" in explain(given)


def test_all_labels_of_django_s_own_checks_are_known():
    folders = (
        Path(core.__file__).parent,
        Path(core.__file__).parents[2] / "contrib",
        Path(core.__file__).parents[2] / "db",
    )
    found = {label for folder in folders for path in folder.rglob("*.py")
             for label in re.findall(r"""id=["'](\w+)\.[EWI]\d{3}["']""", path.read_text())}  # fmt: skip
    assert len(found) > 10 and found <= DJANGO_LABELS


def test_no_page_is_read_before_it_is_asked_for():
    code = "import sys, hybrid_gateway.exceptions; print('hybrid_gateway.problems.catalogue' in sys.modules)"
    done = run_process([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
