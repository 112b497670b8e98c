"""The routes of the pages."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from slipway.access.access_control import AccessControl
from slipway.access.operators import REVIEW
from slipway.api.auth.access_check import operators, requires
from slipway.api.endpoints import Endpoint
from slipway.api.ui import review_updates, review_views, run_updates, sign_in, views
from slipway.api.ui.rendering import HEADERS, HERE
from slipway.api.ui.sign_in import SIGN_IN, SIGN_OUT, with_sign_in

_RUN: Final = "/ui/threads/{thread_id}/runs/{run_id}"


class _Static(StaticFiles):
    """Styles and scripts. Browsers must request them each time (usually the response is 304), so that a page does not
    use an old script after an upgrade."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({**HEADERS, "cache-control": "no-cache"})
        return response


_READS: Final = requires("threads:read")
_REVIEWERS: Final = operators(REVIEW, owners=True)
_REVIEW: Final = "/ui/reviews/{review_id}"

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/",
        views.home,
        "The graphs and the recent runs",
        requires("threads:search", optional=("threads:read",), probe=True),
    ),
    Endpoint(
        "GET", "/ui/recent", views.recent, "The recent runs", requires("threads:search", optional=("threads:read",))
    ),
    Endpoint(
        "GET",
        "/ui/graphs/{graph_id}",
        views.graph,
        "A form for a graph",
        requires("assistants:read", optional=("threads:read",)),
    ),
    Endpoint("GET", "/ui/threads/{thread_id}", views.thread, "A thread", requires("threads:read")),
    Endpoint("GET", _RUN, views.run, "A run", _READS),
    Endpoint("GET", f"{_RUN}/events", run_updates.events, "A run's events", _READS),
    Endpoint("GET", f"{_RUN}/now", run_updates.run_status, "The current state of a run", _READS),
    Endpoint("GET", "/ui/reviews", review_views.reviews, "The reviews", _REVIEWERS),
    Endpoint("GET", "/ui/reviews/list", review_views.review_list, "The list of reviews", _REVIEWERS),
    Endpoint("GET", "/ui/reviews/events", review_updates.events, "The reviews that change", _REVIEWERS),
    Endpoint("GET", _REVIEW, review_views.review, "A review", _REVIEWERS),
    Endpoint("GET", f"{_REVIEW}/now", review_updates.review_now, "The current state of a review", _REVIEWERS),
)
"""The pages with data. Styles, scripts and error pages need no authorization."""


def routes(auth: AccessControl | None) -> list[BaseRoute]:
    """The routes of the pages for Starlette's router. They follow the routes of the API. With access control, people
    sign in."""
    routes = [endpoint.route(auth) for endpoint in ENDPOINTS]
    if auth is not None:
        opening = [Route(route.path, with_sign_in(route.endpoint)) for route in routes]
        signing = [
            Route(SIGN_IN, sign_in.form),
            Route(SIGN_IN, sign_in.sign_in, methods=["POST"]),
            Route(SIGN_OUT, sign_in.sign_out, methods=["POST"]),
        ]
        routes = [*opening, *signing]
    return [
        *routes,
        Mount("/ui/static", _Static(directory=HERE / "static")),
        Route("/ui/{rest:path}", views.not_found),
    ]
