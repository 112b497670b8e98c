"""The read stubs of deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.pipeline import Pipeline
from slipway.redis.read_stubs import ReadStubs
from slipway.redis.shards import Shards
from slipway.webhooks.delivery_summary import FIELDS, DeliveryState, DeliverySummary


@dataclass(frozen=True, slots=True)
class StoredTarget:
    """The health of the endpoint, or of the origin that a run names, as `target_breaker.lua` stores it."""

    url: str | None
    """Of the endpoint; None if it was deleted, and for an origin."""
    disabled_reason: str | None
    failures: int
    failing_since_us: int | None
    open_until_us: int | None
    parks_delivery: bool
    """Whether the delivery is due, and waits for a free call."""


class DeliveryReads(ReadStubs):
    """One round trip each."""

    async def summaries(self, delivery_ids: Sequence[str]) -> list[DeliverySummary | None]:
        """In the order of the ids; None for each that does not exist."""
        keys = map(self._keys.delivery, delivery_ids)
        records = await asyncio.gather(*(self._pipeline.send("HMGET", key, *FIELDS, repeatable=True) for key in keys))
        return [summary_from(each, values) for each, values in zip(delivery_ids, records, strict=True)]

    async def with_tries(self, delivery_id: str) -> tuple[Fields, list[bytes]]:
        """The record (empty if there is none), and the stored tries, the oldest first."""
        record, tries = await asyncio.gather(
            self._pipeline.send("HGETALL", self._keys.delivery(delivery_id), repeatable=True),
            self._pipeline.send("LRANGE", self._keys.delivery_tries(delivery_id), 0, -1, repeatable=True),
        )
        return fields_of(record), tries


class TargetReads:
    """Reads where deliveries are sent. One round trip each."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._pipeline, self._shards = pipeline, shards

    async def endpoint_owner(self, endpoint_id: str) -> str | None:
        """The owner for whom an endpoint is: an empty text if it is for all, None if it does not exist."""
        key = self._shards.home.webhook_endpoint(endpoint_id)
        url, owner = await self._pipeline.send("HMGET", key, "url", "for_owner", repeatable=True)
        return None if url is None else (owner or b"").decode()

    async def target(self, delivery_id: str, fields: Fields) -> StoredTarget | None:
        """The target of a delivery; None if nothing limits its calls."""
        keys = self._shards.of_delivery(delivery_id)
        if "endpoint_id" in fields:
            target = fields["endpoint_id"].decode()
            key = keys.webhook_endpoint(target)
        elif "webhook_origin" in fields:
            origin = fields["webhook_origin"].decode()
            target, key = f"origin:{origin}", keys.webhook_origin(origin)
        else:
            return None
        health = self._shards.targets.target(target) if self._shards.tagged else key
        (url, reason), (failures, since, until), score = await asyncio.gather(
            self._pipeline.send("HMGET", key, "url", "disabled_reason", repeatable=True),
            self._pipeline.send("HMGET", health, "failures", "failing_since_us", "open_until_us", repeatable=True),
            self._pipeline.send("ZSCORE", keys.parked_deliveries(target), delivery_id, repeatable=True),
        )
        return StoredTarget(
            url=None if url is None else url.decode(),
            disabled_reason=None if reason is None else reason.decode(),
            failures=int(failures or 0),
            failing_since_us=None if since is None else int(since),
            open_until_us=None if until is None else int(until),
            parks_delivery=score is not None,
        )


def summary_from(delivery_id: str, values: Sequence[bytes | None]) -> DeliverySummary | None:
    """Of the values of `FIELDS`. None if there is no such delivery."""
    fields = {name: value.decode() for name, value in zip(FIELDS, values, strict=True) if value is not None}
    if "tries" not in fields:
        return None
    return DeliverySummary(
        delivery_id=delivery_id,
        state=DeliveryState(fields.get("delivery_state", DeliveryState.PENDING)),
        created_us=int(fields.get("enqueued_us", 0)),
        type=fields.get("type"),
        owner=fields.get("owner"),
        endpoint_id=fields.get("endpoint_id"),
        run_id=fields.get("run_id"),
        thread_id=fields.get("thread_id"),
        graph_id=fields.get("graph_id") or None,
        tries=int(fields["tries"]),
        called_us=_number(fields, "called_us"),
        next_try_us=_number(fields, "next_try_us"),
        settled_us=_number(fields, "settled_us"),
        problem=fields.get("problem"),
    )


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None
