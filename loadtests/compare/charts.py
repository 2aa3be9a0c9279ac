"""Charts of the run, as SVG and PNG: CPU per request of every peer, case by case, and against the number of routes."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import matplotlib

from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS
from loadtests.compare.run import Results

matplotlib.use("Agg")

from matplotlib import pyplot

OURS, THEIRS = "#0b7a4b", "#9aa5b1"
OUR_PEERS = ("lane", "gateway", "gateway-wsgi")


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the charts; returns their files."""
    files = []
    for case in results:
        if CASES[case].routes == 0:
            files += _bars(results, case, folder)
    if sum(CASES[case].routes > 0 for case in results) > 1:
        files += _routes(results, folder)
    return files


def _bars(results: Results, case: str, folder: Path) -> list[Path]:
    costs = {name: median(each.cpu_us for each in rounds) for name, rounds in results[case].items()}
    names = sorted(costs, key=lambda name: -costs[name])
    figure, axes = pyplot.subplots(figsize=(8, 0.8 + 0.32 * len(names)), layout="constrained")
    colours = [OURS if name in OUR_PEERS else THEIRS for name in names]
    bars = axes.barh([PEERS[name].title for name in names], [costs[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="%.4g", padding=4)
    axes.set_xscale("log")
    axes.set_xlim(right=max(costs.values()) * 2)
    axes.set_xlabel("CPU µs per request, less is better (logarithmic)")
    axes.set_title(CASES[case].title, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    return _save(figure, folder / case)


def _routes(results: Results, folder: Path) -> list[Path]:
    cases = sorted((case for case in results if CASES[case].routes), key=lambda case: CASES[case].routes)
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for name in PEERS:
        points = [
            (CASES[case].routes, median(each.cpu_us for each in results[case][name]))
            for case in cases
            if name in results[case]
        ]
        if points:
            style = {"color": OURS, "linewidth": 2.5} if name in OUR_PEERS else {"color": THEIRS}
            axes.plot(*zip(*points, strict=True), marker="o", **style)
            axes.annotate(f" {PEERS[name].title}", points[-1], va="center", fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(right=CASES[cases[-1]].routes * 8)
    axes.set_xlabel("routes")
    axes.set_ylabel("CPU µs per request")
    axes.set_title("the last of N routes", loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    return _save(figure, folder / "routes")


def _save(figure: pyplot.Figure, stem: Path) -> list[Path]:
    files = [stem.with_suffix(suffix) for suffix in (".svg", ".png")]
    for file in files:
        figure.savefig(file, dpi=120, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)
    return files
