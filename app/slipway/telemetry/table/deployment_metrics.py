"""The metrics of a deployment's processes, of its Redis and of its clients."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.buckets import ROUND_TRIPS
from slipway.telemetry.table.event_kind import warning
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.fields import CODE, LEVEL, POLICY, PROBLEM, PROCESS, SHADOW
from slipway.telemetry.table.metric_kind import counter, gauge, histogram

READY: Final = gauge("slipway_ready", "1 when a new run would be stored")
FINDINGS: Final = gauge("slipway_findings", "Findings of /readyz", CODE, LEVEL)
REPAIRS: Final = counter("slipway_repairs", "Problems that the doctor and the reconciler repaired", PROBLEM)
PROCESSES: Final = gauge("slipway_processes", "Processes that have published metrics within 30 s", PROCESS)
WORKERS: Final = gauge("slipway_workers", "Live workers")
QUEUED_JOBS: Final = gauge("slipway_queued_jobs", "Due and delayed jobs that no worker has claimed")
LEASES: Final = gauge("slipway_leases", "Leases held by attempts")
OLDEST_DUE_JOB_SECONDS: Final = gauge(
    "slipway_oldest_due_job_seconds",
    "Waiting time of the oldest due job that any worker could claim; those for a certain version are not counted",
    unit=Unit.SECONDS,
)
STORE_PROBE_SECONDS: Final = gauge(
    "slipway_store_probe_seconds", "Time to write, read back and delete a key", unit=Unit.SECONDS
)
STORE_MEMORY_RATIO: Final = gauge(
    "slipway_store_memory_ratio",
    "Used memory of Redis as a share of its maxmemory; NaN without a limit",
    unit=Unit.RATIO,
)
STORE_MEMORY_BYTES: Final = gauge("slipway_store_memory_bytes", "Used memory of Redis", unit=Unit.BYTES)
STORE_MEMORY_LIMIT_BYTES: Final = gauge(
    "slipway_store_memory_limit_bytes", "maxmemory of Redis; NaN without a limit", unit=Unit.BYTES
)
STORE_REPLICATION_LAG_SECONDS: Final = gauge(
    "slipway_store_replication_lag_seconds", "Replication lag of the slowest replica", unit=Unit.SECONDS
)
STORE_ROUND_TRIP_SECONDS: Final = histogram(
    "slipway_store_round_trip_seconds",
    "Time of a round trip to Redis, measured once in each publication of a process",
    PROCESS,
    buckets=ROUND_TRIPS,
)
EVENT_LOOP_LAG_SECONDS: Final = histogram(
    "slipway_event_loop_lag_seconds",
    "How much later than asked the event loop of a process executed a timer, measured every second",
    PROCESS,
    buckets=ROUND_TRIPS,
)
EVENT_LOOP_BLOCKS: Final = counter("slipway_event_loop_blocks", "Blocks of the event loops", PROCESS)
EVENT_LOOP_BLOCKED_SECONDS: Final = counter(
    "slipway_event_loop_blocked_seconds", "Time of those blocks that are over", PROCESS, unit=Unit.SECONDS
)
HTTP_OPEN_STREAMS: Final = gauge("slipway_http_open_streams", "Open event streams and waiting responses")
HTTP_REJECTED_CLIENTS: Final = counter(
    "slipway_http_rejected_clients",
    "Clients that were rejected before their request reached the application, by the code of the error",
    CODE,
    counts=("http.client_rejected",),
)
RATE_LIMITED_REQUESTS: Final = counter(
    "slipway_rate_limited_requests",
    "Requests above a rate, by policy; in shadow mode they were served",
    *(POLICY, SHADOW),
)

_EVENTS: Final = (
    warning(
        "metrics.not_published",
        "A process that stops could not publish what it had measured since its last publication.",
        PROBLEM,
    ),
    warning(
        "metrics.not_read", "/metrics shows the figures that were read before, because Redis did not reply.", PROBLEM
    ),
)

AREA: Final = Area(
    "Metrics of the deployment",
    _EVENTS,
    metrics=(
        *(READY, FINDINGS, REPAIRS, PROCESSES, WORKERS, QUEUED_JOBS, LEASES, OLDEST_DUE_JOB_SECONDS),
        *(STORE_PROBE_SECONDS, STORE_MEMORY_RATIO, STORE_MEMORY_BYTES, STORE_MEMORY_LIMIT_BYTES),
        *(STORE_REPLICATION_LAG_SECONDS, STORE_ROUND_TRIP_SECONDS, EVENT_LOOP_LAG_SECONDS, EVENT_LOOP_BLOCKS),
        *(EVENT_LOOP_BLOCKED_SECONDS, HTTP_OPEN_STREAMS, HTTP_REJECTED_CLIENTS, RATE_LIMITED_REQUESTS),
    ),
)
