"""The metrics of runs. The script that makes a change counts it, so the counts are as exact as the records."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.buckets import ROUND_TRIPS, SUPERSTEPS, WAITS
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.fields import CODE, GRAPH, OUTCOME, PHASE, PRIORITY, RESULT, VERSION
from slipway.telemetry.table.metric_kind import counter, gauge, histogram

RUNS: Final = gauge("slipway_runs", "Stored runs by phase", PHASE)
QUEUE_DEPTH: Final = gauge(
    "slipway_queue_depth",
    "Runs in the phase queued: due, delayed, or behind an earlier run of their thread; version is empty until decided",
    *(GRAPH, VERSION, PRIORITY),
)
QUEUE_OLDEST_SECONDS: Final = gauge(
    "slipway_queue_oldest_seconds",
    "Time since the oldest of them was due, also while it waits behind an earlier run of its thread",
    *(GRAPH, VERSION, PRIORITY),
    unit=Unit.SECONDS,
)
NEW_RUNS: Final = counter("slipway_new_runs", "Runs that were stored", GRAPH)
RUNS_ENDED: Final = counter(
    "slipway_runs_ended", "Runs that ended, by outcome: completed, failed or cancelled", GRAPH, OUTCOME
)
RUN_FAILURES: Final = counter("slipway_run_failures", "Runs that failed, by the code of their error", GRAPH, CODE)
CEILINGS_REACHED: Final = counter(
    "slipway_ceilings_reached", "Runs that failed or paused because they reached a ceiling, by its code", GRAPH, CODE
)
ATTEMPTS_STARTED: Final = counter("slipway_attempts_started", "Attempts: claims of a run by a worker", GRAPH)
ATTEMPTS_ENDED: Final = counter(
    "slipway_attempts_ended",
    "Attempts that ended: completed, failed, cancelled, waiting_for_approval, released (given back), "
    "or lost (the worker died, or its lease expired)",
    *(GRAPH, RESULT),
)
LEASES_EXPIRED: Final = counter("slipway_leases_expired", "Leases that no heartbeat had extended, and were reclaimed")
RUN_RECOVERIES: Final = counter(
    "slipway_run_recoveries", "Runs that were queued again because the worker of their attempt died", GRAPH
)
NODE_RETRIES: Final = counter("slipway_node_retries", "Repetitions of nodes by their retry policies", GRAPH)
RUN_EVENTS: Final = counter("slipway_run_events", "Events of attempts that were appended to the logs of runs")
RUN_SECONDS: Final = histogram(
    "slipway_run_seconds",
    "Time from the creation of a run, after its delay, until it ended or began to wait for people; "
    "outcome is also waiting_for_approval",
    *(GRAPH, OUTCOME),
    buckets=WAITS,
)
QUEUE_WAIT_SECONDS: Final = histogram(
    "slipway_queue_wait_seconds",
    "Time from when an attempt was due until a worker claimed it",
    *(GRAPH, PRIORITY),
    buckets=WAITS,
)
SUPERSTEP_SECONDS: Final = histogram(
    "slipway_superstep_seconds", "Time of the supersteps of graphs whose results were stored", GRAPH, buckets=SUPERSTEPS
)
CHECKPOINT_WRITE_SECONDS: Final = histogram(
    "slipway_checkpoint_write_seconds",
    "Time until Redis had acknowledged a write group of an attempt: its checkpoint, writes and events",
    buckets=ROUND_TRIPS,
)

AREA: Final = Area(
    "Metrics of runs",
    metrics=(
        *(RUNS, QUEUE_DEPTH, QUEUE_OLDEST_SECONDS, NEW_RUNS, RUNS_ENDED, RUN_FAILURES, CEILINGS_REACHED),
        *(ATTEMPTS_STARTED, ATTEMPTS_ENDED, LEASES_EXPIRED, RUN_RECOVERIES, NODE_RETRIES, RUN_EVENTS),
        *(RUN_SECONDS, QUEUE_WAIT_SECONDS, SUPERSTEP_SECONDS, CHECKPOINT_WRITE_SECONDS),
    ),
)
