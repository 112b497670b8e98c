"""The routes of the pages."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.http.ui import live, pages
from app.http.ui.rendering import HEADERS, HERE

_RUN: Final = "/ui/threads/{thread_id}/runs/{run_id}"


class _Static(StaticFiles):
    """Style and scripts, asked for again each time (a 304 mostly): an upgrade must not meet yesterday's script."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({**HEADERS, "cache-control": "no-cache"})
        return response


def routes() -> list[BaseRoute]:
    """For Starlette's router, after those of the API."""
    return [
        Route("/", pages.home),
        Route("/ui/recent", pages.recent),
        Route("/ui/graphs/{graph_id}", pages.graph),
        Route("/ui/threads/{thread_id}", pages.thread),
        Route(_RUN, pages.run),
        Route(f"{_RUN}/events", live.events),
        Route(f"{_RUN}/now", live.now),
        Mount("/ui/static", _Static(directory=HERE / "static")),
        Route("/ui/{rest:path}", pages.lost),
    ]
