"""The files of a project in which servers are started, and the command lines in them.

How this works: files are known by their names. Each has a reader, which yields texts; whether one of them starts a
server is for ``command_lines`` to tell. Data (YAML, TOML, JSON) is walked whatever its schema: what tells of replicas
and of environment variables holds for all that stands below it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from hybrid_gateway.doctor.command_lines import CommandText, Platform, ServerCommand, read_commands

MAX_DEPTH = 8
MAX_ENTRIES = 20_000
MAX_SIZE = 256 * 1024

_SKIPPED = frozenset(
    (
        *(
            "node_modules",
            "venv",
            "env",
            "virtualenv",
            "site-packages",
            "__pycache__",
            "static",
            "staticfiles",
            "media",
        ),
        *("dist", "build", "docs", "doc", "tests", "test", "migrations", "locale", "templates", "examples"),
    )
)
_SHOWN = frozenset((".do", ".ebextensions", ".platform", ".devcontainer"))  # of the hidden folders
_DEVELOPMENT = re.compile(
    r"(^|[/._-])(local|dev|devel|develop|development|devcontainer|test|testing|ci|override|debug|e2e)($|[/._-])"
)


class _Found(Struct, frozen=True):
    """A text as a reader finds it."""

    text: str
    line: int
    name: str = ""
    environment: Mapping[str, str] = {}
    replicas: int = 1


Reader = Callable[[str], Iterable[_Found]]


def find_commands(root: Path) -> list[ServerCommand]:
    """Return every server that files below ``root`` start, those for development last."""
    found: list[ServerCommand] = []
    quantities = _formation(root)
    for path in files_below(root):
        kind = _kind(path)
        if kind is None or path.stat().st_size > MAX_SIZE:
            continue
        platform, reader = kind
        shown = str(path.relative_to(root))
        text = path.read_text(encoding="utf-8", errors="replace")
        if not _SERVER.search(text):  # PERF: to read all YAML of a project with many fixtures took five seconds
            continue
        here: list[ServerCommand] = []
        for entry in reader(text):
            given = CommandText(
                text=entry.text,
                path=path,
                place=f"{shown}:{entry.line}",
                platform=platform,
                environment=entry.environment,
                replicas=quantities.get(entry.name, entry.replicas) if platform == "heroku" else entry.replicas,
                name=entry.name,
                is_for_development=bool(_DEVELOPMENT.search(shown.lower())),
            )
            here += read_commands(given)
        found += _without_branches(here)
    return sorted(found, key=lambda command: (command.is_for_development, command.place))


def _without_branches(commands: list[ServerCommand]) -> Iterator[ServerCommand]:
    """Yield commands, of those that are the same but for their line the first: a script has them in its branches."""
    seen: list[ServerCommand] = []
    for command in commands:
        bare = msgspec.structs.replace(command, given=msgspec.structs.replace(command.given, text="", place=""))
        if bare not in seen:
            seen.append(bare)
            yield command


def files_below(root: Path) -> Iterator[Path]:
    """Yield the files that may be the project's own: none of environments, of what is built, of tests."""
    seen = 0
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        folders[:] = sorted(
            name
            for name in folders
            if depth < MAX_DEPTH
            and name not in _SKIPPED
            and (not name.startswith(".") or name in _SHOWN)
            and not (here / name / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            seen += 1
            if seen > MAX_ENTRIES:
                return
            path = here / name
            if path.is_file():
                yield path


def _formation(root: Path) -> dict[str, int]:
    """Return how many dynos ``app.json`` asks for, by the name of their process."""
    try:
        formation = json.loads((root / "app.json").read_text(encoding="utf-8")).get("formation", {})
        return {name: int(entry.get("quantity", 1)) for name, entry in formation.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


# --- text ------------------------------------------------------------------------------------------------------------


def _logical_lines(text: str) -> Iterator[tuple[str, int]]:
    """Yield lines with those joined that end in a backslash, and the number of the first."""
    joined, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        if line.rstrip().endswith("\\"):
            joined += line.rstrip()[:-1] + " "
            continue
        yield joined + line, start
        joined, start = "", 0
    if joined:
        yield joined, start


def _procfile(text: str) -> Iterator[_Found]:
    for line, number in _logical_lines(text):
        name, colon, command = line.partition(":")
        if colon and re.fullmatch(r"[A-Za-z][\w-]*", name.strip()):
            yield _Found(command, number, name.strip())


def _script(text: str) -> Iterator[_Found]:
    environment: dict[str, str] = {}
    for line, number in _logical_lines(text):
        if export := re.match(r"\s*(?:export\s+)?(\w+)=(\S*)\s*$", line):
            value = export[2].strip("\"'")
            default = re.fullmatch(r"\$\{\w+:?-(.*)\}", value)
            environment[export[1]] = default[1] if default else value
        yield _Found(line.strip().removeprefix("@").removeprefix("-"), number, "", dict(environment))


_SERVER = re.compile(
    r"uvicorn|gunicorn|granian|hypercorn|daphne|waitress|uwsgi|manage\.py|django-admin|hybrid[-_]gateway|celery"
)
_INSTRUCTION = re.compile(r"\s*(FROM|ENV|ARG|CMD|ENTRYPOINT)\s+(.*)", re.IGNORECASE)


def _dockerfile(text: str) -> Iterator[_Found]:
    """Yield what a container runs: of each stage the last CMD, and ENTRYPOINT with it for its arguments."""
    environment: dict[str, str] = {}
    entry = command = ("", 0)
    for line, number in [*_logical_lines(text), ("FROM nothing", 0)]:
        if (match := _INSTRUCTION.match(line)) is None:
            continue
        instruction, rest = match[1].upper(), match[2].strip()
        if instruction == "FROM":
            is_server = bool(_SERVER.search(entry[0]))
            start, line_number = (f"{entry[0]} {command[0]}", entry[1]) if is_server else command
            yield _Found(start, line_number, "", dict(environment))
            entry = command = ("", 0)
        elif instruction == "CMD":
            command = (_exec_form(rest), number)
        elif instruction == "ENTRYPOINT":
            entry = (_exec_form(rest), number)
        else:
            environment.update(re.findall(r"(\w+)=\"?([^\s\"]*)", rest))


def _exec_form(text: str) -> str:
    """Return a JSON list of words as a command line; other text is one already."""
    try:
        words = json.loads(text)
    except ValueError:
        return text
    return shlex.join(map(str, words)) if isinstance(words, list) else text


def _unit(text: str) -> Iterator[_Found]:
    environment = dict(re.findall(r"^Environment=\"?(\w+)=([^\"\n]*)", text, re.MULTILINE))
    for line, number in _logical_lines(text):
        key, _, value = line.partition("=")
        if key.strip() == "ExecStart":
            yield _Found(value.strip().lstrip("-@:+!"), number, "", environment)


def _ini(text: str) -> Iterator[_Found]:
    """Yield the commands of supervisord, and the options of uWSGI as if they stood on a command line."""
    section, options, start = "", [], 0
    for line, number in _logical_lines(text):
        if header := re.match(r"\s*\[(.+?)\]", line):
            section, start = header[1], start or number
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or key.startswith((";", "#")):
            continue
        if section == "uwsgi":
            options += [f"--{key}", value]
        elif key == "command":
            yield _Found(value, number, section.partition(":")[2])
    if options:
        yield _Found(shlex.join(["uwsgi", *options]), start)


# --- data ------------------------------------------------------------------------------------------------------------


def _json(text: str) -> Iterator[_Found]:
    try:
        yield from _walk(json.loads(text), text)
    except ValueError:  # whoever it is for will say so
        return


def _toml(text: str) -> Iterator[_Found]:
    try:
        yield from _walk(tomllib.loads(text), text)
    except ValueError:  # likewise
        return


def _yaml(text: str) -> Iterator[_Found]:
    """Yield the texts of YAML by PyYAML; without it, what stands behind a key on one line."""
    documents = _load_yaml(text)
    if documents is not None:
        for document in documents:
            yield from _walk(document, text)
        return
    for line, number in _logical_lines(text):
        value = re.sub(r"^\s*(?:-\s+)?(?:[\w-]+:\s+)?", "", line)
        yield _Found(_exec_form(value), number)


def _load_yaml(text: str) -> list[object] | None:
    if find_spec("yaml") is None:
        return None
    import yaml

    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError:  # tags of others, templates
        return None


_REPLICAS = ("replicas", "scale", "numInstances", "instance_count", "count", "min_machines_running")
_ENVIRONMENT = ("environment", "env", "envVars", "variables")


def _walk(
    data: object, text: str, name: str = "", environment: Mapping[str, str] | None = None, replicas: int = 1
) -> Iterator[_Found]:
    """Yield every text of data and every list of words, with what holds above it."""
    environment = environment or {}
    if isinstance(data, str):
        yield _Found(data, _line_of(data, text), name, environment, replicas)
    elif isinstance(data, list):
        if data and all(isinstance(word, str) for word in data):
            yield _Found(shlex.join(data), _line_of(data[0], text), name, environment, replicas)
        for entry in data:
            if not isinstance(entry, str) or " " in entry.strip():  # a word alone is part of the line above
                yield from _walk(entry, text, name, environment, replicas)
    elif isinstance(data, dict):
        inner = {**environment, **_environment(data)}
        wanted = _replicas(data) or replicas
        joined: set[str] = set()
        for first, then in (("entrypoint", "command"), ("command", "args")):
            if isinstance(data.get(first), list) and isinstance(data.get(then), list):
                words = [str(word) for word in (*data[first], *data[then])]
                yield _Found(shlex.join(words), _line_of(words[0], text), name, inner, wanted)
                joined |= {first, then}
        for key, value in data.items():
            if key in joined:
                continue
            yield from _walk(value, text, str(key) if isinstance(value, dict) else name, inner, wanted)


def _replicas(data: Mapping[str, object]) -> int:
    deploy = data.get("deploy")
    for source in (data, deploy, data.get("scaling")):
        if not isinstance(source, Mapping):
            continue
        for number in map(source.get, _REPLICAS):
            if isinstance(number, int) and not isinstance(number, bool) and number > 0:
                return number
    return 0


def _environment(data: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in _ENVIRONMENT:
        value = data.get(key)
        if isinstance(value, dict):
            found |= {str(name): str(entry) for name, entry in value.items() if isinstance(entry, str | int)}
        for entry in value if isinstance(value, list) else ():
            if isinstance(entry, str):
                found |= {entry.partition("=")[0]: entry.partition("=")[2]}
            elif isinstance(entry, dict) and isinstance(entry.get("value"), str | int):
                found[str(entry.get("name", entry.get("key", "")))] = str(entry["value"])
    return found


def _line_of(part: str, text: str) -> int:
    """Return the line on which a text stands, as far as it can be found."""
    first = part.strip().partition("\n")[0]
    places = (text.find(first[:length]) for length in (len(first), 40, 20, 8))  # what is folded is on several lines
    at = next((place for place in places if place >= 0), 0)
    return text.count("\n", 0, at) + 1


# --- names of files --------------------------------------------------------------------------------------------------

_KINDS: tuple[tuple[str, Platform, Reader], ...] = (
    (r"Procfile(\.(?!sh$).+)?", "heroku", _procfile),
    (r"(.+\.)?(Dockerfile|Containerfile)(\..+)?", "container", _dockerfile),
    (r"fly(\..+)?\.toml", "fly", _toml),
    (r"(railway|nixpacks)\.toml", "railway", _toml),
    (r"railway\.json", "railway", _json),
    (r"app\.json", "heroku", _json),
    (r"heroku\.ya?ml", "heroku", _yaml),
    (r"render\.ya?ml", "render", _yaml),
    (r"\.platform\.app\.ya?ml|app\.ya?ml|\.upsun.*\.ya?ml|apprunner\.ya?ml", "platform", _yaml),
    (r".+\.ya?ml", "container", _yaml),
    (r".+\.service", "unit", _unit),
    (r"supervisord?(\..*)?\.(conf|ini)|.*uwsgi.*\.ini|supervisord\.conf", "unit", _ini),
    (r"Makefile|GNUmakefile|justfile|Justfile|.+\.mk", "script", _script),
    (r".+\.(sh|bash)", "script", _script),
)
_NAMES = tuple(re.compile(pattern) for pattern, *_ in _KINDS)


def _kind(path: Path) -> tuple[Platform, Reader] | None:
    for name, (_, platform, reader) in zip(_NAMES, _KINDS, strict=True):
        if name.fullmatch(path.name):
            return platform, reader
    if "." not in path.name:
        with path.open("rb") as file:
            if re.match(rb"#!.*\b(sh|bash|ash|dash)\b", file.readline(200)):
                return "script", _script
    return None
