"""Prometheus metrics about requests, the event loop of the process, and Redis.

Each application has its own registry, so the figures of two applications in one process do not mix.
"""

from __future__ import annotations

import math
from collections import Counter as Counts
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.types import Scope

from slipway.health.event_loop_watch import EventLoopWatch
from slipway.health.health import Health
from slipway.switches.record import Kind

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class HttpMetrics:
    """Counts requests by method, route and status. The path of a request is not a label, because every id would
    create a new time series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._paths: dict[object, str] = {}
        self._requests = Counter(
            "slipway_http_requests",
            "Requests by method, route and status",
            ["method", "route", "status"],
            registry=self.registry,
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
        self.open_streams = Gauge(
            "slipway_http_open_streams", "Open event streams and waiting responses", registry=self.registry
        )
        self._rejected = Counter(
            "slipway_http_rejected_clients",
            "Clients that were rejected before their request reached the application, by the code of the error",
            ["code"],
            registry=self.registry,
        )
        self._limited = Counter(
            "slipway_rate_limited_requests",
            "Requests above a rate, by policy; in shadow mode they were served",
            ["policy", "shadow"],
            registry=self.registry,
        )
        self._store = StoreMetrics(self.registry)

    def count_limited(self, policy: str, shadow: bool) -> None:
        """Counts a request above a rate."""
        self._limited.labels(policy, "yes" if shadow else "no").inc()

    def count_rejected(self, code: str) -> None:
        """Counts a client whose request exceeded a limit of its connection."""
        self._rejected.labels(code).inc()

    def name_route(self, handler: object, path: str) -> None:
        """Requests that `handler` serves are counted for `path`."""
        self._paths[handler] = path

    def route_of(self, scope: Scope) -> str:
        """The path of the route of a request, with the names of its parameters; `other` if no route was found."""
        return self._paths.get(scope.get("endpoint"), "other")

    def count_request(self, scope: Scope, status: int, took_s: float) -> None:
        """`status` is 499 when the client disconnected before the response started."""
        handler = scope.get("endpoint")
        route = self._paths.get(handler, "other")
        key = (scope["method"] if handler in self._paths else "other", route, status)
        if key not in self._counters:
            self._counters[key] = self._requests.labels(*(str(part) for part in key))
        if route not in self._histograms:
            self._histograms[route] = self._seconds.labels(route)
        self._counters[key].inc()
        self._histograms[route].observe(took_s)

    def show_event_loop(self, watch: EventLoopWatch) -> None:
        """From now on, the page has the blocks of an event loop."""
        self.registry.register(EventLoopMetrics(watch))

    def page(self, health: Health) -> bytes:
        """The text that Prometheus scrapes."""
        self._store.update(health)
        return generate_latest(self.registry)


class StoreMetrics:
    """The latest health check. An unknown figure is NaN, which Prometheus shows as a gap."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str) -> Gauge:
            return Gauge(f"slipway_{name}", about, registry=registry)

        self._ready = gauge("ready", "1 when a new run would be stored")
        self._probe_s = gauge("store_probe_seconds", "Time to write, read back and delete a key")
        self._memory = gauge(
            "store_memory_ratio", "Used memory of Redis as a share of its maxmemory; NaN without a limit"
        )
        self._lag_s = gauge("store_replication_lag_seconds", "Replication lag of the slowest replica")
        self._workers = gauge("workers", "Live workers")
        self._queued = gauge("queued_jobs", "Due and delayed jobs that no worker has claimed")
        self._leases = gauge("leases", "Leases held by attempts")
        self._oldest_s = gauge("oldest_due_job_seconds", "Waiting time of the oldest due job")
        self._findings = Gauge("slipway_findings", "Findings of /readyz", ["code", "level"], registry=registry)
        self._repairs = Gauge(
            "slipway_repairs", "Problems that the doctor and the reconciler repaired", ["problem"], registry=registry
        )
        self._breaker_open = Gauge(
            "slipway_breaker_open",
            "1 while the circuit breaker of a model or tool is open or half open, 0 while it is closed with failures",
            ["kind", "name"],
            registry=registry,
        )
        self._breaker_openings = Gauge(
            "slipway_breaker_openings",
            "How often the circuit breaker of a model or tool was opened",
            ["kind", "name"],
            registry=registry,
        )
        self._people = PeopleMetrics(registry)
        self._versions, self._rollouts = VersionMetrics(registry), RolloutMetrics(registry)

    def update(self, health: Health) -> None:
        """Sets all gauges to the figures of a health check."""
        work, server = health.work, health.server
        self._ready.set(health.ready)
        self._probe_s.set(math.nan if health.probe_ms is None else health.probe_ms / 1000)
        self._memory.set(_or_nan(health.memory_ratio))
        self._lag_s.set(_or_nan(server.lag_s if server else None))
        self._workers.set(_or_nan(work.workers if work else None))
        self._queued.set(_or_nan(work.due + work.later if work else None))
        self._leases.set(_or_nan(work.leases if work else None))
        self._oldest_s.set(_or_nan(work.oldest_due_s if work else None))
        self._findings.clear()
        for finding in health.findings:
            self._findings.labels(finding.code, finding.level.value).set(1)
        for problem, count in (work.repairs if work else {}).items():
            self._repairs.labels(problem).set(count)
        self._breaker_open.clear()
        for breaker in health.breakers.breakers if health.breakers else ():
            self._breaker_open.labels(breaker.kind, breaker.name).set(breaker.state != "closed")
        for name, count in (health.breakers.openings if health.breakers else {}).items():
            kind, _, of = name.partition(":")
            self._breaker_openings.labels(kind, of).set(count)
        self._people.update(health)
        self._versions.update(health)
        self._rollouts.update(health)


