"""The figures of a health check. A figure that is not known is NaN, which Prometheus shows as a gap."""

from __future__ import annotations

from collections import Counter as Counts

from slipway.health.health import Health
from slipway.metrics.figures import Figures
from slipway.switches.record import Kind
from slipway.telemetry.table import deployment_metrics, people_metrics, version_metrics


def show_health(figures: Figures, health: Health) -> None:
    """Adds what the health check has found."""
    work, server = health.work, health.server
    figures.show(deployment_metrics.READY, health.ready)
    for finding in health.findings:
        figures.show(deployment_metrics.FINDINGS, 1, finding.code, finding.level.value)
    probe_s = None if health.probe_ms is None else health.probe_ms / 1000
    figures.show(deployment_metrics.STORE_PROBE_SECONDS, probe_s)
    figures.show(deployment_metrics.STORE_MEMORY_RATIO, health.memory_ratio)
    figures.show(deployment_metrics.STORE_MEMORY_BYTES, server.used_bytes if server else None)
    figures.show(deployment_metrics.STORE_MEMORY_LIMIT_BYTES, (server.max_bytes or None) if server else None)
    figures.show(deployment_metrics.STORE_REPLICATION_LAG_SECONDS, server.lag_s if server else None)
    figures.show(deployment_metrics.WORKERS, work.workers if work else None)
    figures.show(deployment_metrics.QUEUED_JOBS, work.due + work.later if work else None)
    figures.show(deployment_metrics.LEASES, work.leases if work else None)
    figures.show(deployment_metrics.OLDEST_DUE_JOB_SECONDS, work.oldest_due_s if work else None)
    for breaker in health.breakers.breakers if health.breakers else ():
        figures.show(version_metrics.BREAKER_OPEN, breaker.state != "closed", breaker.kind, breaker.name)
    _show_people(figures, health)
    _show_lanes(figures, health)
    _show_rollouts(figures, health)


def _show_people(figures: Figures, health: Health) -> None:
    waiting = health.waiting
    for graph_id, count in (waiting.undecided if waiting else {}).items():
        figures.show(people_metrics.REVIEWS_UNDECIDED, count, graph_id)
    for graph_id, count in (waiting.overdue if waiting else {}).items():
        figures.show(people_metrics.REVIEWS_OVERDUE, count, graph_id)
    figures.show(people_metrics.REVIEWS_OLDEST_SECONDS, waiting.oldest_s if waiting else None)
    figures.show(people_metrics.PAUSED_RUNS, waiting.paused_by_operators if waiting else None, "operator")
    figures.show(people_metrics.PAUSED_RUNS, waiting.paused_by_switches if waiting else None, "switch")
    off = None if health.switches is None else Counts(each.target.kind for each in health.switches.all())
    for kind in Kind:
        figures.show(people_metrics.SWITCHES_OFF, None if off is None else off[kind], kind.value)


def _show_lanes(figures: Figures, health: Health) -> None:
    """Runs that wait for a worker which serves their version."""
    lanes = health.work.lanes if health.work else ()
    for lane in lanes:
        labels = (lane.graph_id, lane.version or "")
        figures.add(version_metrics.VERSION_QUEUE_DEPTH, lane.jobs, *labels)
        figures.raise_to(version_metrics.VERSION_QUEUE_OLDEST_SECONDS, lane.oldest_s, *labels)
    unserved = {(lane.graph_id, lane.version) for lane in lanes if not lane.is_served}
    figures.show(version_metrics.VERSIONS_UNSERVED, len(unserved) if health.work else None)


def _show_rollouts(figures: Figures, health: Health) -> None:
    for rollout, counts in health.rollouts or ():
        graph_id, ramp = rollout.graph_id, rollout.ramp
        share = 0 if ramp is None else ramp.percent
        figures.show(version_metrics.ROLLOUT_WEIGHT, 100 - share, graph_id, rollout.current)
        if ramp is None:
            continue
        figures.show(version_metrics.ROLLOUT_WEIGHT, share, graph_id, ramp.version)
        for version, of in counts.by_version.items():
            figures.show(version_metrics.VERSION_NEW_THREADS, of.threads, graph_id, version)
            for outcome, runs in (("succeeded", of.succeeded), ("failed", of.failed), ("ceilings", of.ceilings)):
                figures.show(version_metrics.VERSION_RUNS, runs, graph_id, version, outcome)
