"""Which reviews the user of a request may see: a user who has an owner sees those of the owner only."""

from __future__ import annotations

from starlette.requests import Request

from slipway.api.auth.access_check import owner_of
from slipway.api.request_parsing import path_review_id
from slipway.api.shared_objects import services_of
from slipway.errors import NotFound
from slipway.reviews.record import Review


async def readable_review(request: Request) -> Review:
    """The review in the path of the request. Raises `NotFound`, also for the review of another owner."""
    review_id = path_review_id(request)
    review = await services_of(request).reviews.get(review_id)
    if not may_see(request, review):
        raise NotFound("review", review_id)
    return review


async def readable_review_id(request: Request) -> str:
    """The id of the review in the path, for an operation that reads it itself. Costs a round trip for users who have an
    owner only. Raises `NotFound` for the review of another owner."""
    if owner_of(request) is None:
        return path_review_id(request)
    return (await readable_review(request)).review_id


def may_see(request: Request, review: Review) -> bool:
    """Whether the review may be shown to the user of the request."""
    return owner_of(request) in (None, review.restricted_to)
