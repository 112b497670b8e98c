"""The table of docs/metrics.md: all metrics, from the table of telemetry."""

from __future__ import annotations

from slipway.telemetry.table.metric_kind import MetricKind, MetricType
from slipway.telemetry.table.whole_table import METRICS


def metrics_table() -> str:
    """Each metric with its type, its labels, and what it says."""
    rows = [f"| `{_name(kind)}` | {kind.type.value} | {_labels(kind)} | {kind.about} |" for kind in METRICS.values()]
    return "\n".join(["| metric | type | labels | what it says |", "|---|---|---|---|", *rows, ""])


def _labels(kind: MetricKind) -> str:
    return ", ".join(f"`{label.name}`" for label in kind.labels)


def _name(kind: MetricKind) -> str:
    """As Prometheus shows it: a counter has the suffix `_total`."""
    return f"{kind.name}_total" if kind.type is MetricType.COUNTER else kind.name
