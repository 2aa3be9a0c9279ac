"""The count of instructions: what a dump says, which stage it is, and what is dearer than its limit."""

import json
from contextlib import contextmanager, nullcontext

import pytest

from loadtests.client import Request
from loadtests.compare.apps import raw
from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS
from loadtests.compare.run import Database
from loadtests.instructions import counted_server, measure, ratchet, stages, wsgi_loop
from loadtests.instructions.__main__ import main, rows
from loadtests.instructions.counted_server import Connections, Ended, total
from loadtests.instructions.measure import AMOUNTS, pairs_of
from loadtests.instructions.ratchet import Section, cheaper, choose, dearer, grown, held
from loadtests.servers import ROOT

MAP = f"""\
4a00000 20 py::RouteTree.find:{ROOT}/hybrid_gateway/routing/route_tree.py
4a00040 20 py::hello:{ROOT}/loadtests/compare/apps/gateway.py
4a00080 20 py::Event.wait:/usr/lib/python3.13/threading.py
4a000c0 20 py::shown:/venv/lib/python3.13/site-packages/unheard_of/of.py
"""
DUMP = """\
# callgrind format
positions: instr line
events: Ir

fn=(1) uv_run
0x10 5 40
cob=(2) ???
cfn=(2) 0x0000000004a00000
calls=10 0x4a00000 0
* 6 5000

fn=(2)
0x4a00000 0 1500
cfn=(3) 0x0000000004a00040
calls=10 0x4a00040 0
+4 * 2500
cfn=(4) 0x0000000000001234
calls=10 0x1234 0
+8 * 1000

fn=(3)
0x4a00040 0 1800
+4 +1 100
cfn=(5) JSONEncoder_encode'2
calls=10 0x99 0
+4 * 600

fn=(5)
0x99 +3 600

fn=(4)
0x1234 0 900
cfn=(6) 0x0000000004a000c0
calls=1 0x4a000c0 0
* * 100

fn=(6)
0x4a000c0 0 100

totals: 5040
"""


def test_a_dump_is_read_by_python_function_with_the_c_code_that_it_calls():
    functions = stages.read_functions(DUMP, MAP, counted=10)
    assert functions == {
        "the event loop, the server and the parser": 4.0,
        "hybrid_gateway/routing/route_tree.py:RouteTree.find": 240.0,  # with the code that has no name
        "loadtests/compare/apps/gateway.py:hello": 190.0,
        "JSONEncoder_encode'2": 60.0,
        "unheard_of/of.py:shown": 10.0,
    }
    assert sum(functions.values()) * 10 == total(DUMP)


def test_functions_add_up_to_stages_and_what_nobody_knows_is_other():
    added = stages.stages_of(stages.read_functions(DUMP, MAP, counted=10))
    assert {stage: cost for stage, cost in added.items() if cost} == {
        "route": 240.0,
        "call": 190.0,
        "encode": 60.0,
        "server": 4.0,
        "other": 10.0,
    }


@pytest.mark.parametrize(
    ("function", "stage"),
    [
        ("hybrid_gateway/dispatch/request_checks.py:RequestValidator.validate", "screen"),
        ("<gateway GET /rows: shop.rows (/site/shop.py, line 3): query>:read", "bind"),
        ("<gateway GET /rows>:endpoint", "call"),
        ("hybrid_gateway/telemetry/event_hooks.py:AccessLog.on_response", "log"),
        ("django/db/models/query.py:QuerySet._clone", "database"),
        ("django/template/base.py:Node.render", "Django"),
        ("threading.py:Condition.wait", "threads"),
        ("pysqlite_cursor_fetchall", "database"),
        ("json/decoder.py:JSONDecoder.decode", "other"),
    ],
)
def test_a_function_has_a_stage(function, stage):
    assert stages.stage_of(function) == stage


