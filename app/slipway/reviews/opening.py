"""Opens the reviews of a run that begins to wait."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from slipway.access.users import owner_of_user
from slipway.graphs.review_policy import ReviewPolicies, ReviewPolicy
from slipway.redaction.redact import redact_json
from slipway.redis.hash_fields import flat
from slipway.reviews.record import APPROVING, review_id_of, terms_of
from slipway.runs.record import Run
from slipway.runs.review_arguments import NewReview, OpenedReview, question_digest
from slipway.runs.settlement import AskedQuestion
from slipway.serialization.at_rest import sealed
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import question_place


def opened_reviews(
    run: Run, questions: Sequence[AskedQuestion], policies: ReviewPolicies, gateway_questions: AbstractSet[str]
) -> list[OpenedReview]:
    """One review for each interrupt. The policy is that of the tool gateway for the questions that it has asked (their
    digests), and the graph's for all others, whatever they say."""
    distinct = {question.interrupt["id"]: question for question in questions}
    return [_opened(run, question, policies, gateway_questions) for question in distinct.values()]


def _opened(
    run: Run, question: AskedQuestion, policies: ReviewPolicies, gateway_questions: AbstractSet[str]
) -> OpenedReview:
    interrupt_id, stored = question.interrupt["id"], redact_json(dumps(question.interrupt))
    value = question.interrupt["value"]
    gateway: Mapping[str, Any] | None = value["slipway"] if question_digest(value) in gateway_questions else None
    policy = policies.of(question.node) if gateway is None else ReviewPolicy.from_stored(gateway)
    fields = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "graph_id": run.graph_id,
        "node": question.node,
        "interrupt_id": interrupt_id,
        "policy": dumps(policy.stored()).decode(),
        "owner": run.owner,
        "restricted_to": owner_of_user(run.user),
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
        "terms": terms_of(run.graph_id, None, policy.groups, owner_of_user(run.user)),
        "delays_ms": {name: int(delay_s * 1000) for name, delay_s in delays_s.items() if delay_s is not None},
        "guarded": policy.guarded or gateway is not None,
        "asked": {"call": gateway["call"], "hash": gateway["hash"], "approving": APPROVING} if gateway else None,
        "opened": dumps(details | {"policy": policy.stored()}).decode(),
    }
    return OpenedReview(new, sealed(stored, question_place(run.run_id)))
