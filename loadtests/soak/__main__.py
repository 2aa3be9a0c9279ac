"""``python -m loadtests.soak``: run a soak, write its report, and fail where a gate is missed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from loadtests.files import allow_many_files
from loadtests.soak.faults import FAULTS, Soak
from loadtests.soak.faults.clients import fill_house
from loadtests.soak.faults.run import SETTLE
from loadtests.soak.load import Load
from loadtests.soak.mix import Mix
from loadtests.soak.proxy import Proxy
from loadtests.soak.report import Gate, at_most, write
from loadtests.soak.sampler import Sample, Sampler
from loadtests.soak.site import COMMANDS, Site, environment, manage
from loadtests.soak.sockets import Sockets
from loadtests.soak.wire import Broken

LONG = 300  # seconds after which slopes mean something
WARM = 30  # seconds of as much as goes before anything is measured: threads, caches and connections come with it


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--server", choices=COMMANDS, default="lane")
    parser.add_argument("--seconds", type=int, default=60, help="Of calm load before the faults (60).")
    parser.add_argument("--clients", type=int, default=32, help="Kept-alive connections (32).")
    parser.add_argument("--rate", type=float, default=200, help="Requests per second; 0 for as many as go (200).")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--grace", type=int, default=10, help="Seconds that a stopping server gives requests (10).")
    parser.add_argument("--timeout", type=float, default=3.0, help="TIMEOUT of the gateway, in seconds (3).")
    parser.add_argument("--port", type=int, default=9400, help="The first of four ports (9400).")
    parser.add_argument("--streams", type=int, default=1000, help="Clients of event streams (1000).")
    parser.add_argument("--sockets", type=int, default=1000, help="Websockets at once, of what is done to them (1000).")
    parser.add_argument("--postgresql", action="store_true", help="Use the one at 127.0.0.1:5432, user postgres.")
    parser.add_argument("--redis", type=int, metavar="DB", help="Use that database of the one at 127.0.0.1:6379.")
    parser.add_argument("--faults", default=",".join(FAULTS), help=f"Which: {', '.join(FAULTS)}; or none.")
    parser.add_argument("--out", type=Path, default=Path("soak"))
    return parser.parse_args()


def database_name(options: argparse.Namespace) -> str:
    """PostgreSQL's database of this run; soaks on other ports have others."""
    return f"hybrid_gateway_soak_{options.port}"


