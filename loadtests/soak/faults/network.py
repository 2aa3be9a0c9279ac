"""A network that is far, narrow, torn, or gives bytes one by one: F9."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from loadtests.soak.faults.run import Soak
from loadtests.soak.mix import Ask
from loadtests.soak.proxy import Weather
from loadtests.soak.report import Gate, at_least, at_most
from loadtests.soak.site import BODY_TIMEOUT
from loadtests.soak.wire import PATIENCE, Broken, Wire, head

FAR = Weather(latency=0.1, rate=64 * 1024)  # 200 ms there and back, 64 KB/s
WEATHERS: Mapping[str, Weather] = {
    "far and narrow": FAR,
    "bytes one by one": Weather(piece=1),
    "torn": Weather(resets=0.1),
}
CLIENTS, REQUESTS = 20, 15  # of each client
LARGE = 200 * 1024  # bytes of a body; /soak/small takes 64 KiB


@dataclass(slots=True)
class Outcome:
    """What became of requests: complete answers, right or wrong, ends, and those that did not end."""

    right: int = 0
    ended: int = 0
    hung: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def ask(self, wire: Wire, ask: Ask) -> None:
        """One request more."""
        try:
            fault = ask.fault(await wire.ask(ask.method, ask.path, ask.headers, ask.body))
        except Broken as broken:
            self.ended += not broken.late
            self.hung += [str(broken)] if broken.late else []
            return
        self.right += fault is None
        self.wrong += [fault] if fault else []


async def hostile_network(soak: Soak) -> None:
    """F9: the mix through bad weather, limits through a narrow network, and clients who half-close."""
    for name, weather in WEATHERS.items():
        outcome = await _through(soak, weather)
        soak.gates += _gates(soak, f"F9 {name}", outcome)
        least = CLIENTS * REQUESTS // 3 if weather.resets else CLIENTS * REQUESTS
        soak.gates.append(at_least(f"F9 {name}: right answers, of {CLIENTS * REQUESTS}", outcome.right, least))
    soak.hostile.weather = FAR
    soak.gates += await _limits(soak)
    soak.hostile.weather = Weather()
    outcome = Outcome()
    await asyncio.gather(*(_half_close(soak, outcome) for _ in range(CLIENTS * REQUESTS)))
    soak.gates += _gates(soak, "F9 half-closed", outcome)
    soak.notes.append(f"F9: {outcome.right} of those who half-closed got their answer, {outcome.ended} a clean end")


def _gates(soak: Soak, name: str, outcome: Outcome) -> list[Gate]:
    soak.notes += [f"{name}: {entry}" for entry in (outcome.hung + outcome.wrong)[:10]]
    return [
        at_most(f"{name}: requests without an end", len(outcome.hung), 0),
        at_most(f"{name}: wrong answers", len(outcome.wrong), 0),
    ]


async def _through(soak: Soak, weather: Weather) -> Outcome:
    outcome = Outcome()
    soak.hostile.weather = weather

    async def ask_on() -> None:
        wire = Wire(soak.hostile.port)
        for _ in range(REQUESTS):
            await outcome.ask(wire, soak.load.mix.draw())
        wire.drop()

    await asyncio.gather(*(ask_on() for _ in range(CLIENTS)))
    return outcome


async def _limits(soak: Soak) -> list[Gate]:
    """Limits through a narrow network: a body that says how long it is, one that does not, one that does not come."""
    known = head("POST", "/soak/small", {}, LARGE) + b"x" * LARGE
    chunk = b"%x\r\n%b\r\n" % (1024, b"x" * 1024)
    unknown = head("POST", "/soak/small", {"Transfer-Encoding": "chunked"}, None) + chunk * (LARGE // 1024)
    stalled = head("POST", "/soak/small", {}, 9) + b"x"
    gates = [
        _answered("F9 far and narrow: a body over the limit", await _status(soak, known), 413),
        _answered("F9 far and narrow: chunks over the limit", await _status(soak, unknown), 413),
    ]
    if soak.is_asgi:
        status = await _status(soak, stalled, BODY_TIMEOUT + PATIENCE)
        gates.append(_answered("F9 far and narrow: a body that stalls", status, 408))
    return gates


def _answered(name: str, status: int, wanted: int) -> Gate:
    return Gate(name, str(status), str(wanted), status == wanted)


async def _status(soak: Soak, request: bytes, patience: float = PATIENCE) -> int:
    wire = Wire(soak.hostile.port)
    try:
        async with asyncio.timeout(patience):
            reader, writer = await wire.open()
            writer.write(request)
            return (await wire.read(reader)).status
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return 0
    finally:
        wire.drop()


async def _half_close(soak: Soak, outcome: Outcome) -> None:
    """A client who closes its writing side has not gone: it gets its answer, or is hung up on without a word."""
    wire, ask = Wire(soak.site.port), soak.load.mix.draw()
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await wire.open()
            writer.write(head(ask.method, ask.path, ask.headers, len(ask.body) if ask.method != "GET" else None))
            writer.write(ask.body)
            writer.write_eof()
            fault = ask.fault(await wire.read(reader))
            outcome.right += fault is None
            outcome.wrong += [fault] if fault else []
    except TimeoutError:
        outcome.hung.append(f"{ask.name}, half-closed")
    except (OSError, asyncio.IncompleteReadError) as error:
        clean = isinstance(error.__cause__, asyncio.IncompleteReadError)
        outcome.ended += clean
        outcome.wrong += [] if clean else [f"{ask.name}: {type(error.__cause__ or error).__name__}"]
    finally:
        wire.drop()
