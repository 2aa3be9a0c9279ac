"""Blocks in other languages are at least what they say they are, and whatever does not run says why."""

import configparser
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from django.template import Engine

from tests.docs.markdown_blocks import DOCS, MADE, ROOT, Block, pages, read
from tests.docs.terminal import read_install
from tests.docs.test_followed import FOLLOWED
from tests.test_docs import PAGES

BLOCKS = [block for page in pages() for block in page.blocks]
PROBLEM_PAGES = sorted((ROOT / "hybrid_gateway" / "problems" / "pages").glob("*.md"))
NOT_RUN = 17
"""So many blocks may stay unrun, each with its reason; make it fewer."""

DOCKERFILE = re.compile(r"(FROM|ENV|WORKDIR|COPY|RUN|USER|EXPOSE|CMD|ENTRYPOINT|ARG|HEALTHCHECK|STOPSIGNAL|#) ?")


def read_nginx(text: str) -> None:
    """Nothing but statements that end with a semicolon, and blocks that are closed."""
    code = re.sub(r"#.*", "", text)
    assert code.count("{") == code.count("}")
    for line in filter(None, map(str.strip, code.splitlines())):
        assert line.endswith((";", "{", "}")), line


def read_javascript(text: str) -> None:
    if shutil.which("node"):
        subprocess.run(["node", "--input-type=module", "--check"], input=text, text=True, check=True)


def read_dockerfile(text: str) -> None:
    for line in text.replace("\\\n", " ").splitlines():
        assert not line.strip() or DOCKERFILE.match(line), line


def read_ini(text: str) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)


def read_template(text: str) -> None:
    Engine(libraries={"static": "django.templatetags.static"}).from_string(text)


PARSERS: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "js": read_javascript,
    "nginx": read_nginx,
    "dockerfile": read_dockerfile,
    "ini": read_ini,
    "html": read_template,
    "apache": lambda text: [re.fullmatch(r"</?\w+.*>|\w+ .+|", line.strip())[0] for line in text.splitlines()],  # type: ignore[index]
}
ELSEWHERE = {"python", "sh", "diff"}  # run by tests/test_docs.py and test_followed.py
PROSE = {"", "text", "console", "py", "ts", "jsx", "http"}  # what others write or answer, and is only shown
OTHERS = [block for block in BLOCKS if block.language in PARSERS and block.not_run is None]


@pytest.mark.parametrize("block", OTHERS, ids=lambda block: block.place)
def test_a_block_can_be_read(block: Block) -> None:
    PARSERS[block.language](block.text)


def test_no_page_is_forgotten() -> None:
    """Every Markdown file is a page, and the blocks of each are run or parsed by one of the tests."""
    known = {page.path for page in pages()}
    written = {path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in MADE}
    assert known == {ROOT / "README.md", *written}
    run = {page.path for page in (*PAGES, *FOLLOWED)} | {block.page for block in OTHERS}
    with_code = {page.path for page in pages() if any(block.language not in PROSE for block in page.blocks)}
    assert not [str(path.relative_to(ROOT)) for path in with_code - run]


STRUCT = re.compile(r"^class \w+\((?:\w+\.)?(?:Model)?Struct\b.*\n(?:    .*\n|\n)+", re.MULTILINE)


def test_structs_have_no_literal_lists_which_linters_refuse() -> None:
    """RUF012 of ruff does not know that msgspec copies them."""
    blocks = (block for block in BLOCKS if block.language == "python")
    found = [block.place for block in blocks for text in STRUCT.findall(block.text) if re.search(r"= [\[{]", text)]
    assert not found


def test_every_language_is_known() -> None:
    unknown = {block.language for block in BLOCKS} - set(PARSERS) - ELSEWHERE - PROSE
    assert not unknown


TYPED = re.compile(
    r"^(?:\$ |\w+=\S+ )*(?:python3?|pip3?|pipx|uvx?|poetry|npm|npx|django-admin|(?:\./)?manage\.py|curl|docker|heroku|"
    r"git|gunicorn|uvicorn|daphne|hypercorn|granian|scripts/\w+) |^(?:from \S+ )?import \S|^class |^(?:async )?def ",
    re.MULTILINE,
)


def test_what_is_to_be_typed_is_not_passed_off_as_text() -> None:
    """Commands are ``sh`` and code is ``python``, which are run, or say why not."""
    shown = (block for block in BLOCKS if block.language in ("", "text", "console") and block.not_run is None)
    assert not [block.place for block in shown if TYPED.search(block.text)]


def test_what_the_pages_of_problems_install_is_there_to_install() -> None:
    lines = [
        line
        for path in PROBLEM_PAGES
        for block in read(path).blocks
        if block.language == "shell"
        for line in block.text.splitlines()
        if line.startswith("pip install")
    ]
    assert len(lines) >= 3
    for line in lines:
        read_install(line, line)


def test_what_does_not_run_is_little() -> None:
    assert sum(block.not_run is not None for block in BLOCKS) <= NOT_RUN


def test_links_of_the_readme_lead_to_pages() -> None:
    base = "https://hybrid-gateway.github.io/hybrid_gateway/"
    text = (ROOT / "README.md").read_text()
    assert not re.findall(r"\]\((?!https://)", text), "PyPI shows the README: links are whole"
    for path in re.findall(rf"\({base}([^)#]+)", text):
        assert (DOCS / path / "index.md").exists() or Path(f"{DOCS / path}.md").exists(), path
