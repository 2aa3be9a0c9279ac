"""Processes that are killed, replaced, or asked to end: F6, F7, F5."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable
from contextlib import suppress

from loadtests.soak.faults.run import SETTLE, Soak
from loadtests.soak.report import at_least, at_most
from loadtests.soak.sockets import open_link
from loadtests.soak.wire import Broken, Wire

RELOADS = 10
_PATHS = ["/soak/echo", "/soak/rooms/last"] * 50


async def worker_killed(soak: Soak) -> None:
    """F6: one of several workers is killed."""
    if soak.workers < 2:
        return
    before = {process.pid: process for process in soak.site.processes()}
    victim = next(iter(before.values()))
    wrong = len(soak.load.wrong)
    began = time.monotonic()
    async with soak.fault("F6 worker killed"):
        victim.kill()
        while time.monotonic() - began < 20:
            await asyncio.sleep(0.1)
            alive = {process.pid for process in soak.site.processes()} - {victim.pid}
            if len(alive) >= soak.workers:
                break
    soak.gates.append(at_most("F6 a new worker after", time.monotonic() - began - SETTLE, 5, "s"))
    failed = soak.load.wrong[wrong:]
    del soak.load.wrong[wrong:]
    soak.gates.append(at_most("F6 requests that failed with it", len(failed), 40))


async def reloaded(soak: Soak) -> None:
    """F7: SIGHUP ten times, each after the last one has replaced all workers; nobody may notice."""
    if soak.workers < 2:
        return
    load, began, wrong = soak.load, time.monotonic(), len(soak.load.wrong)
    load.repeats = True
    replaced = [await _reload(soak) for _ in range(RELOADS)]
    await asyncio.sleep(SETTLE)
    load.repeats = False
    soak.marks.append(("F7 reloads", began, time.monotonic()))
    failed = load.wrong[wrong:]
    del load.wrong[wrong:]
    asked = sum(seen.at >= began for seen in load.seen)
    soak.gates += [
        at_least(f"F7 reloads that replaced every worker, of {RELOADS}", sum(replaced), RELOADS),
        at_most(f"F7 requests that failed meanwhile, of {asked}", len(failed), 0),
    ]
    soak.notes += [f"F7: connections that {what}: {number}" for what, number in sorted(load.again.items())]
    soak.notes += [f"F7: {fault}" for fault in failed[:20]]


async def _reload(soak: Soak) -> bool:
    """Whether all workers are others within a minute, as many as before, and each of them answers."""
    before = {process.pid for process in soak.site.processes()}
    soak.site.process.send_signal(signal.SIGHUP)
    asked, answering = time.monotonic(), set[int]()
    while time.monotonic() - asked < 60:
        await asyncio.sleep(0.1)
        now = {process.pid for process in soak.site.processes()}
        if now & before or len(now) != soak.workers:
            continue
        with suppress(Broken):
            wire = Wire(soak.site.port)
            answering.add(json.loads((await wire.ask("GET", "/soak/inside")).body)["pid"])
            wire.drop()
        if answering >= now:
            return True
    return False


async def terminated(soak: Soak) -> None:
    """F5: SIGTERM, with requests, streams and websockets in flight; the last thing that happens."""
    requests, streams = (100, 20) if soak.is_asgi else (8, 4)  # under WSGI each has a thread
    wires = [Wire(soak.site.port) for _ in range(requests)]
    waiting = [asyncio.create_task(_settled(wire.ask("GET", "/soak/wait?seconds=1.5"))) for wire in wires]
    listening = [asyncio.create_task(_stream_end(soak.site.port)) for _ in range(streams)]
    links = [(await open_link(soak.site.port, path))[0] for path in _PATHS] if soak.is_asgi else []
    await asyncio.sleep(0.7)
    began = time.monotonic()
    soak.site.process.terminate()
    answers = await asyncio.gather(*waiting)
    dropped = sum(answer != 200 for answer in answers)
    ended = await asyncio.gather(*listening)
    try:
        code = await asyncio.to_thread(soak.site.process.wait, soak.grace + 10)
    except Exception:
        code = None
    took = time.monotonic() - began
    codes = [link.socket.close_code if link is not None else None for link in links]
    told = sum(code in (1001, 1012) for code in codes)
    soak.gates += [
        at_least(f"F5 websockets that were told 1001 or 1012, of {len(links)}", told, len(links)),
        at_most(f"F5 requests in flight that SIGTERM dropped, of {requests}", dropped, 0),
        at_most("F5 exit after SIGTERM", took, soak.grace + 1, "s"),
        at_least(f"F5 streams that ended with a last chunk, of {streams}", sum(ended), streams),
    ]
    soak.notes.append(f"exit code after SIGTERM: {code}")


async def _settled(asking: Awaitable[object]) -> int:
    try:
        return int(getattr(await asking, "status", 0))
    except Broken:
        return 0


async def _stream_end(port: int) -> bool:
    """Whether a stream that began was ended as HTTP ends it."""
    reader, writer = await Wire(port).open()
    writer.write(b"GET /soak/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    last = b""
    try:
        while data := await reader.read(65536):
            last = (last + data)[-5:]
    except OSError:
        return False
    return last == b"0\r\n\r\n"
