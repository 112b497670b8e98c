"""The pages of the review desk: the list of reviews, and one review."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from slipway.api.auth.access_check import owner_of
from slipway.api.auth.reviews import readable_review
from slipway.api.shared_objects import services_of
from slipway.api.ui.rendering import page
from slipway.api.ui.review_data import STATE_TEXTS, summary_of, title_of
from slipway.api.ui.review_updates import page_data
from slipway.api.ui.summaries import duration
from slipway.api.ui.views import as_page
from slipway.clock import iso
from slipway.reviews.record import UNDECIDED, Review, ReviewState
from slipway.reviews.search import ReviewOrder, ReviewQuery
from slipway.serialization.json_encoding import clean

_LIMIT: Final = 50
_WAITING: Final = ""
_ALL: Final = "all"
_STATES: Final = (
    (_WAITING, "waiting"),
    *((state.value, text) for state, text in STATE_TEXTS.items()),
    (_ALL, "all"),
)
_ORDERS: Final = (("", "oldest first"), ("newest", "newest first"), ("due", "due first"))


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of the list, as in the query of its URL. A value that is not possible counts as empty."""

    state: str
    graph: str
    assignee: str
    group: str
    order: str
    cursor: str

    @staticmethod
    def of(request: Request) -> Filters:
        texts = {name: clean(request.query_params.get(name, "").strip()) for name in Filters.__slots__}
        filters = Filters(**texts)
        filters = replace(filters, state=filters.state if filters.state in dict(_STATES) else _WAITING)
        orders = dict(_ORDERS if filters.is_undecided else _ORDERS[:2])
        return replace(filters, order=filters.order if filters.order in orders else "")

    @property
    def is_undecided(self) -> bool:
        """Whether the list has only reviews that wait for a decision, which can be ordered by their due times."""
        return bool(self._states()) and self._states() <= UNDECIDED

    @property
    def review_order(self) -> ReviewOrder:
        return ReviewOrder(self.order or ReviewOrder.OLDEST)

    def query(self) -> ReviewQuery:
        return ReviewQuery(
            states=self._states(),
            graph_id=self.graph or None,
            assignee=self.assignee or None,
            group=self.group or None,
        )

    def _states(self) -> frozenset[ReviewState]:
        if self.state == _WAITING:
            return UNDECIDED
        return frozenset() if self.state == _ALL else frozenset({ReviewState(self.state)})

    def next_page(self, cursor: str) -> str:
        """The query of the URL of the next page."""
        members = {name: getattr(self, name) for name in self.__slots__} | {"cursor": cursor}
        return urlencode({name: value for name, value in members.items() if value})


@as_page
async def reviews(request: Request) -> Response:
    """The list of reviews, with its filters."""
    graphs = services_of(request).graphs.names()
    values = await _list_values(request)
    return page(request, "reviews.html", states=_STATES, orders=_ORDERS, graphs=graphs, **values)


@as_page
async def review_list(request: Request) -> Response:
    """The list alone, which the page loads again when a review changes."""
    return page(request, "reviews_list.html", **await _list_values(request))


async def _list_values(request: Request) -> dict[str, Any]:
    services, filters = services_of(request), Filters.of(request)
    found = await services.review_search.page(
        replace(filters.query(), owner=owner_of(request)),
        limit=_LIMIT,
        cursor=filters.cursor or None,
        order=filters.review_order,
    )
    now = services.clock.now()
    return {
        "filters": filters,
        "rows": [_row(review) | {"age": duration(now, iso(review.created_us))} for review in found.reviews],
        "next_page": None if found.next is None else filters.next_page(found.next),
        "server_time": now.isoformat(timespec="milliseconds"),
    }


def _row(review: Review) -> dict[str, Any]:
    votes = len(review.votes) if review.state in UNDECIDED and review.policy.quorum > 1 else 0
    return {
        "review_id": review.review_id,
        "graph_id": review.graph_id,
        "title": title_of(review),
        "summary": summary_of(review),
        "state": review.state.value,
        "state_text": STATE_TEXTS[review.state],
        "assignee": review.assignee,
        "groups": review.groups,
        "votes": f"{votes} of {review.policy.quorum} agree" if votes else "",
        "created_at": iso(review.created_us),
        "due_at": iso(review.due_us) if review.due_us is not None and review.state in UNDECIDED else None,
    }


@as_page
async def review(request: Request) -> Response:
    """One review."""
    found = await readable_review(request)
    return page(request, "review.html", review=found, data=await page_data(request, found))
