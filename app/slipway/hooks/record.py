"""The record of a delivery to a hook."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from slipway.clock import iso
from slipway.redis.hash_fields import Fields
from slipway.serialization.at_rest import opened, opened_json, sealed_json
from slipway.serialization.json_encoding import clean, dumps
from slipway.serialization.places import hook_place


class DeliveryState(StrEnum):
    """What became of a delivery. The answers of `accepted` and `ignored` stay; one that was `rejected` is tried again
    when it is repeated. `received`: it is stored, and what it asks for is not done yet."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    IGNORED = "ignored"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class HookDelivery:
    """A delivery as it was stored at the moment of reading."""

    delivery: str
    """The id of the record, in `GET /ops/hooks/{hook}/deliveries/{delivery}`."""
    hook: str
    delivery_id: str
    """The delivery id of the sender."""
    event: str | None
    headers: Mapping[str, str]
    digest: str
    size: int
    """Of the body, in bytes."""
    received_us: int
    state: DeliveryState
    run_id: str
    """The id of the run that it creates, whether or not it has."""
    thread_id: str
    """The id of the new thread, if the mapping names none."""
    status: int | None
    """Of the response. None while it is `received`, and if there was none."""
    answer: Any
    repetitions: int
    tries: int
    """How often a worker tried to finish it."""
    replay_of: str | None
    by: str | None
    stored_body: bytes

    @property
    def body(self) -> bytes:
        """The body as it was received."""
        return opened(self.stored_body, hook_place(self.delivery))

    def public(self) -> dict[str, Any]:
        """What operators see in a list."""
        members: dict[str, Any] = {
            "delivery": self.delivery,
            "hook": self.hook,
            "delivery_id": self.delivery_id,
            "event": self.event,
            "received_at": iso(self.received_us),
            "state": self.state.value,
            "status": self.status,
            "answer": self.answer,
            "size": self.size,
            "repetitions": self.repetitions,
        }
        return members | ({} if self.replay_of is None else {"replay_of": self.replay_of, "by": self.by})

    def public_with_body(self) -> dict[str, Any]:
        """The same with headers and body. A body that is not UTF-8 is base64."""
        try:
            body = {"body": self.body.decode()}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(self.body).decode()}
        return self.public() | {"headers": dict(self.headers), "digest": self.digest} | body


def stored_fields(
    *,
    delivery: str,
    hook: str,
    delivery_id: str,
    event: str | None,
    headers: Mapping[str, str],
    digest: str,
    size: int,
    replay_of: str | None,
    by: str | None,
) -> dict[str, str]:
    """The fields of a new record, beside those that its script writes."""
    place = hook_place(delivery)
    fields = {
        "hook": hook,
        "delivery_id": sealed_json(delivery_id, place),
        "event_type": None if event is None else clean(event),
        "kept_headers": sealed_json(dict(headers), place),
        "digest": sealed_json(digest, place),
        "size": str(size),
        "replay_of": replay_of,
        "by": by,
    }
    return {name: text for name, text in fields.items() if text is not None}


_OUTCOMES: Final = ("accepted", "ignored", "rejected", "repeated", "refused")


@dataclass(frozen=True, slots=True)
class HookCounts:
    """What became of the requests to a hook, since the deployment exists."""

    by_outcome: Mapping[str, int]
    refused_us: int | None
    """When the last request without a valid signature came."""
    refused_why: str | None


def counts_from(fields: Fields) -> HookCounts:
    """The counts of a stored hash, which may be empty."""
    return HookCounts(
        {outcome: int(fields.get(outcome, 0)) for outcome in _OUTCOMES},
        int(fields["refused_us"]) if "refused_us" in fields else None,
        fields["refused_why"].decode() if "refused_why" in fields else None,
    )


def record_id_of(hook: str, delivery_id: str) -> str:
    """The id of the record: the same for each repetition of a delivery. 32 hexadecimal digits."""
    return hashlib.sha256(dumps([hook, delivery_id])).hexdigest()[:32]


def delivery_from(delivery: str, fields: Fields) -> HookDelivery:
    """The record of a stored hash."""
    place = hook_place(delivery)

    def text(name: str) -> str | None:
        return fields[name].decode() if name in fields else None

    return HookDelivery(
        delivery=delivery,
        hook=fields["hook"].decode(),
        delivery_id=opened_json(fields["delivery_id"], place),
        event=text("event_type"),
        headers=opened_json(fields["kept_headers"], place),
        digest=opened_json(fields["digest"], place),
        size=int(fields["size"]),
        received_us=int(fields["received_us"]),
        state=DeliveryState(fields["state"].decode()),
        run_id=fields["run_id"].decode(),
        thread_id=fields["thread_id"].decode(),
        status=int(fields.get("answer_status", 0)) or None,
        answer=opened_json(fields["answer"], place) if fields.get("answer") else None,
        repetitions=int(fields.get("repetitions", 0)),
        tries=int(fields.get("tries", 0)),
        replay_of=text("replay_of"),
        by=text("by"),
        stored_body=fields["raw_body"],
    )
