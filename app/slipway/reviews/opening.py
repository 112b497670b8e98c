"""Opens the reviews of a run that begins to wait."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.graphs.review_policy import ReviewPolicies, ReviewPolicy
from slipway.redis.hash_fields import flat
from slipway.reviews.record import APPROVING, review_id_of, terms_of
from slipway.runs.record import Run
from slipway.runs.review_arguments import NewReview, OpenedReview
from slipway.runs.settlement import AskedQuestion
from slipway.serialization.compression import compressed
from slipway.serialization.json_encoding import dumps


def opened_reviews(run: Run, questions: Sequence[AskedQuestion], policies: ReviewPolicies) -> list[OpenedReview]:
    """One review for each interrupt. The policy is that of the gateway, if it asks about a call, else the graph's."""
    distinct = {question.interrupt["id"]: question for question in questions}
    return [_opened(run, question, policies) for question in distinct.values()]


def _opened(run: Run, question: AskedQuestion, policies: ReviewPolicies) -> OpenedReview:
    interrupt_id, stored = question.interrupt["id"], dumps(question.interrupt)
    gateway = _gateway_member(question.interrupt["value"])
    policy = policies.of(question.node) if gateway is None else ReviewPolicy.from_stored(gateway)
    fields = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "graph_id": run.graph_id,
        "node": question.node,
        "interrupt_id": interrupt_id,
        "policy": dumps(policy.stored()).decode(),
        "owner": run.owner,
        "started_by": run.started_by,
        "groups": dumps(list(policy.groups)).decode() if policy.groups else None,
        "call": gateway["call"] if gateway else None,
        "hash": gateway["hash"] if gateway else None,
    }
    delays_s = {"due_us": policy.due_s, "remind_us": policy.remind_s, "escalate_us": policy.escalate_s}
    digest = hashlib.sha256(stored).hexdigest()[:32]
    details = {"review_id": review_id_of(run.run_id, interrupt_id), "node": question.node, "question": digest}
    new: NewReview = {
        "interrupt_id": interrupt_id,
        "digest": digest,
        "fields": flat({name: value for name, value in fields.items() if value is not None}),
        "terms": terms_of(run.graph_id, None, policy.groups),
        "delays_ms": {name: int(delay_s * 1000) for name, delay_s in delays_s.items() if delay_s is not None},
        "guarded": policy.guarded,
        "asked": {"call": gateway["call"], "hash": gateway["hash"], "approving": APPROVING} if gateway else None,
        "opened": dumps(details | {"policy": policy.stored()}).decode(),
    }
    return OpenedReview(new, compressed(stored))


def _gateway_member(value: Any) -> Mapping[str, Any] | None:
    """What the tool gateway adds to its questions: `call`, `hash` and the members of the policy."""
    member = value.get("slipway") if isinstance(value, dict) and value.get("type") == "tool_approval" else None
    is_complete = isinstance(member, dict) and all(isinstance(member.get(name), str) for name in ("call", "hash"))
    return member if is_complete else None
