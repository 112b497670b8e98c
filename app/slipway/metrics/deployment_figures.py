"""The figures of the whole deployment, from what was read of Redis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from slipway.metrics.figures import Example, Figures
from slipway.metrics.process_metrics import microseconds
from slipway.metrics.scripts import ReadFigures
from slipway.metrics.series import SEPARATOR, part_of
from slipway.telemetry.table.deployment_metrics import HTTP_OPEN_STREAMS, PROCESSES, REPAIRS
from slipway.telemetry.table.fields import GRAPH
from slipway.telemetry.table.metric_kind import MetricType
from slipway.telemetry.table.people_metrics import WEBHOOKS_WAITING
from slipway.telemetry.table.run_metrics import (
    ATTEMPTS_ENDED,
    ATTEMPTS_STARTED,
    CEILINGS_REACHED,
    QUEUE_DEPTH,
    QUEUE_OLDEST_SECONDS,
    QUEUE_WAIT_SECONDS,
    RUN_FAILURES,
    RUN_SECONDS,
    RUNS,
    RUNS_ENDED,
)
from slipway.telemetry.table.whole_table import METRICS

OUTCOMES: Final = ("completed", "failed", "cancelled")
_GAUGE: Final = "gauge:"
_US: Final = 1_000_000


def deployment_figures(read: ReadFigures, graphs: Sequence[str]) -> Figures:
    """`graphs`: those of which every counter is shown, also 0, so that Prometheus sees the first event as a rise."""
    figures = Figures()
    _show_zeros(figures, graphs)
    _add_stored(figures, read.metrics)
    _add_derived(figures)
    for labels, runs, oldest_ms in read.queue:
        graph, version, priority = ([*labels.split(SEPARATOR), "", "", ""])[:3]
        figures.add(QUEUE_DEPTH, runs, graph, version, priority)
        figures.raise_to(QUEUE_OLDEST_SECONDS, oldest_ms / 1000, graph, version, priority)
    for phase, runs in read.phases.items():
        figures.show(RUNS, runs, phase)
    figures.show(WEBHOOKS_WAITING, read.webhooks)
    for problem, count in read.repairs.items():
        figures.show(REPAIRS, int(count), problem)
    _add_processes(figures, read.processes)
    return figures


def _show_zeros(figures: Figures, graphs: Sequence[str]) -> None:
    for kind in METRICS.values():
        if kind.type is MetricType.COUNTER and not kind.labels:
            figures.add(kind, 0)
        if kind.type is MetricType.COUNTER and kind.labels == (GRAPH,):
            for graph in graphs:
                figures.add(kind, 0, graph)
    for graph in graphs:
        for outcome in OUTCOMES:
            figures.add(RUNS_ENDED, 0, graph, outcome)


def _add_stored(figures: Figures, fields: Mapping[str, str]) -> None:
    for field, value in fields.items():
        part = part_of(field)
        if part is None:
            continue
        kind, labels = part.kind, part.labels
        if kind.type is not MetricType.HISTOGRAM:
            figures.add(kind, int(value) / _US if microseconds(kind) else int(value), *labels)
            continue
        found = figures.distribution(kind, labels)
        if part.is_exemplar:
            trace_id, value_us, at_us = value.split(" ")
            found.examples[part.bucket - 1] = Example(trace_id, int(value_us) / _US, int(at_us) / _US)
        elif part.is_sum:
            found.sum_us += int(value)
        else:
            found.buckets[part.bucket - 1] += int(value)


def _add_derived(figures: Figures) -> None:
    """What ends a run also ends an attempt, and is stored once: as the time of the run."""
    for (graph, outcome), ended in figures.distributions(RUN_SECONDS).items():
        figures.add(ATTEMPTS_ENDED, ended.count, graph, outcome)
        if outcome in OUTCOMES:
            figures.add(RUNS_ENDED, ended.count, graph, outcome)
    for (graph, _), claimed in figures.distributions(QUEUE_WAIT_SECONDS).items():
        figures.add(ATTEMPTS_STARTED, claimed.count, graph)
    for (graph, code), count in figures.values(RUN_FAILURES).items():
        if code.startswith("ceiling."):
            figures.add(CEILINGS_REACHED, count, graph, code)


def _add_processes(figures: Figures, processes: Sequence[Mapping[str, str]]) -> None:
    for kind in ("web", "worker"):
        figures.show(PROCESSES, sum(each.get("kind") == kind for each in processes), kind)
    figures.show(HTTP_OPEN_STREAMS, 0)
    for each in processes:
        for name, value in each.items():
            part = part_of(name.removeprefix(_GAUGE)) if name.startswith(_GAUGE) else None
            if part is not None and math.isfinite(float(value)):
                figures.add(part.kind, float(value), *part.labels)
