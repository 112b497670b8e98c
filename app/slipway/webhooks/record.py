"""The record of a webhook that is to be called, mostly by a run. One that announces the change of a rollout has its
whole body in the record, and no run.

    body        the protocol's Run, and run_started_at, run_ended_at, webhook_sent_at, values, interrupts, error
    headers     those of langgraph.json, and with `SLIPWAY_WEBHOOK_SECRET` the three of standardwebhooks.com
    webhook-id  `Delivery.delivery_id`: the same for each try, so that a receiver can detect a repetition

A webhook is called once. If a worker dies after the call and before its success is stored, it is called again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from slipway.clock import iso
from slipway.redis.hash_fields import Fields
from slipway.runs import cancel_reasons
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import Run, run_from
from slipway.serialization.at_rest import opened_json
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import THREAD

_RUN_MEMBERS: Final = (
    "run_id",
    "thread_id",
    "assistant_id",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "created_at",
    "updated_at",
    "langsmith_session_name",
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook that is to be called. A script creates the record when the run ends."""

    delivery_id: str
    """The run's id, or a random one for an announcement. The id of a run has a suffix if an earlier run with it was
    deleted while its webhook was still to be called."""
    run_id: str
    """Empty for an announcement, as is `thread_id`."""
    thread_id: str
    url: str
    try_number: int
    """From 1."""
    body_members: dict[str, Any]
    """The JSON members of the body, but for `webhook_sent_at`."""
    user: dict[str, Any] | None = None
    """The user for whom the run executed."""
    uncounted_tries: int = 0
    """How many earlier tries made no call because the auth file failed."""
    changed_by: Sequence[dict[str, Any]] = ()
    """Other users who changed the cron that created the run, and maybe this webhook."""
    temporary: bool = False
    """Whether the thread was created for this run."""
    permitted_us: int | None = None
    """When the auth file authorized the run, in µs. A thread of this id that was created later is another thread."""

    @classmethod
    def from_fields(cls, fields: Fields) -> Delivery:
        """The record of a stored hash."""
        if "announcement" in fields:
            return cls(
                delivery_id=fields["delivery_id"].decode(),
                run_id="",
                thread_id="",
                url=fields["announcement_url"].decode(),
                try_number=int(fields["tries"]),
                body_members=orjson.loads(fields["announcement"]),
            )
        run = run_from(fields)
        public = run.public()
        status = fields["body_status"].decode()
        error = _error(run, status, fields)
        members = {name: public[name] for name in _RUN_MEMBERS} | {
            "status": status,
            "run_started_at": iso(int(fields["started_us"])) if "started_us" in fields else None,
            "run_ended_at": iso(int(fields.get("ended_us", fields["updated_us"]))),
            "values": opened_json(fields.get("body_values", b"null"), THREAD),
            "interrupts": opened_json(fields["body_interrupts"], THREAD),
        }
        if error:
            members["error"] = {"error": error.get("error"), "message": error.get("message")}
        return cls(
            delivery_id=fields["delivery_id"].decode(),
            run_id=run.run_id,
            thread_id=run.thread_id,
            url=str(run.options.webhook),
            try_number=int(fields["tries"]),
            uncounted_tries=int(fields.get("uncounted_tries", 0)),
            body_members=members,
            user=run.user,
            changed_by=run.changed_by,
            temporary=bool(run.options.temporary),
            permitted_us=int(fields["permitted_us"]) if "permitted_us" in fields else None,
        )

    def without_values(self) -> Delivery:
        """The same delivery without the values and interrupts of the thread."""
        return replace(self, body_members=self.body_members | {"values": None, "interrupts": {}})

    def body(self, now: datetime, allowed: list[str] | None) -> bytes:
        """The JSON body. That of a run is restricted to the `allowed` members (`webhooks.allowed_fields`), if there are
        any."""
        members = self.body_members | {"webhook_sent_at": now.isoformat(timespec="microseconds")}
        if allowed is not None and self.run_id:
            members = {name: value for name, value in members.items() if name in allowed}
        return dumps(members)


def _error(run: Run, status: str, fields: Fields) -> Mapping[str, Any]:
    """The error of a run that failed or was cancelled, as clients are shown it; empty for any other run."""
    if status not in ("interrupted", "rollback"):
        return opened_json(fields["body_error"], THREAD) if "body_error" in fields else run.public_error or {}
    action = Action.ROLLBACK if status == "rollback" else Action.INTERRUPT
    return cancel_reasons.cancel_error(run.cancel_cause, run.cancel_reason, action=action)
