"""The record of a webhook endpoint: where which events are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson

from slipway.clock import iso
from slipway.redis.hash_fields import Fields
from slipway.webhook_endpoints.event_types import subscription_names
from slipway.webhook_endpoints.signing_keys import EndpointKey, keys_from, valid_keys


class Format(StrEnum):
    """What the bodies of events have: ids and a link, or the whole record too."""

    THIN = "thin"
    FULL = "full"


class State(StrEnum):
    """Whether events are sent. A disabled endpoint gets no deliveries, also not later for what happens now."""

    ENABLED = "enabled"
    DISABLED = "disabled"


DEFAULT_CONCURRENCY: Final = 4
MOST_CONCURRENCY: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One webhook endpoint."""

    endpoint_id: str
    url: str
    types: Sequence[str]
    """Types of events, families such as `run.*`, or `*`."""
    graphs: Sequence[str] = ()
    """Empty: events of all graphs, and those that belong to none."""
    for_owner: str | None = None
    """None: events of all owners, and those that belong to none."""
    format: Format = Format.THIN
    description: str | None = None
    keys: Sequence[EndpointKey] = field(repr=False)
    """The newest first. Some may have ended."""
    concurrency: int = DEFAULT_CONCURRENCY
    state: State = State.ENABLED
    disabled_reason: str | None = None
    created_us: int = 0
    updated_us: int = 0
    created_by: str = ""
    revision: str = "0"
    """How many times it was changed."""
    failures: int = 0
    """How many calls have failed in a row."""
    failing_since_us: int | None = None
    open_until_us: int | None = None
    """Until when nothing is called, because calls failed."""

    @property
    def entry(self) -> str:
        """Its entry in the subscriptions: `id:queue:format`. Workers call all endpoints (`e`)."""
        return f"{self.endpoint_id}:e:{self.format.value[0]}"

    @property
    def names(self) -> list[str]:
        """The fields of the subscriptions that have its entry while it is enabled."""
        return subscription_names(self.types, self.graphs, self.for_owner)

    def public(self, now_us: int) -> dict[str, Any]:
        """As operators see it: without secrets."""
        return {
            "endpoint_id": self.endpoint_id,
            "url": self.url,
            "types": list(self.types),
            "graphs": list(self.graphs) or None,
            "owner": self.for_owner,
            "format": self.format.value,
            "description": self.description,
            "concurrency": self.concurrency,
            "state": self.state.value,
            "disabled_reason": self.disabled_reason,
            "created_at": iso(self.created_us),
            "created_by": self.created_by,
            "updated_at": iso(self.updated_us),
            "keys": [key.public() for key in valid_keys(self.keys, now_us)],
            "failures": self.failures,
            "failing_since": _iso_or_none(self.failing_since_us),
            "paused_until": _iso_or_none(self.open_until_us),
        }


def _iso_or_none(moment_us: int | None) -> str | None:
    return None if moment_us is None else iso(moment_us)


def endpoint_from(endpoint_id: str, fields: Fields) -> Endpoint:
    """The endpoint of a stored hash."""
    return Endpoint(
        endpoint_id=endpoint_id,
        url=fields["url"].decode(),
        types=tuple(orjson.loads(fields["types"])),
        graphs=tuple(orjson.loads(fields.get("graphs", b"[]"))),
        for_owner=_text_of(fields.get("for_owner")),
        format=Format(fields["format"].decode()),
        description=_text_of(fields.get("description")),
        keys=keys_from(fields["keys"], endpoint_id),
        concurrency=int(fields["concurrency"]),
        state=State(fields["state"].decode()),
        disabled_reason=_text_of(fields.get("disabled_reason")),
        created_us=int(fields["created_us"]),
        updated_us=int(fields["updated_us"]),
        created_by=fields["created_by"].decode(),
        revision=fields["revision"].decode(),
        failures=int(fields.get("failures", 0)),
        failing_since_us=_number_of(fields.get("failing_since_us")),
        open_until_us=_number_of(fields.get("open_until_us")),
    )


def _text_of(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode()


def _number_of(stored: bytes | None) -> int | None:
    return None if stored is None else int(stored)
