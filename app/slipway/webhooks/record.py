"""The record of a webhook that is to be called: by a run that names one, for an event to which an endpoint subscribes,
or for a rollout.

    body        of a run's own webhook: the protocol's Run, and run_started_at, run_ended_at, webhook_sent_at, values,
                interrupts, error. Of an event: type, timestamp, data. It is stored before the first call, and each try
                sends the same bytes
    headers     those of langgraph.json, and the three of standardwebhooks.com (`signing.py`)
    webhook-id  `Delivery.delivery_id`: the same for each try, so that a receiver can detect a repetition

A webhook is called until a receiver accepts it. If a worker dies after the call and before its success is stored, it is
called again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from slipway.clock import iso
from slipway.redaction.redact import redact_json
from slipway.redis.hash_fields import Fields
from slipway.runs import cancel_reasons
from slipway.runs.cancel_reasons import Action
from slipway.runs.logged_run import LoggedRun
from slipway.runs.record import Run, run_from
from slipway.serialization.at_rest import opened, opened_json
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import DECISION, THREAD, delivery_place, endpoint_place, question_place
from slipway.tracing.run_trace import RunTrace, run_trace_from
from slipway.webhooks.full_event import FullEvent
from slipway.webhooks.signing import SigningKey, signing_key

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
class Recipient:
    """What a claim reads of the endpoint that a delivery goes to."""

    endpoint_id: str
    url: str
    keys: Sequence[SigningKey]
    """The keys that are valid at the time of the claim, the newest first."""

    @classmethod
    def from_fields(cls, endpoint_id: str, fields: Fields, now_us: int) -> Recipient:
        """Raises `BadKey` for a stored key that is none."""
        stored = opened_json(fields["keys"], endpoint_place(endpoint_id))
        valid = [each["secret"] for each in stored if each.get("until_us") is None or each["until_us"] > now_us]
        return cls(endpoint_id, fields["url"].decode(), tuple(map(signing_key, valid)))


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that is to be called, as a claim read it."""

    delivery_id: str
    """For a run's own webhook the run's id. The id of a run has a suffix if there is a delivery of an earlier run with
    it, since deleted."""
    run_id: str
    """The run that names the webhook, or that an event is about. Empty for other events."""
    thread_id: str
    url: str
    try_number: int
    """From 1. It is the fencing token of what this try stores."""
    calls: int
    """Which call of the schedule this try is, from 1: tries before a replay, and those that made no call, do not
    count."""
    stored_body: bytes | None = None
    """What an earlier try has stored, or the script that stored the event. None: this try makes it."""
    event: FullEvent | None = None
    """What the full body of an event is made of, if it is not made yet."""
    body_members: Mapping[str, Any] | None = None
    """The JSON members of a body that is not made yet, but for `webhook_sent_at`."""
    recipient: Recipient | None = None
    """The endpoint; None if a run or a rollout names the URL."""
    origin: str | None = None
    """Field `webhook_origin` of the run."""
    event_type: str | None = None
    trace: RunTrace | None = None
    """The trace of the run, if it has one."""
    graph_id: str = ""
    """The graph of a run's own webhook. Else empty."""
    user: dict[str, Any] | None = None
    """The user for whom the run executed."""
    uncounted_tries: int = 0
    """How many tries made no call because the auth file failed, since the last replay."""
    changed_by: Sequence[dict[str, Any]] = ()
    """Other users who changed the cron that created the run, and maybe this webhook."""
    temporary: bool = False
    """Whether the thread was created for this run."""
    permitted_us: int | None = None
    """When the auth file authorized the run, in µs. A thread of this id that was created later is another thread."""

    @property
    def logged_run(self) -> LoggedRun:
        """Its run as lines of the log name it. Empty if it belongs to none."""
        trace_id = "" if self.trace is None else self.trace.context.trace_id
        return LoggedRun(self.run_id, self.thread_id, self.graph_id, trace_id)

    @property
    def is_of_run(self) -> bool:
        """Whether it is a run's own webhook."""
        return self.recipient is None and bool(self.run_id)

    @classmethod
    def from_fields(cls, fields: Fields, endpoint: Fields, now_us: int) -> Delivery:
        """The record of a stored hash, and that of its endpoint. Raises `BadKey`, and `StoredDataError` for a damaged
        record."""
        delivery_id, tries = fields["delivery_id"].decode(), int(fields["tries"])
        uncounted = int(fields.get("uncounted_tries", 0))
        stored_body = built_body(delivery_id, fields)
        common: dict[str, Any] = {  # arguments of the class, of several types
            "delivery_id": delivery_id,
            "try_number": tries,
            "calls": tries - int(fields.get("tries_before", 0)) - uncounted,
            "uncounted_tries": uncounted,
            "stored_body": stored_body,
            "event_type": fields["type"].decode() if "type" in fields else None,
            "trace": run_trace_from(fields["trace"]) if "trace" in fields else None,
        }
        if "endpoint_id" in fields:
            recipient = Recipient.from_fields(fields["endpoint_id"].decode(), endpoint, now_us)
            run_id, thread_id = (fields.get(name, b"").decode() for name in ("run_id", "thread_id"))
            event = None if stored_body is not None else _event(delivery_id, fields)
            return cls(
                **common, run_id=run_id, thread_id=thread_id, url=recipient.url, event=event, recipient=recipient
            )
        if "announcement_url" in fields:
            members = orjson.loads(fields["announcement"]) if "announcement" in fields else None
            url = fields["announcement_url"].decode()
            return cls(**common, run_id="", thread_id="", url=url, body_members=members)
        run = run_from(fields)
        return cls(
            **common,
            run_id=run.run_id,
            thread_id=run.thread_id,
            graph_id=run.graph_id,
            url=str(run.options.webhook),
            body_members=None if stored_body is not None else _members_of_run(run, fields),
            origin=fields["webhook_origin"].decode() if "webhook_origin" in fields else None,
            user=run.user,
            changed_by=run.changed_by,
            temporary=bool(run.options.temporary),
            permitted_us=int(fields["permitted_us"]) if "permitted_us" in fields else None,
        )

    def without_values(self) -> Delivery:
        """The same delivery without the values and interrupts of the thread. A body that is stored already stays as the
        user was permitted to see it when it was made."""
        if self.body_members is None:
            return self
        return replace(self, body_members={**self.body_members, "values": None, "interrupts": {}})

    def new_body(self, now: datetime, allowed: Sequence[str] | None) -> bytes:
        """The JSON body of a delivery that has none yet. That of a run is restricted to the `allowed` members
        (`webhooks.allowed_fields`), if there are any."""
        if self.event is not None:
            return self.event.body()
        members = {**(self.body_members or {}), "webhook_sent_at": now.isoformat(timespec="microseconds")}
        if allowed is not None and self.run_id:
            members = {name: value for name, value in members.items() if name in allowed}
        return redact_json(dumps(members))


