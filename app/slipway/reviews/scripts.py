"""The script stubs of reviews."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypedDict

from slipway.indexes.scripts import Index, IndexCheck, IndexWalk, Order
from slipway.redis.hash_fields import flat
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs, arguments_for
from slipway.reviews.change import Change, as_json
from slipway.reviews.record import Review, run_of_review
from slipway.runs.review_arguments import StoredApproval, StoredEntry
from slipway.serialization.at_rest import sealed, sealed_text
from slipway.serialization.places import DECISION, audit_place

_REVIEW_CHANGE = load("review_change")
_REVIEW_SEARCH = load("review_search")
_INDEX_CHECK = load("review_index_check")


class ReviewChange(TypedDict):
    """The arguments of `review_change.lua`: those of a `Change`."""

    review_id: str
    revision: str
    """That of the review that was read."""
    request: str
    """A random text for each call, by which the script recognises a repetition."""
    state: str | None
    fields: Sequence[str]
    deleted: Sequence[str]
    delays_ms: Mapping[str, int]
    terms: str | None
    approval: StoredApproval | None
    audit: StoredEntry
    before_due: bool
    after_due: bool


class ChangeOutcome(StrEnum):
    """`ANSWERED`: the change is stored, and every question of the run has an answer now. `OVERDUE`: its due time has
    come before. `CHANGED`: somebody else has changed the review."""

    STORED = "ok"
    ANSWERED = "answered"
    NOT_FOUND = "missing"
    CHANGED = "changed"
    OVERDUE = "overdue"


class ReviewScripts(RecordScriptStubs):
    """One round trip each."""

    async def change(self, review: Review, change: Change) -> ChangeOutcome:
        """Stores the change, unless the review is not as it was read."""
        arguments: ReviewChange = {
            "review_id": review.review_id,
            "revision": review.revision,
            "request": secrets.token_hex(8),
            "state": change.state.value if change.state else None,
            "fields": flat(change.fields),
            "deleted": list(change.deleted),
            "delays_ms": change.delays_ms,
            "terms": change.terms,
            "approval": change.approval,
            "audit": entry_of(review.review_id, change),
            "before_due": change.before_due,
            "after_due": change.after_due,
        }
        answer = b"" if change.answer is None else sealed(change.answer, DECISION)
        reply = await self._pipeline.run(_REVIEW_CHANGE, [], [*self._of_review(arguments), answer])
        return ChangeOutcome(reply[0].decode())

    def _of_review(self, arguments: ReviewChange) -> tuple[str, bytes]:
        return arguments_for(self._shards.of_run(run_of_review(arguments["review_id"])), arguments)


def entry_of(review_id: str, change: Change) -> StoredEntry:
    """The entry of the audit trail."""
    details = as_json({"review_id": review_id, **change.details})
    place = audit_place(run_of_review(review_id))
    return {"action": change.action, "actor": change.actor, "details": sealed_text(details, place)}


def review_walk(pipeline: Pipeline, keys: Keys) -> IndexWalk:
    """A walk through the indexes of reviews of one shard: the sets have the name of a state or of an index term, and
    are ordered by `created_at`."""
    return IndexWalk(pipeline, keys, _REVIEW_INDEX, _REVIEW_SEARCH)


def review_index_check(pipeline: Pipeline, keys: Keys) -> IndexCheck:
    return IndexCheck(pipeline, keys, _INDEX_CHECK)


_REVIEW_INDEX: Final = Index(lambda keys: keys.reviews, Keys.reviews_with)

ORDER_OF_DUE_TIMES: Final = Order(lambda keys: keys.reviews_by_due)
"""The order of the set of reviews that are open or claimed; all other sets have that of the creation. Its scores are
those of `Review.due_score`."""
