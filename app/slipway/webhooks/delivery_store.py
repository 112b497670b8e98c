"""The operations on deliveries, for routes and commands: read one with its tries and its body, and send some again."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import orjson

from slipway.clock import iso
from slipway.errors import Conflict, InvalidRequest, NotFound
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.json_encoding import clean
from slipway.webhooks.delivery_reads import DeliveryReads, StoredTarget, TargetReads, summary_from
from slipway.webhooks.delivery_search import DeliveryQuery, DeliverySearch
from slipway.webhooks.delivery_summary import FIELDS, DeliverySummary
from slipway.webhooks.limits import Limits
from slipway.webhooks.record import built_body, own_url
from slipway.webhooks.scripts import DeliveryScripts, ReplayOutcome
from slipway.webhooks.try_record import TryRecord

_LONGEST_ID: Final = 200
_ID: Final = re.compile(r"[A-Za-z0-9_@-]{1,200}", re.ASCII)
REPLAY_BATCH: Final = 100
"""How many deliveries one script sends again."""


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """All that is known about a delivery."""

    summary: DeliverySummary
    url: str | None
    """None if the endpoint was deleted."""
    body: bytes | None
    """What each try sends; None before the first try has made it."""
    tries: list[TryRecord]
    target: StoredTarget | None
    """None for a webhook that is a path of this deployment."""

    def public(self, *, for_operators: bool) -> dict[str, Any]:
        """As clients receive it. Only operators receive the responses of receivers."""
        return self.summary.public() | {
            "url": self.url,
            "body": None if self.body is None else _json_or_text(self.body),
            "target": None if self.target is None else _public_target(self.target),
            "history": [each.public(with_response=for_operators) for each in self.tries],
        }


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """How many deliveries are sent again, how many are not because a try is in progress, and the cursor with which the
    request continues: None if all were found."""

    replayed: int
    calling: int
    next: str | None


class DeliveryStore:
    """Reads and replays deliveries. With `owner` those that this owner may see; None: all."""

    def __init__(self, pipeline: Pipeline, shards: Shards, limits: Limits, search: DeliverySearch) -> None:
        self._reads, self._search = DeliveryReads(pipeline, shards.records), search
        self._targets = TargetReads(pipeline, shards)
        self._scripts = DeliveryScripts(pipeline, shards, limits)

    async def get(self, delivery_id: str, owner: str | None = None) -> DeliveryDetails:
        """Two round trips. Raises `NotFound`."""
        _check_id(delivery_id)
        fields, tries = await self._reads.with_tries(delivery_id)
        summary = summary_from(delivery_id, [fields.get(name) for name in FIELDS])
        if summary is None or owner not in (None, summary.owner):
            raise NotFound("delivery", delivery_id)
        target = await self._targets.target(delivery_id, fields)
        url = own_url(fields) if summary.endpoint_id is None else None if target is None else target.url
        body = built_body(delivery_id, fields)
        history = [TryRecord.from_stored(delivery_id, each) for each in tries]
        return DeliveryDetails(summary, url, body, history, target)

    async def replay(self, delivery_id: str, owner: str | None = None) -> DeliverySummary:
        """Sends a delivery again now, with the same id and body, and its tries begin from the first. Raises `NotFound`,
        and `Conflict` while a try is in progress."""
        await self._require_seen(delivery_id, owner)
        (outcome,) = await self._scripts.replay([delivery_id])
        if outcome is ReplayOutcome.CALLING:
            raise Conflict(f"a try of the delivery {delivery_id!r} is in progress: its result decides")
        return await self._require_seen(delivery_id, owner)

    async def checked(self, query: DeliveryQuery, owner: str | None = None) -> DeliveryQuery:
        """The query of a client, with its run id in canonical form. An endpoint is known if it exists, and as long as a
        delivery to it is stored. An owner knows those that are for this owner alone, and those of its deliveries. One
        round trip if the query names an endpoint that exists, else none, or those of a search. Raises `InvalidRequest`
        for a run id that is none, and `NotFound` for an endpoint that is not known."""
        if query.endpoint_id is not None and not await self._is_known(query.endpoint_id, owner):
            raise NotFound("webhook endpoint", clean(query.endpoint_id[:_LONGEST_ID]))
        return query if query.run_id is None else replace(query, run_id=_run_id(query.run_id))

    async def _is_known(self, endpoint_id: str, owner: str | None) -> bool:
        if not _ID.fullmatch(endpoint_id):
            return False
        found = await self._targets.endpoint_owner(endpoint_id)
        if found is not None and owner in (None, found):
            return True
        page = await self._search.page(DeliveryQuery(endpoint_id=endpoint_id, owner=owner), limit=1)
        return bool(page.deliveries) or page.next is not None

    async def replay_matching(self, query: DeliveryQuery, *, limit: int, cursor: str | None) -> ReplayPage:
        """Sends up to `limit` deliveries again, the oldest first. Raises `InvalidRequest` for a cursor of another
        query."""
        page = await self._search.page(query, limit=limit, cursor=cursor, oldest_first=True)
        ids = [each.delivery_id for each in page.deliveries]
        outcomes: list[ReplayOutcome] = []
        for first in range(0, len(ids), REPLAY_BATCH):
            outcomes += await self._scripts.replay(ids[first : first + REPLAY_BATCH])
        counts = {outcome: outcomes.count(outcome) for outcome in ReplayOutcome}
        return ReplayPage(counts[ReplayOutcome.REPLAYED], counts[ReplayOutcome.CALLING], page.next)

    async def _require_seen(self, delivery_id: str, owner: str | None) -> DeliverySummary:
        _check_id(delivery_id)
        (summary,) = await self._search.read([delivery_id])
        if summary is None or owner not in (None, summary.owner):
            raise NotFound("delivery", delivery_id)
        return summary


def _check_id(delivery_id: str) -> None:
    """Raises `NotFound` for a text that is no id, and could be a part of the name of another key."""
    if not _ID.fullmatch(delivery_id):
        raise NotFound("delivery", clean(delivery_id[:_LONGEST_ID]))


def _run_id(text: str) -> str:
    try:
        canonical = str(UUID(text))
    except ValueError:
        canonical = ""
    if canonical != text.lower():  # `UUID` also reads other forms, for example without hyphens
        raise InvalidRequest("run_id", f"{clean(text[:_LONGEST_ID])!r} is not a UUID")
    return canonical


def _public_target(target: StoredTarget) -> dict[str, Any]:
    since_us, until_us = target.failing_since_us, target.open_until_us
    return {
        "failures": target.failures,
        "failing_since": None if since_us is None else iso(since_us),
        "open_until": None if until_us is None else iso(until_us),
        "disabled": target.disabled_reason,
        "delivery_waits": target.parks_delivery,
    }


def _json_or_text(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")