@contextlib.contextmanager
def own_database(name: str):  # type: ignore[no-untyped-def]
    """A database of PostgreSQL's that is there while this runs."""
    import psycopg

    with psycopg.connect("host=127.0.0.1 user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def run(options: argparse.Namespace, folder: Path) -> bool:
    """Soak; whether every gate that decides was passed."""
    async with contextlib.AsyncExitStack() as stack:
        database = redis = None
        url, redis_url = f"sqlite:///{folder / 'soak.sqlite3'}", None
        if options.postgresql:
            database = await stack.enter_async_context(Proxy(options.port + 1, ("127.0.0.1", 5432)))
            url = f"postgres://postgres@127.0.0.1:{database.port}/{database_name(options)}?connect_timeout=2"
        if options.redis is not None:
            redis = await stack.enter_async_context(Proxy(options.port + 2, ("127.0.0.1", 6379)))
            redis_url = f"redis://127.0.0.1:{redis.port}/{options.redis}"
        upstream = ("127.0.0.1", options.port)
        hostile = await stack.enter_async_context(Proxy(options.port + 3, upstream, half_close=True))
        variables = environment(folder, url, redis_url, options.timeout, channels_of(options, redis_url))
        for command in (["migrate", "--no-input", "--verbosity", "0"], ["seed"]):
            await asyncio.to_thread(manage, variables, *command)
        token = (await asyncio.to_thread(manage, variables, "gateway", "createtoken", "demo")).split()[-1]
        site = Site(
            options.server, port=options.port, workers=options.workers, grace=options.grace, environment=variables
        )
        await asyncio.to_thread(site.__enter__)
        stack.callback(site.stop)
        load = Load(options.port, Mix(token), rate=options.rate or None)
        soak = Soak(
            site,
            load,
            Sampler(site, database_name(options) if options.postgresql else None),
            options.timeout,
            database,
            redis,
            options.workers,
            options.grace,
            is_asgi=options.server != "gunicorn",
            bounds_heads=options.server == "lane",
            hostile=hostile,
            streams=options.streams,
            sockets=sockets_of(options, load),
            crowd=options.sockets,
        )
        await _measure(soak, options)
        return _report(soak, options)


async def _measure(soak: Soak, options: argparse.Namespace) -> None:
    await _warm_up(soak, options)
    sampling = asyncio.create_task(soak.sampler.run())
    await asyncio.sleep(options.seconds)
    calm = list(soak.sampler.samples)
    soak.gates += _calm_gates(soak, calm)
    for name in [] if options.faults == "none" else options.faults.split(","):
        if name == "terminate":
            await _stop(soak)
            sampling.cancel()
        print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
        try:
            await FAULTS[name](soak)
        except Broken as broken:  # the others go on
            soak.gates.append(Gate(f"{name} was gone through with", str(broken), "yes", ok=False))
        await asyncio.sleep(2)
    await _stop(soak)
    sampling.cancel()


async def _warm_up(soak: Soak, options: argparse.Namespace) -> None:
    """Start the load, at first at full speed, so that what grows to a bound has grown before anything is measured."""
    paced, soak.load.rate = soak.load.rate, None
    soak.load.start(options.clients)
    soak.sockets.start()
    await fill_house(soak)
    await asyncio.sleep(WARM)
    soak.load.rate = paced
    await asyncio.sleep(SETTLE)


async def _stop(soak: Soak) -> None:
    await soak.sockets.stop()
    await soak.load.stop()


def channels_of(options: argparse.Namespace, redis_url: str | None) -> str:
    """What carries the messages of channels: the store that is there, and can be made to fail."""
    return redis_url or ("postgresql" if options.postgresql else "memory")


def sockets_of(options: argparse.Namespace, load: Load) -> Sockets:
    """The websockets of the mix: none where the server has none, no room where processes do not share one."""
    is_shared = options.workers == 1 or options.postgresql or options.redis is not None
    is_asgi = options.server != "gunicorn"
    return Sockets(
        options.port,
        load,
        idle=100 * is_asgi,
        echoing=20 * is_asgi,
        following=20 * (is_asgi and is_shared),
        room=f"soak-{time.time_ns()}",
    )


def _calm_gates(soak: Soak, samples: list[Sample]) -> list[Gate]:
    """L5 and F10, of the time before anything fails."""
    start, end = samples[0].at, samples[-1].at
    part = max((end - start) / 5, 5)
    long = end - start >= LONG
    busy = soak.is_busy()  # the loop waits for its turn
    first = soak.load.percentile(0.99, start, start + part)
    last = soak.load.percentile(0.99, end - part, end)
    later = [sample for sample in samples if sample.at >= start + (end - start) / 2]
    gates = [
        at_most("L5 growth of memory in the second half", _slope(later, "rss") * 600, 1, "MiB/10 min", binding=long),
        at_most("L5 growth of memory in use", _slope(later, "used") * 600, 1, "MiB/10 min", binding=False),
        at_most("L5 p99 of the last part to that of the first", last / first, 1.2, "times", binding=long and not busy),
    ]
    half = len(samples) // 2
    for name, margin in (("fds", 8), ("threads", 1), ("backends", 1), ("tasks", 8)):
        before, after = (median(getattr(sample, name) for sample in part) for part in (samples[:half], samples[half:]))
        decides = (
            long and not busy
        ) or name != "tasks"  # which are requests under way, more of them when others need the cores
        gates.append(
            at_most(f"L5 {name} more in the second half than in the first", after - before, margin, binding=decides)
        )
    lags = [sample.lag_p999 for sample in samples]
    for name, lag, limit in (
        ("p99.9 of most seconds", sorted(lags)[int(len(lags) * 0.9)], 50),
        ("the longest", max(sample.lag_max for sample in samples), 250),
    ):
        gates.append(at_most(f"F10 lag of the loop, {name}", lag, limit, "ms", binding=not busy))
    soak.notes.append(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return gates


def _slope(samples: list[Sample], name: str) -> float:
    """MiB per second, by least squares."""
    count = len(samples)
    x = sum(sample.at for sample in samples) / count
    values = [getattr(sample, name) for sample in samples]
    y = sum(values) / count
    spread = sum((sample.at - x) ** 2 for sample in samples)
    rise = sum((sample.at - x) * (value - y) for sample, value in zip(samples, values, strict=True))
    return rise / spread if spread else 0.0


def _report(soak: Soak, options: argparse.Namespace) -> bool:
    told = soak.site.unexpected(soak.quiet)
    soak.site.keep_log(options.out / "server.log")
    gates = [
        at_most("L1 wrong answers", len(soak.load.wrong), 0),
        at_most("L1 exceptions in the log", len(told), 0),
        *soak.sockets.gates(),
        *soak.gates,
    ]
    soak.notes += [f"websockets {what}: {number}" for what, number in sorted(soak.sockets.counts.items())]
    samples = soak.sampler.samples
    soak.notes += [f"{' '.join(sys.argv[1:])}", f"memory: {samples[0].rss:.0f} → {samples[-1].rss:.0f} MiB", *told[:20]]
    start, end = soak.load.seen[0].at, soak.load.seen[-1].at
    shares = ", ".join(
        f"p{share * 100:g} {soak.load.percentile(share, start, end):.1f} ms" for share in (0.5, 0.99, 0.999)
    )
    soak.notes.append(shares)
    path = write(options.out, f"Soak of {options.server}", gates, soak.load, samples, soak.marks, soak.notes)
    for gate in gates:
        verdict = "ok" if gate.ok else "MISSED" if gate.binding else "missed"
        print(f"{verdict:6} {gate.name}: {gate.found} ({gate.limit})")
    print(shares, path, sep="\n")
    return all(gate.ok or not gate.binding for gate in gates)


def main() -> None:
    """Run it."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    allow_many_files()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.postgresql:
            stack.enter_context(own_database(database_name(options)))
        passed = asyncio.run(run(options, folder))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
