"""Why a run is paused, waits for approval, or continues no more."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.access.operators import ANONYMOUS
from slipway.clock import iso
from slipway.reviews.record import UNDECIDED, Review, ReviewState
from slipway.runs.record import Phase, Run
from slipway.switches.record import Switch
from slipway.waiting_reasons import acts
from slipway.waiting_reasons.explained import explained
from slipway.waiting_reasons.record import MOST_RUNS, Act, Fact, WaitsFor, Why, bounded, time_text, who
from slipway.waiting_reasons.scripts import Surroundings


def paused(found: Surroundings, switch: Switch | None) -> Why:
    """`switch` is the one before which it is paused, if that is off still."""
    run = found.run
    if run.operator_pause is not None:
        return _paused_by_operator(found)
    if run.switch is not None:
        return _paused_by_switch(found, switch)
    if run.held is not None and run.held.why == "version":
        return _held(found)
    if run.held is not None:
        return _exhausted(found)
    text = f"It is paused: {bounded(run.reason or 'the reason is not known')}."
    return explained(found, WaitsFor.OPERATOR, text, (), (acts.resume(run), acts.cancel(run)))


def _paused_by_operator(found: Surroundings) -> Why:
    run = found.run
    pause = run.operator_pause
    assert pause is not None
    why = f": {bounded(pause.reason)}" if pause.reason else ""
    text = f"It was paused by {who(pause.by)}{why}."
    facts = (
        Fact("paused_by", bounded(pause.by)),
        Fact("requested_at", pause.at),
        Fact("reason", bounded(pause.reason) if pause.reason else None),
    )
    return explained(found, WaitsFor.OPERATOR, text, facts, (acts.resume(run), acts.cancel(run)))


def _paused_by_switch(found: Surroundings, switch: Switch | None) -> Why:
    run = found.run
    if switch is None:
        text = f"{bounded(run.switch or '')} is switched on again: a worker queues its runs within seconds."
        return explained(
            found, WaitsFor.SWITCH, text, (Fact("switch", bounded(run.switch or "")),), (acts.cancel(run),)
        )
    facts = (
        Fact("switch", bounded(switch.target.key)),
        Fact("switched_off_by", bounded(switch.by)),
        Fact("off_since", switch.off_since),
        Fact("reason", bounded(switch.reason) if switch.reason else None),
    )
    why = f": {bounded(switch.reason)}" if switch.reason else ""
    text = f"It is paused: {switch.target} is switched off, by {who(switch.by)}{why}."
    return explained(found, WaitsFor.SWITCH, text, facts, (acts.switch_on(switch.target), acts.cancel(run)))


def _held(found: Surroundings) -> Why:
    run = found.run
    held = run.held
    assert held is not None
    reasons = [{"code": each.code, "text": bounded(each.text)} for each in held.reasons[:MOST_RUNS]]
    text = f"Version {held.version} of graph {run.graph_id} cannot continue its thread: " + "; ".join(
        each["text"] for each in reasons
    )
    facts = (
        Fact("refused_by_version", held.version),
        Fact("last_version", run.version),
        Fact("reasons", reasons),
    )
    what_to_do: tuple[Act, ...] = (acts.serve(run.graph_id, None),)
    if run.version and run.version != held.version:
        what_to_do += (acts.resume_on(run, run.version),)
    else:
        what_to_do += (acts.resume_on(run, "VERSION"),)
    notes = ("It is tried again as soon as code is served that was not known before.",)
    return explained(found, WaitsFor.HELD_VERSION, f"{text}.", facts, (*what_to_do, acts.cancel(run)), notes=notes)


def _exhausted(found: Surroundings) -> Why:
    run = found.run
    error = run.public_error or {}
    node = str(error["node"]) if error.get("node") else None
    facts = (
        Fact("code", error.get("code")),
        Fact("message", bounded(str(error.get("message", "")))),
        Fact("node", None if node is None else bounded(node)),
        Fact("attempt", error.get("attempt")),
    )
    text = f"Its retries are used up, and its graph pauses then: {bounded(run.reason or 'the cause is not known')}."
    what_to_do = (acts.resume(run), *((acts.skip_node(run, node),) if node else ()), acts.cancel(run))
    return explained(found, WaitsFor.EXHAUSTED, text, facts, what_to_do)


def waiting(found: Surroundings, reviews: Sequence[Review], *, asks: bool) -> Why:
    """`reviews` are those of the run. `asks`: the run waits at an interrupt, and not at a breakpoint."""
    run = found.run
    if not reviews:
        where = "an interrupt" if asks else "a breakpoint"
        text = f"It stopped at {where}, and continues when a client continues its thread."
        act = acts.answer(run) if asks else acts.continue_from_breakpoint(run)
        return explained(found, WaitsFor.ANSWER, text, (), (act, acts.cancel(run)))
    undecided = [review for review in reviews if review.state in UNDECIDED]
    if not undecided:
        text = "Its questions have answers: a worker resumes it within seconds."
        return explained(found, WaitsFor.HELD_ANSWERS, text, (_review_fact(reviews),), (acts.cancel(run),))
    first = min(undecided, key=lambda review: review.due_score)
    count = len(undecided)
    text = f"{count} question{'s' * (count != 1)} must be decided by {_who(first)}{_times(first, found.now_us)}."
    what_to_do = tuple(acts.decide(review, _who(review)) for review in undecided[:MOST_RUNS])
    unguarded = () if any(review.guarded for review in undecided) else (acts.answer(run),)
    return explained(
        found,
        WaitsFor.REVIEWS,
        text,
        (Fact("undecided", count), _review_fact(reviews)),
        (*what_to_do, *unguarded, acts.cancel(run)),
        since_us=min(review.created_us for review in undecided),
    )


def _who(review: Review) -> str:
    if review.assignee:
        return f"{bounded(review.assignee)}, who has claimed it"
    people = f"members of {', '.join(map(bounded, review.groups))}" if review.groups else "reviewers"
    quorum = review.policy.quorum
    missing = quorum - len({vote.by for vote in review.votes})
    eyes = ", but not whoever started the run" if review.policy.four_eyes else ""
    return f"{missing} more of {quorum} {people}{eyes}" if quorum > 1 else f"{people}{eyes}"


def _times(review: Review, now_us: int) -> str:
    parts = []
    if review.due_us is not None:
        late = " (overdue)" if review.due_us < now_us else ""
        default = review.policy.default
        named = default if isinstance(default, str) else "the default action" if default else "reject"
        parts.append(f"until {time_text(iso(review.due_us))}{late}, else {named}")
    if review.escalate_us is not None and review.policy.escalate_to:
        parts.append(f"from {time_text(iso(review.escalate_us))} on also by {', '.join(review.policy.escalate_to)}")
    return "".join(f", {part}" for part in parts)


def _review_fact(reviews: Sequence[Review]) -> Fact:
    return Fact(
        "reviews",
        [
            {
                "review_id": review.review_id,
                "state": review.state.value,
                "node": bounded(review.node),
                "asked_at": iso(review.created_us),
                "due_at": None if review.due_us is None else iso(review.due_us),
                "escalate_at": None if review.escalate_us is None else iso(review.escalate_us),
                "escalate_to": list(review.policy.escalate_to),
                "assignee": review.assignee,
                "groups": list(review.groups),
                "quorum": review.policy.quorum,
                "votes": len(review.votes),
                "has_answer": review.state is ReviewState.HELD,
            }
            for review in reviews[: 4 * MOST_RUNS]
        ],
    )


def ended(found: Surroundings) -> Why:
    """How it ended, and what can be done."""
    run = found.run
    error = run.public_error or {}
    following = run.retried_by or run.resumed_by
    facts = (
        Fact("code", error.get("code")),
        Fact("message", bounded(str(error["message"])) if error.get("message") else None),
        Fact("node", bounded(str(error["node"])) if error.get("node") else None),
        Fact("attempts", run.attempt),
        Fact("continued_by", following),
    )
    return explained(found, WaitsFor.NOTHING, _ending(run, following), facts, _after_the_end(run, following))


def _ending(run: Run, following: str | None) -> str:
    error = run.public_error or {}
    continued = f" Run {following} continues its chain." if following else ""
    if run.phase is Phase.FAILED:
        node = f" in node {bounded(str(error['node']))}" if error.get("node") else ""
        message = bounded(str(error.get("message", ""))) or "the cause is not known"
        return f"It failed{node} with {error.get('code', 'an unknown code')}: {message}.{continued}"
    if run.phase is Phase.CANCELLED:
        return f"{_cancellation(str(error.get('message', 'the cause is not known')))}.{continued}"
    how = f" ({bounded(run.reason)})" if run.reason else ""
    return f"It has completed{how}.{continued}"


def _cancellation(message: str) -> str:
    """A sentence without its full stop. The cause of a cancel may say already that it was one."""
    if not message.startswith("cancelled "):
        return f"It was cancelled: {bounded(message)}"
    return f"It was {bounded(message.replace(f'by {ANONYMOUS}', f'by {who(ANONYMOUS)}', 1))}"


def _after_the_end(run: Run, following: str | None) -> tuple[Act, ...]:
    if run.phase is Phase.COMPLETED or following:
        return ()
    raised = acts.raise_limit(run)
    return (*((raised,) if raised else ()), acts.retry(run))
