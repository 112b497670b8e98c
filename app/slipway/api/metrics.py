"""Numbers about requests and the store, for Prometheus.

Each app has a registry of its own, so two apps in one process do not mix.
"""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

from slipway.health.health import Health

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class HttpMetrics:
    """Counted by method and route (never by raw path: ids would make a series each)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._paths: dict[object, str] = {}
        self._requests = Counter(
            "slipway_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "slipway_http_request_seconds",
            "Time to the last byte, streams included",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self.open_streams = Gauge("slipway_http_open_streams", "Streams and waits open now", registry=self.registry)
        self._store = StoreMetrics(self.registry)

    def name_route(self, handler: object, path: str) -> None:
        """Requests that end in `handler` count for `path`."""
        self._paths[handler] = path

    def count_request(self, scope: Scope, status: int, took_s: float) -> None:
        """Count one request."""
        handler = scope.get("endpoint")
        route = self._paths.get(handler, "other")
        key = (scope["method"] if handler in self._paths else "other", route, status)
        if key not in self._counters:
            self._counters[key] = self._requests.labels(*(str(part) for part in key))
        if route not in self._histograms:
            self._histograms[route] = self._seconds.labels(route)
        self._counters[key].inc()
        self._histograms[route].observe(took_s)

    def page(self, health: Health) -> bytes:
        """The text that Prometheus scrapes."""
        self._store.show(health)
        return generate_latest(self.registry)


class StoreMetrics:
    """The last reading of the store's health. What is not known is NaN, which Prometheus draws as a hole."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str) -> Gauge:
            return Gauge(f"slipway_{name}", about, registry=registry)

        self._ready = gauge("ready", "1 when a new run would be kept")
        self._probe_s = gauge("store_probe_seconds", "Time to write, read back and delete a key")
        self._memory = gauge("store_memory_ratio", "How full Redis is, of its maxmemory; NaN without a limit")
        self._lag_s = gauge("store_replication_lag_seconds", "How far the slowest replica is behind")
        self._workers = gauge("workers", "Live workers")
        self._queued = gauge("queued_jobs", "Jobs due or delayed, not yet claimed")
        self._leases = gauge("leases", "Runs that an attempt holds")
        self._oldest_s = gauge("oldest_due_job_seconds", "How long the oldest due job has waited")
        self._findings = Gauge("slipway_findings", "Findings of /readyz", ["code", "level"], registry=registry)
        self._repairs = Gauge(
            "slipway_repairs", "What the doctor and the reconciler mended, ever", ["problem"], registry=registry
        )

    def show(self, health: Health) -> None:
        """Take over a reading."""
        work, server = health.work, health.server
        self._ready.set(health.ready)
        self._probe_s.set(math.nan if health.probe_ms is None else health.probe_ms / 1000)
        self._memory.set(_known(health.memory_ratio))
        self._lag_s.set(_known(server.lag_s if server else None))
        self._workers.set(_known(work.workers if work else None))
        self._queued.set(_known(work.due + work.later if work else None))
        self._leases.set(_known(work.leases if work else None))
        self._oldest_s.set(_known(work.oldest_due_s if work else None))
        self._findings.clear()
        for finding in health.findings:
            self._findings.labels(finding.code, finding.level.value).set(1)
        for problem, count in (work.repairs if work else {}).items():
            self._repairs.labels(problem).set(count)


def _known(figure: float | None) -> float:
    return math.nan if figure is None else figure
