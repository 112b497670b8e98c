"""Numbers about requests, for Prometheus. Each app has a registry of its own, so two apps in one process do not mix."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

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
        self._workers = Gauge("slipway_workers", "Live workers", registry=self.registry)
        self._queued = Gauge("slipway_queued_jobs", "Jobs due or delayed, not yet claimed", registry=self.registry)

    def name_route(self, handler: object, path: str) -> None:
        """Requests that end in `handler` count for `path`."""
        self._paths[handler] = path

    def answered(self, scope: Scope, status: int, took_s: float) -> None:
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

    def page(self, *, workers: int, queued: int) -> bytes:
        """The text that Prometheus scrapes."""
        self._workers.set(workers)
        self._queued.set(queued)
        return generate_latest(self.registry)
