"""A review as a page shows it: the review, and what the person who looks at the page may do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.requests import Request

from slipway.access.operators import REVIEW, require_operator
from slipway.api.auth.access_check import user_of
from slipway.api.ui.rendering import readable_name
from slipway.api.ui.summaries import first_text, shortened
from slipway.errors import SlipwayError
from slipway.json_comparison import equal
from slipway.reviews import rules
from slipway.reviews.actor import actor_for
from slipway.reviews.record import Review, ReviewState

STATE_TEXTS: Final[Mapping[ReviewState, str]] = {
    ReviewState.OPEN: "open",
    ReviewState.CLAIMED: "claimed",
    ReviewState.HELD: "answered, waits for other answers",
    ReviewState.DECIDED: "decided",
    ReviewState.EXPIRED: "expired",
    ReviewState.SUPERSEDED: "obsolete",
}


_MOST_EXACT: Final = 2**53 - 1
"""Browsers read larger whole numbers as the nearest number that they have."""


def card_data(request: Request, review: Review) -> dict[str, Any]:
    """The data of a card. `viewer` says why the user may not decide the review, or may only reject; empty texts if
    nothing prevents it. `is_exact` is false if the question has a number that a browser cannot repeat in an edit."""
    user = user_of(request)
    actor = actor_for(user)
    not_a_reviewer = _refusal(review, lambda: require_operator(user, REVIEW))
    outsider = not_a_reviewer or _refusal(review, lambda: rules.require_member(review, actor))
    viewer = {
        "identity": actor.identity,
        "outsider": outsider,
        "refusal": outsider or _refusal(review, lambda: rules.require_turn(review, actor)),
        "only_rejects": _refusal(review, lambda: rules.require_executor(review, actor)),
    }
    shown = review.public()
    question = for_browsers(shown["question"])
    members = {name: for_browsers(member) for name, member in shown.items() if name not in ("interrupt", "question")}
    return {
        "review": members | {"question": question},
        "viewer": viewer,
        "is_exact": equal(question, shown["question"]),
    }


def for_browsers(value: Any) -> Any:
    """A JSON value in which numbers that a browser would change are texts."""
    match value:
        case bool():
            return value
        case int():
            return value if -_MOST_EXACT <= value <= _MOST_EXACT else str(value)
        case dict():
            return {name: for_browsers(member) for name, member in value.items()}
        case list():
            return [for_browsers(member) for member in value]
        case _:
            return value


def _refusal(review: Review, check: Callable[[], None]) -> str:
    """Why a check fails; empty if it does not."""
    try:
        check()
    except SlipwayError as error:
        return _about_this(str(error), review)
    return ""


def _about_this(message: str, review: Review) -> str:
    """The message for the page of the review, where its id says nothing."""
    return message.replace(f"review {review.review_id}", "This review")


def title_of(review: Review) -> str:
    """What is asked, in a few words: the actions, or the first text of a free question."""
    question = review.question
    if not question.actions:
        return shortened(first_text(question.value)) or "A question without a text"
    names = dict.fromkeys(readable_name(action.name) for action in question.actions)
    return shortened(", ".join(name[:1].upper() + name[1:] for name in names))


def summary_of(review: Review) -> str:
    """The first arguments of the first action, and its description. Empty for a free question."""
    if not review.question.actions:
        return ""
    action = review.question.actions[0]
    args = [f"{readable_name(name)} {first_text(value)}" for name, value in list(action.args.items())[:3]]
    return shortened(" · ".join(part for part in (*args, first_text(action.description)) if part))
