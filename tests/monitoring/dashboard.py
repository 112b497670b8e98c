"""Writes docs/monitoring/grafana-dashboard.json: `make pages`. Each panel is one line here.

The data source is a variable of the dashboard, so that it can be imported without an edit. Every web process reports
the figures of the whole deployment, so queries take the greatest value over the instances.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SELECTOR: Final = 'job=~"$job"'
_GRAPH: Final = 'job=~"$job", graph=~"$graph"'
_COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `queries` has PromQL by legend."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    about: str = ""
    red_above: float | None = None


def _gauge(metric: str, by: str = "", graph: bool = False) -> str:
    labels = f"{metric}{{{_GRAPH if graph else _SELECTOR}}}"
    return f"max by ({by}) ({labels})" if by else f"max ({labels})"


def _rate(metric: str, by: str = "", graph: bool = False) -> str:
    """Of a counter; the greatest of the instances first, then the sum over other labels."""
    labels = f"rate({metric}_total{{{_GRAPH if graph else _SELECTOR}}}[$__rate_interval])"
    return f"sum by ({by}) (max without (instance) ({labels}))"


def _quantile(share: float, metric: str, by: str = "", graph: bool = False) -> str:
    labels = f"rate({metric}_bucket{{{_GRAPH if graph else _SELECTOR}}}[$__rate_interval])"
    group = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({group}) (max without (instance) ({labels})))"


ROWS: Final[Sequence[tuple[str, Sequence[Panel]]]] = (
    (
        "Now",
        (
            Panel(
                "Ready",
                {"": f"min (slipway_ready{{{_SELECTOR}}})"},
                kind="stat",
                about="1 when a new run would be stored",
            ),
            Panel("Live workers", {"": _gauge("slipway_workers")}, kind="stat"),
            Panel(
                "Queued runs",
                {"": f"sum ({_gauge('slipway_queue_depth', 'graph, version, priority', True)})"},
                kind="stat",
            ),
            Panel("Oldest due run", {"": _gauge("slipway_oldest_due_job_seconds")}, "s", "stat", red_above=60),
            Panel(
                "Undecided reviews", {"": f"sum ({_gauge('slipway_reviews_undecided', 'graph', True)})"}, kind="stat"
            ),
            Panel("Memory of Redis", {"": _gauge("slipway_store_memory_ratio")}, "percentunit", "stat", red_above=0.85),
        ),
    ),
    (
        "Runs",
        (
            Panel("New runs by graph", {"{{graph}}": _rate("slipway_new_runs", "graph", True)}, "ops"),
            Panel("Ended runs by outcome", {"{{outcome}}": _rate("slipway_runs_ended", "outcome", True)}, "ops"),
            Panel(
                "Failed runs by code", {"{{graph}} {{code}}": _rate("slipway_run_failures", "graph, code", True)}, "ops"
            ),
            Panel("Stored runs by phase", {"{{phase}}": _gauge("slipway_runs", "phase")}),
            Panel(
                "Time of runs",
                {
                    "p50 {{graph}}": _quantile(0.5, "slipway_run_seconds", "graph", True),
                    "p95 {{graph}}": _quantile(0.95, "slipway_run_seconds", "graph", True),
                },
                "s",
                about="From the creation of a run until it ended or began to wait for people",
            ),
            Panel(
                "Time of supersteps, p95",
                {"{{graph}}": _quantile(0.95, "slipway_superstep_seconds", "graph", True)},
                "s",
            ),
        ),
    ),
    (
        "Queue",
        (
            Panel(
                "Queued runs",
                {"{{graph}} {{version}} {{priority}}": _gauge("slipway_queue_depth", "graph, version, priority", True)},
            ),
            Panel(
                "Oldest queued run",
                {
                    "{{graph}} {{version}} {{priority}}": _gauge(
                        "slipway_queue_oldest_seconds", "graph, version, priority", True
                    )
                },
                "s",
            ),
            Panel(
                "Queue wait, p95",
                {"{{priority}}": _quantile(0.95, "slipway_queue_wait_seconds", "priority", True)},
                "s",
            ),
            Panel(
                "Runs that wait for a version",
                {"{{graph}} {{version}}": _gauge("slipway_version_queue_depth", "graph, version", True)},
                about="Due runs that wait for a worker which serves their version",
            ),
        ),
    ),
    (
        "Attempts and recovery",
        (
            Panel("Attempts by result", {"{{result}}": _rate("slipway_attempts_ended", "result", True)}, "ops"),
            Panel(
                "Recoveries",
                {
                    "leases expired": _rate("slipway_leases_expired"),
                    "runs queued again, {{graph}}": _rate("slipway_run_recoveries", "graph", True),
                },
                "ops",
            ),
            Panel("Retries of nodes", {"{{graph}}": _rate("slipway_node_retries", "graph", True)}, "ops"),
            Panel(
                "Ceilings reached",
                {"{{graph}} {{code}}": _rate("slipway_ceilings_reached", "graph, code", True)},
                "ops",
            ),
        ),
    ),
    (
        "People",
        (
            Panel(
                "Reviews",
                {
                    "undecided {{graph}}": _gauge("slipway_reviews_undecided", "graph", True),
                    "overdue {{graph}}": _gauge("slipway_reviews_overdue", "graph", True),
                },
            ),
            Panel("Oldest undecided review", {"": _gauge("slipway_reviews_oldest_seconds")}, "s"),
            Panel(
                "Approval wait, p95",
                {"{{decision}}": _quantile(0.95, "slipway_approval_wait_seconds", "decision", True)},
                "s",
            ),
            Panel(
                "Paused runs and switches",
                {
                    "paused by {{by}}": _gauge("slipway_paused_runs", "by"),
                    "{{kind}} switched off": _gauge("slipway_switches_off", "kind"),
                },
            ),
        ),
    ),
    (
        "Webhooks",
        (
            Panel("Tries of webhooks", {"{{result}}": _rate("slipway_webhook_tries", "result")}, "ops"),
            Panel("Webhooks that wait", {"": _gauge("slipway_webhooks_waiting")}),
            Panel(
                "Deliveries to hooks", {"{{hook}} {{result}}": _rate("slipway_hook_deliveries", "hook, result")}, "ops"
            ),
        ),
    ),
    (
        "Redis",
        (
            Panel(
                "Round trips",
                {
                    "p50 {{process}}": _quantile(0.5, "slipway_store_round_trip_seconds", "process"),
                    "p99 {{process}}": _quantile(0.99, "slipway_store_round_trip_seconds", "process"),
                },
                "s",
            ),
            Panel("Checkpoint writes, p99", {"": _quantile(0.99, "slipway_checkpoint_write_seconds")}, "s"),
            Panel(
                "Memory",
                {"used": _gauge("slipway_store_memory_bytes"), "limit": _gauge("slipway_store_memory_limit_bytes")},
                "bytes",
            ),
            Panel("Replication lag", {"": _gauge("slipway_store_replication_lag_seconds")}, "s"),
        ),
    ),
    (
        "Processes and clients",
        (
            Panel("Processes", {"{{process}}": _gauge("slipway_processes", "process")}),
            Panel(
                "Event loop lag, p99",
                {"{{process}}": _quantile(0.99, "slipway_event_loop_lag_seconds", "process")},
                "s",
            ),
            Panel(
                "Time of blocks", {"{{process}}": _rate("slipway_event_loop_blocked_seconds", "process")}, "percentunit"
            ),
            Panel("Requests by status", {"{{status}}": _rate("slipway_http_requests", "status")}, "reqps"),
            Panel(
                "Time of requests, p95", {"{{route}}": _quantile(0.95, "slipway_http_request_seconds", "route")}, "s"
            ),
            Panel("Open streams", {"": _gauge("slipway_http_open_streams")}),
            Panel(
                "Rejected clients",
                {
                    "{{code}}": _rate("slipway_http_rejected_clients", "code"),
                    "above {{policy}}": _rate("slipway_rate_limited_requests", "policy"),
                },
                "ops",
            ),
            Panel("Findings of /readyz", {"{{level}} {{code}}": _gauge("slipway_findings", "level, code")}),
        ),
    ),
    (
        "Versions, rollouts and circuit breakers",
        (
            Panel(
                "Share of new threads",
                {"{{graph}} {{version}}": _gauge("slipway_rollout_weight", "graph, version", True)},
                "percent",
            ),
            Panel(
                "Runs since the ramp began",
                {"{{graph}} {{version}} {{outcome}}": _gauge("slipway_version_runs", "graph, version, outcome", True)},
            ),
            Panel("Open circuit breakers", {"{{kind}} {{name}}": _gauge("slipway_breaker_open", "kind, name")}),
            Panel("Repairs", {"{{problem}}": _rate("slipway_repairs", "problem")}, "ops"),
        ),
    ),
)


def queries() -> list[str]:
    """All PromQL of the dashboard, also that of its variables."""
    return [query for _, panels in ROWS for panel in panels for query in panel.queries.values()]


def page() -> str:
    """The file: the JSON model that Grafana imports."""
    model = {
        "title": "Slipway",
        "uid": "slipway",
        "description": "One deployment of Slipway: docs/monitoring.md",
        "tags": ["slipway"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                _variable("job", "label_values(slipway_ready, job)", "Job"),
                _variable("graph", 'label_values(slipway_new_runs_total{job=~"$job"}, graph)', "Graph"),
            ]
        },
        "panels": list(_panels()),
    }
    return json.dumps(model, indent=2) + "\n"


def _variable(name: str, query: str, label: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panels() -> Iterator[dict[str, Any]]:
    top, number = 0, 0
    for title, panels in ROWS:
        number += 1
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        top += 1
        height, width = (4, 4) if panels[0].kind == "stat" else (8, 8 if len(panels) in (3, 6) else 6)
        for index, panel in enumerate(panels):
            number += 1
            line, column = divmod(index, _COLUMNS // width)
            yield _panel(panel, number, {"x": column * width, "y": top + line * height, "w": width, "h": height})
        top += height * -(-len(panels) * width // _COLUMNS)


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {} if panel.kind == "stat" else {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query,
                "legendFormat": legend or panel.title,
                "instant": panel.kind == "stat",
                "range": panel.kind != "stat",
            }
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }
