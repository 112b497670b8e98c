"""The script stubs of webhook endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.hash_fields import fields_of
from slipway.redis.script_source import load
from slipway.redis.shared_records import SharedRecordStubs
from slipway.runs.delivery_queues import EXTERNAL
from slipway.serialization.json_encoding import dumps
from slipway.webhook_endpoints.record import Endpoint, State, endpoint_from
from slipway.webhook_endpoints.signing_keys import stored_keys

_SAVE: Final = load("webhook_endpoint_save")
_REMOVE: Final = load("webhook_endpoint_remove")
_TEST: Final = load("webhook_endpoint_test")

MOST_ENDPOINTS: Final = 1000
MOST_OF_AN_OWNER: Final = 20


@dataclass(frozen=True, slots=True)
class TooMany:
    """There are as many endpoints, or endpoints of the owner, as there may be."""

    most: int


@dataclass(frozen=True, slots=True)
class ChangedMeanwhile:
    """The endpoint is not as it was read."""


class EndpointScripts(SharedRecordStubs):
    """The webhook endpoints of the deployment: shared records, which the first shard decides. Each method takes one
    round trip; a change takes those of the copies too. With several shards, the shard of the targets stores how calls
    of an endpoint end: a change of an endpoint takes one more round trip to it."""

    async def read(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint, with its health."""
        flat, health = await asyncio.gather(
            self._pipeline.send("HGETALL", self._keys.webhook_endpoint(endpoint_id), repeatable=True),
            self._health(endpoint_id),
        )
        return endpoint_from(endpoint_id, fields_of(flat) | health) if flat else None

    async def _health(self, endpoint_id: str) -> dict[str, bytes]:
        """The fields of the endpoint's health that its own record has not."""
        if not self._shards.tagged:
            return {}
        return fields_of(
            await self._pipeline.send("HGETALL", self._shards.targets.target(endpoint_id), repeatable=True)
        )

    async def _forget_health(self, endpoint_id: str) -> None:
        if self._shards.tagged:
            await self._pipeline.send("DEL", self._shards.targets.target(endpoint_id), repeatable=True)

    async def ids(self) -> list[str]:
        """All of them, the oldest first."""
        members = await self._pipeline.send("ZRANGE", self._keys.webhook_endpoints, 0, -1, repeatable=True)
        return [member.decode() for member in members]

    async def save(
        self, endpoint: Endpoint, request: str, *, create: bool
    ) -> Endpoint | TooMany | ChangedMeanwhile | None:
        """Adds the endpoint, or stores all its members if it still has its revision. Returns None if it was removed.
        `request` is a random text, by which the script recognises a repetition."""
        fields, deleted = _stored(endpoint)
        enabled = endpoint.state is State.ENABLED
        resets_health = enabled and endpoint.failures == 0
        if resets_health and not create:
            await self._forget_health(endpoint.endpoint_id)
        arguments = self._args(
            endpoint_id=endpoint.endpoint_id,
            create=create,
            request=request,
            revision=endpoint.revision,
            fields=fields,
            deleted=deleted,
            for_owner=endpoint.for_owner,
            entry=endpoint.entry if enabled else None,
            names=endpoint.names,
            resets_health=resets_health or None,
            most=MOST_ENDPOINTS,
            most_of_owner=MOST_OF_AN_OWNER,
        )
        reply = await self._pipeline.run(_SAVE, [], [*arguments, stored_keys(endpoint.keys, endpoint.endpoint_id)])
        match reply[0]:
            case b"ok":
                await self._copy()
                health = await self._health(endpoint.endpoint_id)
                return endpoint_from(endpoint.endpoint_id, fields_of(reply[1]) | health)
            case b"most":
                return TooMany(int(reply[1]))
            case b"changed":
                return ChangedMeanwhile()
        return None

    async def remove(self, endpoint_id: str) -> bool:
        """Returns False if there is no such endpoint."""
        if not await self._pipeline.run(_REMOVE, [], self._args(endpoint_id=endpoint_id)):
            return False
        await self._copy()
        await self._forget_health(endpoint_id)
        return True

    async def test(self, endpoint: Endpoint, by: str) -> str | None:
        """Creates the delivery of a test event, and returns its id. None if the endpoint is removed or disabled."""
        arguments = self._args(endpoint_id=endpoint.endpoint_id, queue=EXTERNAL, by=by)
        reply = await self._pipeline.run(_TEST, [], arguments)
        return reply[1].decode() if reply[0] == b"ok" else None


def _stored(endpoint: Endpoint) -> tuple[Sequence[str], Sequence[str]]:
    """The fields of the record but its keys, flat, and those that it does not have."""
    optional = {
        "graphs": dumps(list(endpoint.graphs)).decode() if endpoint.graphs else None,
        "for_owner": endpoint.for_owner,
        "description": endpoint.description,
        "disabled_reason": endpoint.disabled_reason,
    }
    fields = {
        "url": endpoint.url,
        "types": dumps(list(endpoint.types)).decode(),
        "format": endpoint.format.value,
        "concurrency": str(endpoint.concurrency),
        "state": endpoint.state.value,
        "created_by": endpoint.created_by,
    }
    fields |= {name: text for name, text in optional.items() if text is not None}
    deleted = [name for name, text in optional.items() if text is None]
    return [part for pair in fields.items() for part in pair], deleted
