"""The gates of scripts/house.py: each lets a sound package pass, and sees what it is there to see."""

from __future__ import annotations

import gates
import house
import pytest

SOUND = {
    "hybrid_gateway/__init__.py": '"""A package."""\n',
    "hybrid_gateway/low.py": '"""Numbers."""\n\n\ndef one() -> int:\n    """Return one."""\n    return 1\n',
    "hybrid_gateway/room/__init__.py": "",
    "hybrid_gateway/room/high.py": (
        "from hybrid_gateway.low import one\n\n\ndef _twice():\n    return one() + one()\n\n\n"
        "def four():\n    return _twice() + _twice()\n"
    ),
    "hybrid_gateway/routes.py": "routes = []\n",
    "hybrid_gateway/room/routes.py": "routes = []\n",
}
LOW, HIGH = "hybrid_gateway/low.py", "hybrid_gateway/room/high.py"

BROKEN = {
    "circles": {LOW: "import hybrid_gateway.room.high\n"},
    "circles in a function": {LOW: "def one():\n    from hybrid_gateway.room import high\n    return high\n"},
    "circles for type checkers": {
        LOW: "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hybrid_gateway.room.high import four\n"
    },
    "names": {"hybrid_gateway/room/low.py": ""},
    "file-length": {LOW: "one = 1\n" * 401},
    "function-length": {LOW: "def one():\n" + "    one\n" * 60},
    "docstrings": {LOW: 'def one():\n    """What one gets."""\n'},
    "docstrings of modules": {LOW: '"""The same, for others."""\n'},
    "docstrings of classes": {LOW: 'class One:\n    """Who comes first."""\n'},
    "local-imports": {HIGH: "def four():\n    from hybrid_gateway.low import one\n    return one\n"},
    "silent-except": {LOW: "try:\n    import one\nexcept Exception:\n    one = None\n"},
    "silent-except of a kind and all": {LOW: "try:\n    import one\nexcept (OSError, BaseException):\n    pass\n"},
    "fence": {LOW: "from asgiref.sync import _restore_context\n"},
    "any": {LOW: "from typing import Any\none: Any = 1\n"},
    "type-ignores": {LOW: "one: str = 1  # type: ignore[assignment]\n"},
    "one-caller": {LOW: "def _half():\n    return 1\n\n\ndef one():\n    return _half()\n"},
    "one-caller-short": {LOW: "def _half():\n    one\n    return 1\n\n\ndef one():\n    return _half()\n"},
    "one-caller of methods": {
        LOW: "class One:\n    def _half(self): ...\n\n    def one(self):\n        self._half()\n"
    },
}


@pytest.fixture
def sources(tmp_path):
    """``sources(changes)``: those of the sound package, with other files."""

    def write(changes: dict[str, str] = {}) -> list[gates.Source]:  # noqa: B006
        for name, text in {**SOUND, **changes}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return gates.read_sources(tmp_path)

    return write


def config(gate: str, **limits: float) -> dict[str, object]:
    return {"enforce": [gate], "limits": limits, "local-imports": {}}


@pytest.mark.parametrize("gate", gates.GATES)
def test_a_sound_package_passes_each_gate(gate, sources, monkeypatch):
    monkeypatch.setattr(gates, "house_config", lambda: config(gate))
    assert gates.GATES[gate](sources()) == []
    assert list(house.complaints(sources(), config(gate, **{gate: 0}))) == []


@pytest.mark.parametrize("case", BROKEN)
def test_each_gate_sees_its_own(case, sources, monkeypatch):
    gate = case.split()[0]
    monkeypatch.setattr(gates, "house_config", lambda: config(gate))
    found = sources(BROKEN[case])
    assert gates.GATES[gate](found)
    assert list(house.complaints(found, config(gate, **{gate: 0})))


def test_no_gate_is_without_a_test_that_sees_it_fail():
    assert {case.split()[0] for case in BROKEN} == gates.GATES.keys()


def test_a_gate_that_is_not_enforced_says_nothing(sources):
    assert list(house.complaints(sources(BROKEN["circles"]), config("names"))) == []


@pytest.mark.parametrize(
    ("limit", "says"), [(0, "is above the limit"), (1, None), (3, None), (4, "lower the limit of 4")]
)
def test_a_limit_is_neither_exceeded_nor_left_behind(limit, says, sources):
    found = list(house.complaints(sources(BROKEN["type-ignores"]), config("type-ignores", **{"type-ignores": limit})))
    assert [says in line for line in found] == ([True] if says else [])


@pytest.mark.parametrize(
    "handler",
    [
        "except Exception:  # it is optional\n    pass",
        "except Exception as error:\n    print(error)",
        "except Exception:\n    logger.exception('no')",
        "except Exception:\n    raise",
        "except ImportError:\n    pass",
    ],
)
def test_an_exception_that_is_not_swallowed_in_silence(handler, sources):
    assert gates.silent_except(sources({LOW: f"try:\n    import one\n{handler}\n"})) == []


def test_a_private_function_with_one_caller_and_five_lines_is_not_short(sources):
    long = "def _half():\n" + '    """Return half."""\n' + "    one\n" * 5 + "\n\ndef one():\n    return _half()\n"
    found = sources({LOW: long})
    assert gates.one_caller(found) and not gates.one_caller_short(found)


def test_any_is_counted_in_a_thousand_lines(sources):
    found = sources({LOW: "from typing import Any\none: Any = 1\n" + "two = 2\n" * 98})
    assert house.count_of("any", found) == round(2000 / sum(source.lines for source in found), 1) > 10


def test_an_import_inside_a_function_needs_a_reason_and_a_reason_needs_an_import(sources):
    arrow = "hybrid_gateway.room.high -> hybrid_gateway.low"
    assert gates.local_imports(sources(BROKEN["local-imports"]), {arrow: "the app registry"}) == []
    assert gates.local_imports(sources(BROKEN["local-imports"]), {arrow: ""})
    assert gates.local_imports(sources(SOUND), {arrow: "the app registry"})


def test_the_picture_has_what_rooms_stand_on(sources):
    changes = {
        "hybrid_gateway/top.py": "import hybrid_gateway.low\nimport hybrid_gateway.room.high\n",
        "hybrid_gateway/lone.py": "",
    }
    drawn = house.picture(sources(changes), ["top", "room | lone", "low"]).splitlines()
    assert [line.split() for line in drawn] == [
        ["3", "top", "─▶", "room"],
        ["2", "lone"],
        ["room", "─▶", "low"],
        ["1", "low"],
    ]


def test_the_command_measures_and_checks(sources, monkeypatch, capsys):
    """Here a package of a few lines: scripts/check holds ours to its limits."""
    monkeypatch.setattr(house, "house_config", lambda: config("circles"))
    monkeypatch.setattr(gates, "house_config", lambda: config("circles"))
    monkeypatch.setattr(house, "read_sources", lambda: sources())
    assert house.main([]) == 0
    assert capsys.readouterr().out.startswith("modules")
    assert house.main(["--check"]) == 0, capsys.readouterr().out
    monkeypatch.setattr(house, "read_sources", lambda: sources(BROKEN["circles"]))
    assert house.main(["--check"]) == 1
    assert "circles: hybrid_gateway.low" in capsys.readouterr().out


def test_every_limit_is_of_a_gate():
    assert gates.house_config()["limits"].keys() == house.RATCHETS.keys()
    assert set(gates.house_config()["enforce"]) <= gates.GATES.keys()
