"""What people may do to a review, as functions of the review: each returns the change, or raises why it is impossible.

Whoever may decide a review may also claim, release, reassign and remind. The policy restricts who that is:

- `groups`: only their members;
- `four_eyes`: whoever started the run, or edited the call, cannot decide that something is executed. They may reject;
- `quorum`: so many different people must give the same answer. One is enough to reject, and to edit a call of the tool
  gateway, which then asks again about the edited call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from slipway.clock import iso
from slipway.errors import ReviewClaimed, ReviewClosed, ReviewCooldown, ReviewRefused
from slipway.reviews.actor import ANONYMOUS, Actor
from slipway.reviews.answers import Decision
from slipway.reviews.change import Change, as_json, stored_votes
from slipway.reviews.questions import DecisionKind
from slipway.reviews.record import (
    SLIPWAY,
    UNDECIDED,
    Outcome,
    Review,
    ReviewState,
    Vote,
    digest_of,
    terms_of,
)
from slipway.runs.review_arguments import StoredApproval
from slipway.serialization.at_rest import sealed_json
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import DECISION, approval_place

CallHash = Callable[[str, Mapping[str, Any]], str]
"""The hash of a call of a tool, from its name and its arguments."""

_EXECUTING: Final = frozenset({DecisionKind.APPROVE, DecisionKind.EDIT, DecisionKind.ANSWER})
"""Decisions after which something may be executed. Four eyes and a quorum are about these."""


# who


def require_undecided(review: Review) -> None:
    """Raises `ReviewClosed` with the first decision, or with what happened."""
    if review.state in UNDECIDED:
        return
    outcome = review.outcome
    happened = {"review_id": review.review_id, "state": review.state.value, "resumed_by": review.resumed_by}
    if outcome is not None:
        kinds = ", ".join(str(decision["kind"]) for decision in outcome.decisions)
        message = f"review {review.review_id} was decided by {' and '.join(outcome.by)} at {outcome.at}: {kinds}"
        # clients of the protocol know these members from any answer that came too late
        answered = {"answered_by": review.resumed_by, "answer": review.answer} if review.resumed_by else {}
        raise ReviewClosed(message, **happened, **answered, decision=outcome.public() | {"answer": review.answer})
    why = review.reason or "its run waits no more"
    raise ReviewClosed(f"review {review.review_id} cannot be decided any more: {why}", **happened, reason=why)


def require_in_time(review: Review, now_us: int) -> None:
    """Raises `ReviewClosed` after the due time, although the default action may not be done yet."""
    if review.due_us is not None and review.due_us <= now_us:
        raise ReviewClosed(
            f"review {review.review_id} cannot be decided any more: it was due at {iso(review.due_us)}",
            review_id=review.review_id,
            state=review.state.value,
            reason="its due time has come",
        )


def require_member(review: Review, actor: Actor) -> None:
    """Raises `ReviewRefused` if the actor is in none of the groups."""
    if review.groups and not set(review.groups) & set(actor.groups):
        names = ", ".join(review.groups)
        raise ReviewRefused(
            f"review {review.review_id} is for members of {names}, and {actor.identity} is not one: the authenticate "
            "handler returns the groups of a user in the member `groups`, and a command takes them from --group",
            review.review_id,
        )


def require_turn(review: Review, actor: Actor) -> None:
    """Raises `ReviewClaimed` if another person has claimed a review that one person decides. Where several must agree,
    everybody may vote."""
    if review.policy.quorum == 1:
        _require_unclaimed(review, actor)


def require_executor(review: Review, actor: Actor) -> None:
    """Raises `ReviewRefused` if the actor cannot decide that something is executed, but may reject."""
    _require_identity(review, actor)
    _require_four_eyes(review, actor)


def _require_four_eyes(review: Review, actor: Actor) -> None:
    if not review.policy.four_eyes:
        return
    edited_by = review.gateway_call.edited_by if review.gateway_call else None
    for identity, what in ((review.started_by, "started the run"), (edited_by, "edited the call")):
        if actor.identity == identity:
            raise ReviewRefused(
                f"review {review.review_id} needs a second person: {actor.identity} {what} and can only reject",
                review.review_id,
            )


def _require_identity(review: Review, actor: Actor) -> None:
    if actor.identity == ANONYMOUS and (review.policy.four_eyes or review.policy.quorum > 1):
        raise ReviewRefused(
            f"review {review.review_id} needs people who can be told apart: without an auth file everybody is "
            f"{ANONYMOUS}; set `auth` in langgraph.json, or decide with `slipway reviews decide --by NAME`",
            review.review_id,
        )


# claim, release, reassign, talk


def claimed(review: Review, actor: Actor) -> Change | None:
    """The actor becomes the assignee. None if that is so already."""
    require_undecided(review)
    require_member(review, actor)
    if review.assignee == actor.identity:
        return None
    _require_unclaimed(review, actor)
    return _assigned(review, actor, actor.identity, "review.claimed")


def released(review: Review, actor: Actor) -> Change | None:
    """Nobody is the assignee. None if that is so already."""
    require_undecided(review)
    if review.assignee is None:
        return None
    _require_unclaimed(review, actor)
    return Change(
        action="review.released",
        actor=actor.identity,
        state=ReviewState.OPEN,
        deleted=["assignee"],
        terms=terms_of(review.graph_id, None, review.groups, review.restricted_to),
    )


def reassigned(review: Review, actor: Actor, assignee: str) -> Change | None:
    """Another person becomes the assignee, whoever it was before."""
    require_undecided(review)
    require_member(review, actor)
    if review.assignee == assignee:
        return None
    return _assigned(review, actor, assignee, "review.reassigned")


def _require_unclaimed(review: Review, actor: Actor) -> None:
    if review.assignee not in (None, actor.identity):
        raise ReviewClaimed(
            f"review {review.review_id} is claimed by {review.assignee}; to take it over, reassign it",
            review_id=review.review_id,
            assignee=review.assignee,
        )


def _assigned(review: Review, actor: Actor, assignee: str, action: str) -> Change:
    return Change(
        action=action,
        actor=actor.identity,
        details={"assignee": assignee},
        state=ReviewState.CLAIMED,
        fields={"assignee": assignee},
        terms=terms_of(review.graph_id, assignee, review.groups, review.restricted_to),
    )


def commented(review: Review, actor: Actor, text: str) -> Change:
    """A comment for the other reviewers; the graph does not receive it."""
    require_undecided(review)
    return Change(action="review.commented", actor=actor.identity, details={"text": text})


def information_requested(review: Review, actor: Actor, text: str, follow_up_s: float | None) -> Change:
    """A request for more information. After `follow_up_s` the review comes back as one that needs attention."""
    require_undecided(review)
    delays = {} if follow_up_s is None else {"follow_up_us": int(follow_up_s * 1000)}
    details = {"text": text, "follow_up_s": follow_up_s}
    return Change(action="review.information_requested", actor=actor.identity, details=details, delays_ms=delays)


def reminded(review: Review, actor: Actor, now_us: int) -> Change:
    """A reminder to whoever may decide. Raises `ReviewCooldown` within the cool-down after the last one."""
    require_undecided(review)
    wait_s = 0.0 if review.reminded_us is None else review.policy.cooldown_s - (now_us - review.reminded_us) / 1e6
    if wait_s > 0:
        raise ReviewCooldown(
            f"review {review.review_id} was reminded of a moment ago; the next reminder is possible in {wait_s:.0f} s",
            retry_after_s=round(wait_s, 3),
        )
    return _reminder(review, actor.identity)


def _reminder(review: Review, actor: str) -> Change:
    return Change(
        action="review.reminded",
        actor=actor,
        details={"reminder": review.reminders + 1},
        fields={"reminders": str(review.reminders + 1)},
        delays_ms={"reminded_us": 0},
    )


# decide


def decided(
    review: Review, actor: Actor, decisions: Sequence[Decision], answer: Any, now_us: int, call_hash: CallHash
) -> Change:
    """The decision of one person. `answer` is the value that the interrupt gets. With a quorum it is a vote until
    enough people agree."""
    require_undecided(review)
    require_member(review, actor)
    require_turn(review, actor)
    return vote(review, actor, decisions, answer, now_us, call_hash)


def vote(
    review: Review, actor: Actor, decisions: Sequence[Decision], answer: Any, now_us: int, call_hash: CallHash
) -> Change:
    """The same, for an undecided review and a member of its groups, whoever has claimed it."""
    executes = any(decision.kind in _EXECUTING for decision in decisions)
    if executes:
        require_executor(review, actor)
    members, digest = [decision.public() for decision in decisions], digest_of(decisions)
    votes = [*(each for each in review.votes if each.by != actor.identity), Vote(actor.identity, members, digest)]
    agreeing = [each.by for each in votes if each.digest == digest]
    edits_call = review.gateway_call is not None and decisions[0].kind is DecisionKind.EDIT
    approval = _approval(review, actor, decisions, agreeing, call_hash)
    if executes and not edits_call and len(agreeing) < review.policy.quorum:
        return Change(
            action="review.voted",
            actor=actor.identity,
            details={"decisions": members, "agree": len(agreeing), "quorum": review.policy.quorum},
            fields={"votes": stored_votes(votes)},
            approval=approval,
            before_due=True,
        )
    people = agreeing if executes and not edits_call else [actor.identity]
    return Change(
        action="review.decided",
        actor=actor.identity,
        details={"decisions": members, "by": people},
        state=ReviewState.HELD,
        fields={"votes": stored_votes(votes), "decision": _outcome(people, members, now_us)},
        answer=dumps(answer),
        approval=approval,
        before_due=True,
    )


def _outcome(people: Sequence[str], members: Sequence[Mapping[str, Any]], now_us: int) -> str:
    outcome = Outcome(people, members, iso(now_us))
    return sealed_json(outcome.public(), DECISION)


def _approval(
    review: Review, actor: Actor, decisions: Sequence[Decision], agreeing: Sequence[str], call_hash: CallHash
) -> StoredApproval | None:
    """What the tool gateway learns about the call. Whoever edits a call approves it, unless the policy demands that
    another person does. A decision against the call removes the approvals that it had."""
    asked, decision = review.gateway_call, decisions[0]
    if asked is None:
        return None
    approved_hash, people, edited_by, instead = asked.hash, list(agreeing), asked.edited_by, None
    if decision.kind is DecisionKind.EDIT:
        name, args = decision.name or review.question.actions[0].name, decision.args or {}
        approved_hash = call_hash(name, args)
        people, edited_by = [] if review.policy.four_eyes else [actor.identity], actor.identity
        instead = None if approved_hash == asked.hash else {"kind": "edit", "name": name, "args": args}
    elif decision.kind is not DecisionKind.APPROVE:
        people, instead = [], {"kind": "reject", "message": decision.message or ""}
    return {
        "thread_id": review.thread_id,
        "call": asked.call,
        "asked_hash": asked.hash,
        "decision": None if instead is None else sealed_json(instead, approval_place(review.thread_id)),
        "hash": approved_hash,
        "count": len(people),
        "by": people,
        "review_id": review.review_id,
        "edited_by": edited_by,
    }


# times


def escalated(review: Review) -> Change:
    """More groups may decide."""
    groups = list(dict.fromkeys([*review.groups, *review.policy.escalate_to]))
    return Change(
        action="review.escalated",
        actor=SLIPWAY,
        details={"groups": groups},
        fields={"groups": as_json(groups)},
        deleted=["escalate_us"],
        terms=terms_of(review.graph_id, review.assignee, groups, review.restricted_to),
    )


def reminded_by_time(review: Review) -> Change:
    """The reminder of the policy, and when the next one comes."""
    change = _reminder(review, SLIPWAY)
    next_ms = int((review.policy.remind_s or 0) * 1000)
    return Change(
        action=change.action,
        actor=SLIPWAY,
        details=change.details,
        fields=change.fields,
        delays_ms={"reminded_us": 0, "remind_us": next_ms},
    )


def followed_up(review: Review) -> Change:
    """The time has come at which somebody wanted to look for the information that was requested."""
    return Change(action="review.follow_up", actor=SLIPWAY, deleted=["follow_up_us"])


def expired(review: Review, decisions: Sequence[Decision], answer: Any, now_us: int) -> Change:
    """The default action, which is the decision of nobody."""
    members = [decision.public() for decision in decisions]
    approval = _approval(review, Actor(SLIPWAY), decisions, [SLIPWAY] * review.policy.quorum, _no_hash)
    return Change(
        action="review.expired",
        actor=SLIPWAY,
        details={"decisions": members},
        state=ReviewState.HELD,
        fields={"decision": _outcome([SLIPWAY], members, now_us), "expires": "1"},
        answer=dumps(answer),
        approval=approval,
        after_due=True,
    )


def _no_hash(name: str, args: Mapping[str, Any]) -> str:
    raise AssertionError("a default action edits nothing")


def default_decisions(review: Review) -> list[Decision] | None:
    """The default action of the policy, as far as the question allows it. None: the run is to be cancelled."""
    default, question = review.policy.default or DecisionKind.REJECT.value, review.question
    if isinstance(default, str):
        decision = None if default == "cancel" else Decision(DecisionKind(default))
    elif "respond" in default:
        decision = Decision(DecisionKind.RESPOND, message=default["respond"])
    else:
        decision = Decision(DecisionKind.ANSWER, value=default.get("answer"))
    if decision is None or any(
        decision.kind not in question.allowed(position) for position in range(question.decisions)
    ):
        return None
    if decision.kind is DecisionKind.REJECT:
        decision = Decision(DecisionKind.REJECT, message="nobody decided it in time")
    return [decision] * question.decisions
