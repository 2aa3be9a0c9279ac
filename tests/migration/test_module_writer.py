"""The module that a form becomes: importable, with the imports it needs and no others, in short lines."""

import json
import subprocess
import sys
from pathlib import Path

from hybrid_gateway.migration.form import (
    ClassForm,
    Decision,
    Difference,
    FieldForm,
    FunctionForm,
    Move,
    RouteReport,
    identifier,
    snake,
)
from hybrid_gateway.migration.module_writer import WIDTH, write_module
from hybrid_gateway.migration.report import as_json, as_markdown


def a_move() -> Move:
    move = Move("Another framework 1.0", doc="Routes of the shop.")
    struct, computed = move.names.use("hybrid_gateway.orm", "ModelStruct"), move.names.use("hybrid_gateway", "computed")
    user, namesake = move.names.use("django.contrib.auth.models", "User"), move.names.use("shop.models", "User", "Shop")
    move.names.use("uuid", "UUID")
    day = move.names.use("datetime")
    move.structs.append(
        ClassForm(
            move.names.define("UserOut"),
            [struct],
            {"model": user},
            fields=[FieldForm("id", "int"), FieldForm("date_joined", f"{day}.datetime", comment="UTC")],
            methods=[
                FunctionForm(
                    "shout", ["name: str"], "str", ["return name.upper()"], [f'{computed}("username")', "staticmethod"]
                )
            ],
        )
    )
    get = move.names.use("hybrid_gateway", "get")
    lookups = ", ".join(f'"a_column_with_a_long_name_{number}": ["exact", "in"]' for number in range(3))
    move.constants.append(FieldForm("LOOKUPS", default=f"{{{lookups}}}"))
    move.views.append(
        FunctionForm(
            "users",
            [],
            "list[UserOut]",
            [f"known = {namesake}", "return UserOut.fetch(User.objects.filter(username__in=[str(known)]))"],
            [f'{get}("/users/", name="user-list")'],
            ["Decide: " + "who may see this? " * 10],
        )
    )
    move.listed = ["users"]
    difference, decision = Difference("body.next", "a path"), Decision("Who may see this?", "shop/api.py:31")
    move.routes = [
        RouteReport("GET", "/users/", "user-list", "shop/api.py:30", "moved", "users", [difference], [decision]),
        RouteReport("POST", "/users/", "user-list", "shop/api.py:30", "kept", decisions=[decision]),
    ]
    return move


def test_a_module_has_the_imports_that_it_uses_in_the_order_of_isort() -> None:
    text = write_module(a_move(), ["shop"])
    head = text.split("LOOKUPS")[0]
    assert head == (
        '"""Routes of the shop."""\n\n'
        "import datetime\n\n"
        "from django.contrib.auth.models import User\n"
        "from hybrid_gateway import computed, get\n"
        "from hybrid_gateway.orm import ModelStruct\n\n"
        "from shop.models import User as ShopUser\n\n"
    )


def test_no_line_is_too_long_and_ruff_has_nothing_to_say(tmp_path: Path) -> None:
    text = write_module(a_move(), ["shop"])
    assert max(map(len, text.splitlines())) <= WIDTH
    compile(text, "routes.py", "exec")
    (tmp_path / "shop").mkdir()
    for name in ("__init__.py", "models.py"):
        (tmp_path / "shop" / name).touch()
    file = tmp_path / "moved.py"
    file.write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    (tmp_path / "ruff.toml").write_text('[lint]\nselect = ["E", "F", "I", "W", "UP", "B"]\n')
    for command in (["check"], ["format", "--diff"]):
        found = subprocess.run([*ruff, *command, str(file)], cwd=tmp_path, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr


def test_a_long_comprehension_is_broken_at_its_clauses(tmp_path: Path) -> None:
    move = Move("x", doc="Sums.")
    pairs = "{key.a_long_name_of_it: value.another_name for key, value in a_table_of_some_kind.items() if key.is_there}"
    total = "sum(entry.the_first_number * entry.the_second_number for entry in a_list_that_has_a_long_name)"
    for name, value in (
        ("pairs", pairs),
        ("total", total),
        ("both", f"[f(x, y) for x in {'a' * 40} for y in {'b' * 40}]"),
    ):
        move.functions.append(FunctionForm(name, ["a"], move.names.use("uuid", "UUID"), [f"return {value}"]))
    text = write_module(move)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "    return {\n        key.a_long_name_of_it: value.another_name\n        for key, value in a_table" in text
    file = tmp_path / "moved.py"
    file.write_text(text)
    (tmp_path / "ruff.toml").write_text("")
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--diff", str(file)], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_names_are_such_that_python_takes_them() -> None:
    names = Move("x").names
    assert [names.define("Tag"), names.define("Tag", "Shop"), names.define("Tag", "Shop")] == [
        "Tag",
        "ShopTag",
        "ShopTag2",
    ]
    assert (identifier("class"), identifier("2nd-part"), snake("GroupTags")) == ("class_", "_2nd_part", "group_tags")


def test_a_decision_stands_once_with_the_routes_that_wait_for_it() -> None:
    text = as_markdown(a_move(), "moved.py")
    assert "| written anew | 1 | 0 |" in text and "| left to the old framework | 0 | 1 |" in text
    assert "* Who may see this? `shop/api.py:31` (`GET /users/`, `POST /users/`)" in text
    report = json.loads(as_json(a_move()))
    assert report["counts"]["read"] == {"moved": 1, "bridged": 0, "kept": 0}
    assert report["routes"][0]["differences"] == [{"where": "body.next", "what": "a path"}]