def test_files_of_the_table_of_stages_are_there():
    named = {pattern.partition(":")[0].rstrip("*") for pattern, _ in stages.STAGES if pattern.startswith("hybrid_")}
    assert [name for name in named if not list(ROOT.glob(f"{name}*"))] == []


def test_callgrind_skips_functions_of_c_but_for_those_that_are_a_stage():
    patterns = stages.skipped_names(["JSON", "_x"])

    def is_skipped(name):
        return any(name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in patterns)

    assert all(map(is_skipped, ["PyDict_New", "J", "JSO", "JSOx", "_", "_y", "main", "(below main)"]))
    assert not any(map(is_skipped, ["JSON", "JSONEncoder", "_x", "_xy", "0x0000000004a00000"]))


# --- the ratchet


COUNTS = {pair: 1000.0 for each in held() for pair in (each.pair, each.base)}
ENVIRONMENT = {"python": "3.13.0", "build": "aa", "django": "6.1"}
LIMITS = Section(ENVIRONMENT, dict.fromkeys([each.name for each in held()], 1.0), {})


def test_every_driver_is_held_to_seven_cases():
    assert len(held()) == 21
    for each in held():
        for peer, case in (each.pair, each.base):
            assert CASES[case].needs in PEERS[peer].has


@pytest.mark.parametrize(
    ("count", "found"),
    [(1000, ([], [])), (1019, ([], [])), (1021, (["query, lane"], [])), (979, ([], ["query, lane"]))],
)
def test_two_percent_are_too_much(count, found):
    ratios = ratchet.ratios_of({**COUNTS, ("lane", "query"): count})
    assert (dearer(ratios, LIMITS, 0.02), cheaper(ratios, LIMITS, 0.02)) == found


def test_what_the_raw_callable_saves_makes_everybody_dearer_who_is_compared_with_it():
    ratios = ratchet.ratios_of({**COUNTS, ("raw-wsgi", "json"): 900})
    assert dearer(ratios, LIMITS, 0.02) == ["json, WSGI"]


def test_a_case_without_a_limit_is_not_passed_over():
    limits = Section(ENVIRONMENT, {name: 1.0 for name in LIMITS.ratios if name != "page, ASGI"}, {})
    assert dearer(ratchet.ratios_of(COUNTS), limits, 0.02) == ["page, ASGI"]


def judged(monkeypatch, tmp_path, counts, sections, functions=None, moved=None):
    """Judge ``counts``; ``moved`` are those of another layout of memory."""
    file = tmp_path / "limits.toml"
    file.write_text(ratchet.write_sections(sections))
    asked = []

    def count_functions(pairs, port):
        asked.extend(pairs)
        return dict.fromkeys(pairs, functions)

    monkeypatch.setattr(ratchet, "LIMITS", file)
    monkeypatch.setattr(ratchet, "environment", lambda: ENVIRONMENT)
    monkeypatch.setattr(
        ratchet, "count_instructions", lambda pairs, port, environment={}: (environment and moved) or counts
    )
    monkeypatch.setattr(ratchet, "count_functions", count_functions)
    monkeypatch.setattr(ratchet, "IS_POSSIBLE", functions is not None)
    return ratchet.judge(0), asked


def test_a_slower_stage_fails_and_is_named(monkeypatch, tmp_path, capsys):
    known = {"hello, lane": {"route": 0.1, "bind": 0.1, "call": 0.8}}
    functions = {"hybrid_gateway/routing/route_tree.py:find": 200, "hybrid_gateway/binding/body.py:read": 100,
                 "loadtests/compare/apps/gateway.py:hello": 790}  # fmt: skip
    sections = {ratchet.name_of(ENVIRONMENT): Section(ENVIRONMENT, LIMITS.ratios, known)}
    status, asked = judged(monkeypatch, tmp_path, {**COUNTS, ("lane", "hello"): 1090}, sections, functions)
    assert (status, asked) == (1, [("lane", "hello")])
    assert "hello, lane is at 1.09, 9.0 % above its limit of 1: route +0.1 thousand." in capsys.readouterr().out


