"""The metrics of reviews, of pauses, of webhooks and of hooks."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.buckets import WAITS
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.fields import BY, DECISION, GRAPH, HOOK, KIND, RESULT
from slipway.telemetry.table.metric_kind import counter, gauge, histogram

REVIEWS_UNDECIDED: Final = gauge("slipway_reviews_undecided", "Reviews that nobody has decided", GRAPH)
REVIEWS_OVERDUE: Final = gauge("slipway_reviews_overdue", "Those whose due time has come", GRAPH)
REVIEWS_OLDEST_SECONDS: Final = gauge(
    "slipway_reviews_oldest_seconds", "Time since the oldest undecided review was opened", unit=Unit.SECONDS
)
APPROVAL_WAIT_SECONDS: Final = histogram(
    "slipway_approval_wait_seconds",
    "Time from when a review was opened until it was decided, or nobody could decide it any more",
    *(GRAPH, DECISION),
    buckets=WAITS,
)
PAUSED_RUNS: Final = gauge("slipway_paused_runs", "Paused runs by what pauses them: operator or switch", BY)
SWITCHES_OFF: Final = gauge("slipway_switches_off", "Switches that are off: node, tool, graph or all", KIND)
WEBHOOK_TRIES: Final = counter(
    "slipway_webhook_tries",
    "Tries to deliver a webhook: delivered, retried (it is tried again) or dead (it was the last)",
    RESULT,
)
WEBHOOKS_WAITING: Final = gauge("slipway_webhooks_waiting", "Webhooks that are due, or wait for their next try")
HOOK_DELIVERIES: Final = counter(
    "slipway_hook_deliveries",
    "Deliveries to hooks: accepted, ignored, rejected, repeated, or refused (without a valid signature)",
    *(HOOK, RESULT),
)

AREA: Final = Area(
    "Metrics of people and webhooks",
    metrics=(
        *(REVIEWS_UNDECIDED, REVIEWS_OVERDUE, REVIEWS_OLDEST_SECONDS, APPROVAL_WAIT_SECONDS, PAUSED_RUNS),
        *(SWITCHES_OFF, WEBHOOK_TRIES, WEBHOOKS_WAITING, HOOK_DELIVERIES),
    ),
)
