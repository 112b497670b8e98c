"""Reviews: the questions that waiting runs ask people. For reviewers, who see the questions of all users, or of their
owner."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import REVIEW
from slipway.api.auth.access_check import operators, owner_of, user_of
from slipway.api.auth.reviews import readable_review_id
from slipway.api.bodies.body import NoBody
from slipway.api.bodies.reviews import MAX_DECISION_BYTES, CommentBody, DecisionBody, InformationBody, ReassignBody
from slipway.api.endpoints import Endpoint, Query, int_param
from slipway.api.request_parsing import (
    query_choice,
    query_choices,
    query_number,
    query_time_us,
    read_body,
    read_object,
    read_optional_body,
    reject_unknown_parameters,
)
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.reviews.actor import Actor, actor_for
from slipway.reviews.record import Review, ReviewState
from slipway.reviews.search import ReviewOrder, ReviewQuery

MAX_LIMIT: Final = 1000
_STATES: Final = tuple(state.value for state in ReviewState)
_ORDERS: Final = tuple(order.value for order in ReviewOrder)


async def list_all(request: Request) -> Response:
    """A page of reviews. `next` is the cursor of the next page, null at the end."""
    reject_unknown_parameters(request, [query.name for query in ENDPOINTS[0].query])
    page = await services_of(request).review_search.page(
        _query(request),
        limit=query_number(request, "limit", 100, 1, MAX_LIMIT),
        cursor=request.query_params.get("cursor") or None,
        order=ReviewOrder(query_choice(request, "order", _ORDERS) or ReviewOrder.OLDEST),
    )
    return JsonResponse({"reviews": [review.public() for review in page.reviews], "next": page.next})


def _query(request: Request) -> ReviewQuery:
    texts = request.query_params
    return ReviewQuery(
        owner=owner_of(request),
        states=frozenset(map(ReviewState, query_choices(request, "state", _STATES))),
        graph_id=texts.get("graph_id") or None,
        assignee=texts.get("assignee") or None,
        group=texts.get("group") or None,
        due_before_us=query_time_us(request, "due_before"),
        created_before_us=query_time_us(request, "created_before"),
        created_from_us=query_time_us(request, "created_after"),
    )


async def read(request: Request) -> Response:
    """A review with its history, the oldest entry first."""
    reviews = services_of(request).reviews
    review = await reviews.get(await readable_review_id(request))
    history = [entry.public() for entry in await reviews.history(review)]
    return JsonResponse(review.public() | {"history": history})


async def claim(request: Request) -> Response:
    """Makes the user the assignee."""
    await read_optional_body(request, NoBody)
    return _response(await services_of(request).reviews.claim(await readable_review_id(request), actor(request)))


async def release(request: Request) -> Response:
    """Makes nobody the assignee."""
    await read_optional_body(request, NoBody)
    return _response(await services_of(request).reviews.release(await readable_review_id(request), actor(request)))


async def reassign(request: Request) -> Response:
    body = await read_body(request, ReassignBody)
    return _response(
        await services_of(request).reviews.reassign(await readable_review_id(request), actor(request), body.assignee)
    )


async def comment(request: Request) -> Response:
    body = await read_body(request, CommentBody)
    return _response(
        await services_of(request).reviews.comment(await readable_review_id(request), actor(request), body.text)
    )


async def request_information(request: Request) -> Response:
    body, reviews = await read_body(request, InformationBody), services_of(request).reviews
    review = await reviews.request_information(
        await readable_review_id(request), actor(request), body.text, body.follow_up_s
    )
    return _response(review)


async def remind(request: Request) -> Response:
    await read_optional_body(request, NoBody)
    return _response(await services_of(request).reviews.remind(await readable_review_id(request), actor(request)))


async def decide(request: Request) -> Response:
    """Decides the review, or votes if its policy demands that several people agree."""
    body = await read_object(request, most_bytes=MAX_DECISION_BYTES)
    return _response(await services_of(request).reviews.decide(await readable_review_id(request), actor(request), body))


def actor(request: Request) -> Actor:
    """Who sends the request."""
    return actor_for(user_of(request))


def _response(review: Review) -> Response:
    return JsonResponse(review.public())


_ACCESS: Final = operators(REVIEW, owners=True)
_TIME: Final = {"type": "string", "format": "date-time"}
_TEXT: Final = {"type": "string"}
_REVIEW: Final = "/ops/reviews/{review_id}"

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/ops/reviews",
        list_all,
        "List reviews",
        _ACCESS,
        query=(
            Query("state", {"type": "array", "items": {"type": "string", "enum": list(_STATES)}}, "In these states"),
            Query("graph_id", _TEXT),
            Query("assignee", _TEXT, "Claimed by the user with this identity"),
            Query("group", _TEXT, "For the members of this group"),
            Query("due_before", _TIME, "Due before this time"),
            Query("created_after", _TIME, "Asked at this time or later"),
            Query("created_before", _TIME, "Asked before this time"),
            Query(
                "order",
                {"type": "string", "enum": list(_ORDERS), "default": "oldest"},
                "Which review is the first. `due`: only open and claimed ones, those without a due time last",
            ),
            int_param("limit", 100, 1, MAX_LIMIT),
            Query("cursor", _TEXT, "The member `next` of the page before"),
        ),
    ),
    Endpoint("GET", _REVIEW, read, "Read a review and its history", _ACCESS),
    Endpoint("POST", f"{_REVIEW}/claim", claim, "Claim a review", _ACCESS),
    Endpoint("POST", f"{_REVIEW}/release", release, "Release a review", _ACCESS),
    Endpoint("POST", f"{_REVIEW}/reassign", reassign, "Make another person the assignee", _ACCESS, ReassignBody),
    Endpoint("POST", f"{_REVIEW}/comment", comment, "Comment on a review", _ACCESS, CommentBody),
    Endpoint(
        "POST",
        f"{_REVIEW}/request-information",
        request_information,
        "Ask for more information",
        _ACCESS,
        InformationBody,
    ),
    Endpoint("POST", f"{_REVIEW}/remind", remind, "Remind those who may decide", _ACCESS),
    Endpoint("POST", f"{_REVIEW}/decide", decide, "Decide a review, or vote", _ACCESS, DecisionBody),
)