def built_body(delivery_id: str, fields: Fields) -> bytes | None:
    """The bytes that each try sends. None if the first try has not made them yet."""
    if "body" not in fields or "unbuilt" in fields:
        return None
    return opened(fields["body"], delivery_place(delivery_id))


def own_url(fields: Fields) -> str | None:
    """The URL that a rollout or a run names."""
    return fields["announcement_url"].decode() if "announcement_url" in fields else run_from(fields).options.webhook


def _event(delivery_id: str, fields: Fields) -> FullEvent:
    """What the script that stored the event has left for the first try."""
    run_id = fields.get("run_id", b"").decode()
    details: dict[str, Any] = {}
    if "full_data" in fields:
        details = orjson.loads(fields["full_data"])
    elif "review_question" in fields:
        details["question"] = opened_json(fields["review_question"], question_place(run_id))
        for name in ("answer", "decision"):
            stored = fields.get(f"review_{name}")
            details[name] = None if stored is None else opened_json(stored, DECISION)
    elif "body_interrupts" in fields:
        run = run_from(fields)
        public = run.public()
        error = opened_json(fields["body_error"], THREAD) if "body_error" in fields else run.public_error
        details["run"] = {name: public[name] for name in (*_RUN_MEMBERS, "status")} | {
            "values": opened_json(fields.get("body_values", b"null"), THREAD),
            "interrupts": opened_json(fields["body_interrupts"], THREAD),
            "error": error,
        }
    return FullEvent(opened_json(fields["body"], delivery_place(delivery_id)), details)


def _members_of_run(run: Run, fields: Fields) -> dict[str, Any]:
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
    return members | ({"error": {"error": error.get("error"), "message": error.get("message")}} if error else {})


def _error(run: Run, status: str, fields: Fields) -> Mapping[str, Any]:
    """The error of a run that failed or was cancelled, as clients are shown it; empty for any other run."""
    if status not in ("interrupted", "rollback"):
        return opened_json(fields["body_error"], THREAD) if "body_error" in fields else run.public_error or {}
    action = Action.ROLLBACK if status == "rollback" else Action.INTERRUPT
    return cancel_reasons.cancel_error(run.cancel_cause, run.cancel_reason, action=action)
