"""Webhooks that Slipway sends, webhook endpoints, and the deliveries that hooks receive."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import (
    ADDRESS,
    BY,
    CODE,
    DELIVERY,
    GRAPH,
    HOOK,
    HOST,
    PROBLEM,
    REASON,
    RETRY_IN_S,
    RUN,
    THREAD,
    TRACE,
)

_TRY: Final = Field("try", Unit.NUMBER, "the try, from 1")
_ENDPOINT: Final = Field("endpoint", Unit.ID, "the webhook endpoint")
_TYPES: Final = Field("types", Unit.NAMES, "the types of events that it gets")
_KEY_KIND: Final = Field("key_kind", Unit.CODE, "the kind of the new key")
_EVENT_TYPE: Final = Field("event_type", Unit.NAME, "the type of event, as the sender names it")

_OF_A_TRY: Final = (DELIVERY, RUN, THREAD, GRAPH, TRACE, _TRY)

_EVENTS: Final = (
    info("webhook.delivered", "The receiver answered with a status below 300.", *_OF_A_TRY),
    warning(
        "webhook.failed",
        "A try failed. Without `retry_in_s` it was the last one.",
        *(PROBLEM, RETRY_IN_S, *_OF_A_TRY),
    ),
    warning("webhook.rejected", "The delivery is given up: another try would fail as well.", PROBLEM, *_OF_A_TRY),
    error(
        "webhook.auth_failed",
        "A handler of the auth file failed when it was asked about the webhook. It is tried again. Logged once.",
        *(RETRY_IN_S, *_OF_A_TRY),
        has_exception=True,
    ),
    warning("webhook.overtaken", "The try took so long that another process has the delivery.", *_OF_A_TRY),
    warning("webhook.outcome_lost", "The outcome of a try was not stored: it is sent again.", DELIVERY, PROBLEM),
    warning(
        "webhook.targets_unavailable",
        "The shard that counts the calls of targets did not reply: deliveries wait, or how a try ended did not count.",
        PROBLEM,
    ),
    error("webhook.crashed", "A fault ended the try of a delivery.", DELIVERY, has_exception=True),
    error("webhook.endpoint_disabled", "Too many tries of an endpoint failed, and it was disabled.", _ENDPOINT, REASON),
    warning("webhook.host_not_found", "The host of a webhook has no address.", HOST, PROBLEM),
    warning("webhook.address_rejected", "Webhooks may not be sent to this address.", HOST, ADDRESS, PROBLEM),
    info("webhook_endpoint.added", "An endpoint was added.", _ENDPOINT, BY, _TYPES),
    info("webhook_endpoint.updated", "An endpoint was changed.", _ENDPOINT, BY),
    info("webhook_endpoint.enabled", "An endpoint gets events again.", _ENDPOINT, BY),
    info("webhook_endpoint.disabled", "An endpoint gets no events any more.", _ENDPOINT, BY, REASON),
    info("webhook_endpoint.rotated", "An endpoint has a new key.", _ENDPOINT, BY, _KEY_KIND),
    info("webhook_endpoint.removed", "An endpoint was removed.", _ENDPOINT, BY),
    info(
        "hook.accepted",
        "A delivery was accepted, and did what its hook says.",
        *(HOOK, DELIVERY, RUN, THREAD, GRAPH, TRACE),
    ),
    info("hook.ignored", "A delivery matched no rule of its hook.", HOOK, DELIVERY, _EVENT_TYPE),
    warning("hook.refused", "The signature of a delivery is wrong or missing.", HOOK, PROBLEM),
    warning("hook.rejected", "A delivery asks for what is not possible.", HOOK, DELIVERY, CODE, PROBLEM),
    warning("hook.not_finished", "A delivery that a process left behind is not finished yet.", HOOK, DELIVERY, PROBLEM),
)

AREA: Final = Area("Webhooks and hooks", _EVENTS)
