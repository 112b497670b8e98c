"""Webhooks: what a run that is over tells the URL it was given, and how the receiver knows that it was us.

    body        the protocol's Run, and run_started_at, run_ended_at, webhook_sent_at, values, interrupts, error
    headers     those of langgraph.json, and with `SLIPWAY_WEBHOOK_SECRET` the three of standardwebhooks.com
    webhook-id  the run's id (`Delivery.ident`): the same for each try, so a receiver knows a repetition

A webhook is called once. Only where a worker dies between the call and the note of its success is it called again.
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
from slipway.serialization.json_encoding import dumps

_RUN_FIELDS: Final = (
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
    """One webhook that is to be called.

    `number` says which try this is, from 1, and `uncounted` how many earlier tries made no call, because the auth file
    gave no answer. `ident` is the run's id, with more behind it where the webhook of a removed run of the same id was
    still to be called."""

    ident: str
    run_id: str
    thread_id: str
    url: str
    number: int
    told: dict[str, Any]
    user: dict[str, Any] | None = None
    """For whom the run worked."""
    uncounted: int = 0
    changed_by: Sequence[dict[str, Any]] = ()
    """Other users who changed the cron that made it, and maybe this webhook."""
    temporary: bool = False
    """Its thread was the run's own."""
    permitted_us: int | None = None
    """When the auth file allowed the run; a thread of its id that is younger is another."""

    @classmethod
    def from_fields(cls, held: Fields) -> Delivery:
        """From the record that was put aside when the run ended."""
        run = run_from(held)
        shown = run.public()
        status = held["told_status"].decode()
        error = _error(run, status, held)
        told = {name: shown[name] for name in _RUN_FIELDS} | {
            "status": status,
            "run_started_at": iso(int(held["started_us"])) if "started_us" in held else None,
            "run_ended_at": iso(int(held.get("ended_us", held["updated_us"]))),
            "values": orjson.loads(held.get("told_values", b"null")),
            "interrupts": orjson.loads(held["told_interrupts"]),
        }
        if error:
            told["error"] = {"error": error.get("error"), "message": error.get("message")}
        return cls(
            ident=held["delivery_id"].decode(),
            run_id=run.run_id,
            thread_id=run.thread_id,
            url=str(run.options.webhook),
            number=int(held["tries"]),
            uncounted=int(held.get("uncounted_tries", 0)),
            told=told,
            user=run.user,
            changed_by=run.changed_by,
            temporary=bool(run.options.temporary),
            permitted_us=int(held["permitted_us"]) if "permitted_us" in held else None,
        )

    def without_values(self) -> Delivery:
        """The same, but nothing of what the thread holds."""
        return replace(self, told=self.told | {"values": None, "interrupts": {}})

    def body(self, now: datetime, allowed: list[str] | None) -> bytes:
        """As it is sent: all of it, or only the allowed fields."""
        told = self.told | {"webhook_sent_at": now.isoformat(timespec="microseconds")}
        return dumps(told if allowed is None else {name: value for name, value in told.items() if name in allowed})


def _error(run: Run, status: str, held: Fields) -> Mapping[str, Any]:
    """Why the run failed or was cancelled, as clients see it; empty when it was neither."""
    if status not in ("interrupted", "rollback"):
        return orjson.loads(held["told_error"]) if "told_error" in held else run.shown_error or {}
    action = Action.ROLLBACK if status == "rollback" else Action.INTERRUPT
    return cancel_reasons.told(run.cancel_cause, run.cancel_reason, action=action)
