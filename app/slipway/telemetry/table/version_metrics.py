"""The metrics of versions and rollouts, and of circuit breakers."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.fields import GRAPH, KIND, NAME, OUTCOME, VERSION
from slipway.telemetry.table.metric_kind import counter, gauge

VERSION_QUEUE_DEPTH: Final = gauge(
    "slipway_version_queue_depth", "Due runs that wait for a worker which serves their version", GRAPH, VERSION
)
VERSION_QUEUE_OLDEST_SECONDS: Final = gauge(
    "slipway_version_queue_oldest_seconds",
    "Time since the oldest of them was due",
    *(GRAPH, VERSION),
    unit=Unit.SECONDS,
)
VERSIONS_UNSERVED: Final = gauge("slipway_versions_unserved", "Versions that runs wait for and no live worker serves")
ROLLOUT_WEIGHT: Final = gauge(
    "slipway_rollout_weight", "Percent of the new threads that a version is to get", GRAPH, VERSION
)
VERSION_NEW_THREADS: Final = gauge(
    "slipway_version_new_threads", "New threads of a version since the ramp began", GRAPH, VERSION
)
VERSION_RUNS: Final = gauge(
    "slipway_version_runs",
    "Runs of a version that have ended since the ramp began: succeeded, failed or ceilings",
    *(GRAPH, VERSION, OUTCOME),
)
BREAKER_OPEN: Final = gauge(
    "slipway_breaker_open",
    "1 while the circuit breaker of a model or tool is open or half open, 0 while it is closed with failures",
    *(KIND, NAME),
)
BREAKER_OPENINGS: Final = counter(
    "slipway_breaker_openings", "How often the circuit breaker of a model or tool was opened", KIND, NAME
)

AREA: Final = Area(
    "Metrics of versions, rollouts and circuit breakers",
    metrics=(
        *(VERSION_QUEUE_DEPTH, VERSION_QUEUE_OLDEST_SECONDS, VERSIONS_UNSERVED, ROLLOUT_WEIGHT),
        *(VERSION_NEW_THREADS, VERSION_RUNS, BREAKER_OPEN, BREAKER_OPENINGS),
    ),
)