class PeopleMetrics:
    """What waits for reviewers and operators, as of the latest health check."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"slipway_{name}", about, labels, registry=registry)

        self._undecided = gauge("reviews_undecided", "Reviews that nobody has decided", "graph")
        self._overdue = gauge("reviews_overdue", "Those whose due time has come", "graph")
        self._oldest_s = gauge("reviews_oldest_seconds", "Time since the oldest undecided review was opened")
        self._paused = gauge("paused_runs", "Paused runs by what pauses them: operator or switch", "by")
        self._switches = gauge("switches_off", "Switches that are off: node, tool, graph or all", "kind")

    def update(self, health: Health) -> None:
        waiting = health.waiting
        for figures, by_graph in (
            (self._undecided, waiting.undecided if waiting else {}),
            (self._overdue, waiting.overdue if waiting else {}),
        ):
            figures.clear()
            for graph_id, count in by_graph.items():
                figures.labels(graph_id).set(count)
        self._oldest_s.set(_or_nan(waiting.oldest_s if waiting else None))
        self._paused.labels("operator").set(_or_nan(waiting.paused_by_operators if waiting else None))
        self._paused.labels("switch").set(_or_nan(waiting.paused_by_switches if waiting else None))
        off = None if health.switches is None else Counts(each.target.kind for each in health.switches.all())
        for kind in Kind:
            self._switches.labels(kind.value).set(_or_nan(None if off is None else off[kind]))


class VersionMetrics:
    """The runs that wait for a worker that serves their version, as of the latest health check."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("graph", "version")
        self._depth = Gauge(
            "slipway_version_queue_depth", "Due runs that wait for a version of a graph", labels, registry=registry
        )
        self._oldest_s = Gauge(
            "slipway_version_queue_oldest_seconds", "Time since the oldest of them was due", labels, registry=registry
        )
        self._unserved = Gauge(
            "slipway_versions_unserved", "Versions that runs wait for and no live worker serves", registry=registry
        )

    def update(self, health: Health) -> None:
        lanes = health.work.lanes if health.work else ()
        self._depth.clear()
        self._oldest_s.clear()
        oldest: dict[tuple[str, str], float] = {}
        for lane in lanes:
            labels = (lane.graph_id, lane.version or "")
            oldest[labels] = max(lane.oldest_s, oldest.get(labels, 0.0))
            self._depth.labels(*labels).inc(lane.jobs)
            self._oldest_s.labels(*labels).set(oldest[labels])
        unserved = {(lane.graph_id, lane.version) for lane in lanes if not lane.is_served}
        self._unserved.set(len(unserved) if health.work else math.nan)


class RolloutMetrics:
    """The rollouts of graphs, as of the latest health check."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("graph", "version")
        self._weight = Gauge(
            "slipway_rollout_weight", "Percent of the new threads that a version is to get", labels, registry=registry
        )
        self._threads = Gauge(
            "slipway_version_new_threads", "New threads of a version since the ramp began", labels, registry=registry
        )
        self._runs = Gauge(
            "slipway_version_runs",
            "Runs of a version that have ended since the ramp began: succeeded, failed or ceilings",
            (*labels, "outcome"),
            registry=registry,
        )

    def update(self, health: Health) -> None:
        for gauge in (self._weight, self._threads, self._runs):
            gauge.clear()
        for rollout, counts in health.rollouts or ():
            graph_id, ramp = rollout.graph_id, rollout.ramp
            self._weight.labels(graph_id, rollout.current).set(100 - (0 if ramp is None else ramp.percent))
            if ramp is not None:
                self._weight.labels(graph_id, ramp.version).set(ramp.percent)
            for version, of in counts.by_version.items():
                self._threads.labels(graph_id, version).set(of.threads)
                for outcome, runs in (("succeeded", of.succeeded), ("failed", of.failed), ("ceilings", of.ceilings)):
                    self._runs.labels(graph_id, version, outcome).set(runs)


class EventLoopMetrics(Collector):
    """What the watch of the event loop of this process has counted."""

    def __init__(self, watch: EventLoopWatch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[CounterMetricFamily]:
        blocks, blocked_s = self._watch.blocks, self._watch.blocked_s
        yield CounterMetricFamily("slipway_event_loop_blocks", "Blocks of the event loop of this process", value=blocks)
        yield CounterMetricFamily(
            "slipway_event_loop_blocked_seconds", "Time of those blocks that are over", value=blocked_s
        )


def _or_nan(figure: float | None) -> float:
    return math.nan if figure is None else figure
