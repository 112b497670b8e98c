"""The types of webhook events, and which of them an endpoint is subscribed to.

The scripts of Redis that change something create the deliveries of its event (`redis/lua/lib/webhook_events.lua`). The
body of an event is `{"type", "timestamp", "data"}`; a thin one has in `data` the ids of what has changed and the path
of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slipway.errors import InvalidRequest
from slipway.serialization.json_encoding import dumps
from slipway.value_problems import did_you_mean

EVENT_TYPES: Final = (
    "run.queued",
    "run.running",
    "run.paused",
    "run.waiting_for_approval",
    "run.completed",
    "run.failed",
    "run.cancelled",
    "review.opened",
    "review.due",
    "review.decided",
    "review.expired",
    "rollout.changed",
    "ceiling.warning",
    "budget.warning",
    "budget.used_up",
    "cron.problem",
    "endpoint.disabled",
)

TEST_TYPE: Final = "endpoint.test"
"""The type of a test event, which goes to one endpoint and which nobody subscribes to."""

EVERYTHING: Final = "*"

FAMILIES: Final = tuple(dict.fromkeys(f"{name.partition('.')[0]}.*" for name in EVENT_TYPES))
"""Such as `run.*`: all types that begin so, also those of later releases."""

SUBSCRIBABLE: Final = (*EVENT_TYPES, *FAMILIES, EVERYTHING)


def checked_types(types: Sequence[str]) -> tuple[str, ...]:
    """The types in the order of the list, each once and none that another one includes. Raises `InvalidRequest` about
    `types`."""
    if not types:
        raise InvalidRequest("types", "name at least one type of events, or * for all", known=SUBSCRIBABLE)
    for name in types:
        if name not in SUBSCRIBABLE:
            problem = f"unknown type {name!r}{did_you_mean(name, SUBSCRIBABLE)}"
            raise InvalidRequest("types", problem, known=SUBSCRIBABLE)
    if EVERYTHING in types:
        return (EVERYTHING,)
    wanted = set(types)
    return tuple(each for each in SUBSCRIBABLE if each in wanted and (each in FAMILIES or _family(each) not in wanted))


def _family(name: str) -> str:
    return f"{name.partition('.')[0]}.*"


def subscription_names(types: Sequence[str], graphs: Sequence[str], owner: str | None) -> list[str]:
    """The fields of the hash of subscriptions in which a script looks for the events that these members select."""
    owner_json = "" if owner is None else dumps(owner).decode()
    return [f"{name}\n{owner_json}\n{graph}" for name in types for graph in graphs or ("",)]
