"""Gates, and the report that shows them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.soak.load import Load
from loadtests.soak.sampler import Sample

__all__ = ["Gate", "at_least", "at_most", "write"]


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that must hold. ``binding`` ones decide the exit code."""

    name: str
    found: str
    limit: str
    ok: bool
    binding: bool = True


def at_most(name: str, found: float, limit: float, unit: str = "", *, binding: bool = True) -> Gate:
    """Holds where ``found`` is no more than ``limit``."""
    return Gate(name, f"{found:.4g} {unit}".strip(), f"≤ {limit:g} {unit}".strip(), found <= limit, binding)


def at_least(name: str, found: float, limit: float, unit: str = "", *, binding: bool = True) -> Gate:
    """Holds where ``found`` is no less than ``limit``."""
    return Gate(name, f"{found:.4g} {unit}".strip(), f"≥ {limit:g} {unit}".strip(), found >= limit, binding)


def write(
    folder: Path,
    title: str,
    gates: list[Gate],
    load: Load,
    samples: list[Sample],
    marks: list[tuple[str, float, float]],
    notes: list[str],
) -> Path:
    """``report.md``, with pictures beside it; the path of the former."""
    pictures = _draw(folder, load, samples, marks)
    seconds = load.seen[-1].at - load.seen[0].at if load.seen else 1
    lines = [f"# {title}", "", f"{len(load.seen)} answers in {seconds:.0f} s, {load.aborted} clients that hung up.", ""]
    lines += ["| gate | found | limit | |", "|---|---|---|---|"]
    for gate in gates:
        verdict = "ok" if gate.ok else "**missed**" if gate.binding else "missed, where it does not decide"
        lines.append(f"| {gate.name} | {gate.found} | {gate.limit} | {verdict} |")
    lines += ["", *(f"![{picture.stem}]({picture.name})" for picture in pictures), ""]
    for heading, entries in (
        ("Wrong answers", load.wrong[:40]),
        ("Errors that a fault explains", [f"{name}: {number}" for name, number in sorted(load.tolerated.items())]),
        ("Notes", notes),
    ):
        if entries:
            lines += [f"## {heading}", "", *(f"* `{entry[:400]}`" for entry in entries), ""]
    path = folder / "report.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


_PANELS = (
    ("memory", "MiB", ("rss",)),
    ("handles", "number", ("fds", "threads", "backends", "tasks")),
    ("lag", "ms", ("lag_p999", "lag_max")),
)


def _draw(folder: Path, load: Load, samples: list[Sample], marks: list[tuple[str, float, float]]) -> list[Path]:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    if not samples:
        return []
    zero, drawn = samples[0].at, []
    panels: list[tuple[str, str, list[tuple[str, list[float], list[float]]]]] = [
        ("latency", "ms", _latency(load, zero))
    ]
    rows = [asdict(sample) for sample in samples]
    times = [row["at"] - zero for row in rows]
    panels += [(name, unit, [(key, times, [row[key] for row in rows]) for key in keys]) for name, unit, keys in _PANELS]
    for name, unit, series in panels:
        figure: Any
        figure, axes = pyplot.subplots(figsize=(9, 3), layout="constrained")
        for label, x, y in series:
            axes.plot(x, y, label=label, linewidth=1)
        for label, start, end in marks:
            axes.axvspan(start - zero, end - zero, alpha=0.15, color="tab:red")
            axes.annotate(label, (start - zero, 0), rotation=90, fontsize=7, va="bottom")
        axes.set(xlabel="s", ylabel=unit, title=name, ylim=(0, None))
        axes.legend(fontsize=7)
        drawn.append(folder / f"{name}.svg")
        figure.savefig(drawn[-1])
        pyplot.close(figure)
    return drawn


def _latency(load: Load, zero: float) -> list[tuple[str, list[float], list[float]]]:
    buckets: dict[int, list[float]] = {}
    for entry in load.seen:
        buckets.setdefault(int(entry.at - zero), []).append(entry.seconds * 1000)
    times = sorted(buckets)
    shares = (("p50", 0.5), ("p99", 0.99))
    return [
        (name, [float(at) for at in times], [sorted(buckets[at])[int(len(buckets[at]) * share)] for at in times])
        for name, share in shares
    ]
