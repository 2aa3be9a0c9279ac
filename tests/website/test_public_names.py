"""The reference has every public name, and each says what it is for."""

from __future__ import annotations

import ast
import re
import textwrap

import pytest

pytest.importorskip("sphinx")

from website import public_names
from website.api_reference import home_of, is_known, module_page
from website.public_names import CHAPTERS, NOT_PUBLIC, PublicName, modules_with_all
from website.raised import raised_by
from website.repository import DOCS, ROOT

from hybrid_gateway import exceptions
from hybrid_gateway.gateway.options import apply_plugins, gateway_options

# svcs imports a test client that it does not need
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx`")

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEEDS = {"contrib.allauth": "allauth", "contrib.dishka": "dishka", "contrib.svcs": "svcs", "workers": "uvicorn_worker"}
NEEDS |= {
    "contrib.drf_bridge": "rest_framework",
    "contrib.drf": "rest_framework",
    "contrib.simplejwt": "rest_framework_simplejwt",
}
MODULES = [(short, given) for chapter in CHAPTERS.values() for short, given in chapter.items()]


def names(short: str, given: tuple[str, ...]) -> list[PublicName]:
    if short in NEEDS:
        pytest.importorskip(NEEDS[short])
    return public_names.names_of(short, given)


def parsed(block: str) -> ast.Module:
    try:
        return ast.parse(textwrap.dedent(block))
    except SyntaxError:  # an outline, which no test runs
        return ast.Module(body=[], type_ignores=[])


def test_every_module_that_lists_its_names_is_in_the_reference_or_said_to_be_private():
    listed = {short for short, given in MODULES if not given}
    assert set(modules_with_all()) == listed | NOT_PUBLIC.keys(), "add it to CHAPTERS or NOT_PUBLIC of public_names.py"


@pytest.mark.parametrize(("short", "given"), MODULES, ids=[short or "hybrid_gateway" for short, _ in MODULES])
def test_every_name_says_what_it_is_for(short, given):
    assert [name.dotted for name in names(short, given) if not (name.documentation or name.is_of_others)] == []


def test_what_documents_import_is_public():
    imported = set()
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for node in ast.walk(parsed(block)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hybrid_gateway"):
                    imported |= {(node.module, alias.name) for alias in node.names}
    public = {
        (name.module, name.name) for short, given in MODULES if short not in NEEDS for name in names(short, given)
    }
    modules = {module.rpartition(".")[::2] for module, _ in public}
    assert {pair for pair in imported - public - modules if not pair[0].startswith("hybrid_gateway.contrib")} == set()


def test_a_page_has_an_entry_or_a_reference_for_each_name():
    page = module_page("hybrid_gateway", names("", ()))
    for name in names("", ()):
        assert re.search(rf":: (hybrid_gateway\.)?{name.name}$|``{name.name}``", page, re.MULTILINE), name
    assert home_of(PublicName("hybrid_gateway", "AuthenticationScheme")) == "hybrid_gateway.auth.AuthenticationScheme"


def test_a_reference_to_what_is_not_there_is_found():
    assert is_known("hybrid_gateway.gateway.application.Gateway") and is_known("django.http.HttpRequest")
    assert is_known("reverse_url", "hybrid_gateway.Gateway") and is_known("collections.abc.Callable")
    assert not is_known("hybrid_gateway.Gatewey") and not is_known("revers_url", "hybrid_gateway.Gateway")


def test_exceptions_are_read_from_the_source():
    assert raised_by(exceptions.check_status) == [ValueError]
    assert raised_by(exceptions.reason) == []
    assert raised_by(apply_plugins) == raised_by(gateway_options) == [exceptions.ConfigurationError]