def test_what_is_dear_in_one_layout_of_memory_alone_passes(monkeypatch, tmp_path):
    sections, dear = {ratchet.name_of(ENVIRONMENT): LIMITS}, {**COUNTS, ("lane", "hello"): 1090}
    assert judged(monkeypatch, tmp_path, dear, sections, moved=COUNTS)[0] == 0


def test_on_a_python_that_has_no_stages_the_case_is_named(monkeypatch, tmp_path, capsys):
    sections = {ratchet.name_of(ENVIRONMENT): LIMITS}
    assert judged(monkeypatch, tmp_path, {**COUNTS, ("lane", "hello"): 1090}, sections) == (1, [])
    output = capsys.readouterr().out
    assert "hello, lane is at 1.09, 9.0 % above its limit of 1." in output
    assert stages.IMPOSSIBLE in output


def test_what_is_within_its_limits_passes_and_says_what_can_come_down(monkeypatch, tmp_path, capsys):
    sections = {ratchet.name_of(ENVIRONMENT): LIMITS}
    assert judged(monkeypatch, tmp_path, {**COUNTS, ("lane", "hello"): 900}, sections)[0] == 0
    assert "can come down (python -m loadtests.instructions --write): hello, lane." in capsys.readouterr().out


def test_nothing_is_judged_where_no_limits_are_of_this_python(monkeypatch, tmp_path, capsys):
    assert judged(monkeypatch, tmp_path, {}, {"3.11.2-bb": Section({"python": "3.11.2"}, {}, {})})[0] == 0
    assert "nothing is judged" in capsys.readouterr().out


def test_limits_are_those_of_the_environment_and_others_have_a_wide_margin():
    other = {**ENVIRONMENT, "build": "bb", "django": "6.2"}
    near = {**ENVIRONMENT, "django": "6.2"}
    sections = {ratchet.name_of(each): Section(each, {}, {}) for each in (ENVIRONMENT, other)}
    assert choose(sections, ENVIRONMENT)[:2] == (sections["3.13.0-aa"], ratchet.MARGIN)
    section, margin, about = choose(sections, near)
    assert (section, margin) == (sections["3.13.0-aa"], ratchet.WIDE_MARGIN)
    assert "django 6.2, not 6.1" in about
    assert choose(sections, {**ENVIRONMENT, "python": "3.12.1"}) is None


def test_limits_are_written_as_they_are_read():
    sections = {
        "3.13.0-aa": Section(ENVIRONMENT, {"hello, lane": 0.4321}, {"hello, lane": {"route": 1.5, "call": 2.0}})
    }
    assert ratchet.read_sections(ratchet.write_sections(sections)) == sections


def test_the_limits_that_are_there_can_be_read_and_know_every_case():
    for name, section in ratchet.limits().items():
        assert name == ratchet.name_of(section.environment)
        assert list(section.ratios) == [each.name for each in held()]
        assert set(section.stages) <= set(section.ratios)


def test_many_small_changes_are_told_by_the_largest():
    assert grown({"call": 100.0, "route": 100.0}, {"<gateway GET /x>:endpoint": 100_900}) == "call +0.9 thousand"


# --- the servers


def environ(path="/hello", method="GET", body="", **headers):
    asked = {"path": path, "method": method, "body": body, "headers": headers}
    return wsgi_loop.environ_of(asked, 8000)


def test_the_loop_calls_as_often_as_it_is_told():
    calls = []

    class Body(list):
        def close(self):
            calls.append("closed")

    def application(environ, start_response):
        calls.append((environ["PATH_INFO"], environ["QUERY_STRING"], environ["wsgi.input"].read()))
        start_response("201 Created", [])
        return Body([b"a", b"b"])

    assert wsgi_loop.call(application, environ("/x?y=1", "POST", "z"), b"z", 2) == (201, b"ab")
    assert calls == [("/x", "y=1", b"z"), "closed"] * 2


