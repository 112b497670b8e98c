"""Redis: connections, the layout of the data, and records that processes follow."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import debug, error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import ADDRESS, PROBLEM, RETRY_IN_S

_CONNECTION: Final = Field("connection", Unit.NAME, "what the connection is for")
_LAYOUT: Final = Field("layout", Unit.NUMBER, "the version of the layout")
_FROM_LAYOUT: Final = Field("from_layout", Unit.NUMBER, "the version of the layout before")
_TO_LAYOUT: Final = Field("to_layout", Unit.NUMBER, "the version of the layout afterwards")
_CONSEQUENCE: Final = Field("consequence", Unit.TEXT, "what the process does now")
_SHARDS: Final = Field("shards", Unit.NAMES, "the numbers of shards")
_RESTATED: Final = Field("restated", Unit.COUNT, "how many records")
_COPIES: Final = Field("copies", Unit.TEXT, "what must confirm a write")
_WAITING: Final = Field("waiting", Unit.COUNT, "how many writes wait")
_RECORDS: Final = Field("records", Unit.NAME, "which records")

_EVENTS: Final = (
    warning("redis.unavailable", "Redis does not accept commands yet. The process waits.", PROBLEM, RETRY_IN_S),
    info("redis.available", "Redis accepts commands.", ADDRESS),
    warning("redis.disconnected", "A connection was lost, and is opened again.", ADDRESS, _CONNECTION),
    warning("redis.still_unavailable", "A connection cannot be opened again.", PROBLEM, _CONNECTION),
    info("redis.reconnected", "A connection was opened again.", ADDRESS, _CONNECTION),
    warning(
        "redis.not_replicated",
        "Replicas do not confirm what runs with durability replicated write. These runs wait.",
        PROBLEM,
        _COPIES,
        _WAITING,
    ),
    info("redis.replicated_again", "Replicas confirm writes again."),
    info("redis.server_of_dev", "The command uses the server of `slipway dev` in this folder.", ADDRESS),
    warning("cluster.not_read", "Which server of the cluster has which slots cannot be read now.", PROBLEM),
    error("subscriber.error_received", "Redis answered a subscription with an error.", PROBLEM),
    info("layout.upgrade_started", "Stored data is being converted.", _FROM_LAYOUT, _TO_LAYOUT),
    info("layout.upgraded", "Stored data has the layout of this release.", _LAYOUT),
    error("layout.too_new", "A later release has converted the stored data.", PROBLEM, _CONSEQUENCE),
    debug("records.not_read", "Records that this process follows are read later.", _RECORDS, PROBLEM),
    warning("shared_records.pending", "A change is decided. These shards get it when they can be reached.", _SHARDS),
    warning("shared_records.unreachable", "Copies in these shards may be older than the records.", _SHARDS),
    warning(
        "shared_records.restated",
        "The first shard of threads has lost writes. What it has now is copied to the others again.",
        _RESTATED,
        _SHARDS,
    ),
    error("records.read_failed", "Records that this process follows cannot be read.", _RECORDS, has_exception=True),
)

AREA: Final = Area("Redis", _EVENTS)