def test_the_loop_makes_an_environ_as_a_server_does():
    made = environ("/orders?a=1", "POST", "{}", **{"Content-Type": "application/json", "X-Y": "z"})
    shown = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_X_Y", "HTTP_HOST")
    assert [made[key] for key in shown] == ["POST", "/orders", "a=1", "application/json", "2", "z", "127.0.0.1:8000"]


@pytest.mark.parametrize("case", ["hello", "query", "json", "json-10k", "404"])
def test_the_raw_wsgi_callable_answers_as_the_case_says(case):
    request = CASES[case].request
    body = request.body.encode()
    asked = {"path": request.path, "method": request.method, "body": request.body, "headers": request.headers}
    status, answer = wsgi_loop.call(raw.wsgi_application, wsgi_loop.environ_of(asked, 8000), body, 1)
    assert status == request.status
    assert CASES[case].answer in (None, json.loads(answer))


class Answering:
    """A socket that has one answer."""

    def __init__(self, answer):
        self.answer = answer

    def sendall(self, data):
        self.sent = data

    def recv(self, size):
        given, self.answer = self.answer[:20], self.answer[20:]
        return given


@pytest.mark.parametrize(("status", "answer"), [(404, "404 Not Found"), (200, "200 OK")])
def test_an_answer_counts_if_it_has_the_status_of_its_case(monkeypatch, status, answer):
    monkeypatch.setattr(counted_server, "stopped", lambda pid: nullcontext())
    connections = Connections(8000, 0)
    connections._sockets = [Answering(f"HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\n{{}}".encode()) for _ in range(8)]
    connections.ask(Request("/x", status=status), 8)
    connections._sockets = [Answering(f"HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\n{{}}".encode()) for _ in range(8)]
    with pytest.raises(RuntimeError, match="not an answer to count"):
        connections.ask(Request("/x", status=500), 8)


def test_a_table_has_ratios_and_changes():
    counts = {("raw", "hello"): 100_000.0, ("lane", "hello"): 50_000.0}
    before = {("raw", "hello"): 100_000.0, ("lane", "hello"): 40_000.0}
    table = list(rows(counts, before, "raw"))
    assert table[0][2:] == ["100.0", "1.00", "100.0", "+0.0 %"]
    assert table[1][2:] == ["50.0", "0.50", "40.0", "+25.0 %"]


def test_every_kind_of_case_has_an_amount():
    assert {case.needs for case in CASES.values()} == set(AMOUNTS)
    assert pairs_of(["raw", "lane"], ["hello", "rows"]) == [("raw", "hello"), ("lane", "hello"), ("lane", "rows")]


def test_without_valgrind_there_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    main(["--ratchet"])
    assert "valgrind, which is not installed" in capsys.readouterr().out


def test_a_name_that_nobody_knows_is_told(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        main(["--cases", "helo"])
    assert "'helo' is no case" in capsys.readouterr().err


@pytest.mark.parametrize("ends", [1, 9])
def test_a_server_that_ends_is_started_again_but_not_for_ever(monkeypatch, ends):
    started = []

    class Server:
        def __init__(self, peer, root, folder, **options):
            started.append(peer.title)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    def work(server, request, amount):
        if len(started) <= ends:
            raise Ended("gone")
        return len(started)

    @contextmanager
    def databases(kinds):
        yield {"sqlite": Database("x", {})}

    monkeypatch.setattr(measure, "CountedServer", Server)
    monkeypatch.setattr(measure, "databases", databases)
    monkeypatch.setattr(measure, "check", lambda *arguments: None)
    if ends < measure.TRIES:
        assert measure.on_servers([("raw", "hello")], work, port=0) == {("raw", "hello"): 2}
    else:
        with pytest.raises(Ended):
            measure.on_servers([("raw", "hello")], work, port=0)
        assert len(started) == measure.TRIES
