"""The web application: its routes, what surrounds them, and what it opens while it lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app.http import (
    assistants,
    crons,
    event_commands,
    event_socket,
    event_stream,
    ops,
    runs,
    state,
    stateless,
    store,
    thread_stream,
    threads,
)
from app.http.answers import on_http_exception
from app.http.endpoints import Endpoint
from app.http.long_answers import OpenAnswers
from app.http.metrics import HttpMetrics
from app.http.middleware import AccessLog, BodyLimit, Errors, RequestId
from app.http.openapi import describe
from app.http.ui import routes as pages
from app.http.wiring import State
from app.ready import say_ready
from app.services import Services
from app.settings import Settings

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *crons.ENDPOINTS,
    *runs.ENDPOINTS,
    *stateless.ENDPOINTS,
    *threads.ENDPOINTS,
    *thread_stream.ENDPOINTS,
    *event_commands.ENDPOINTS,
    *event_stream.ENDPOINTS,
    *state.ENDPOINTS,
    *assistants.ENDPOINTS,
    *store.ENDPOINTS,
    *ops.ENDPOINTS,
)
"""Matched in this order: the busiest come first, and `/threads/search` before `/threads/{thread_id}`."""

EXPOSED: Final = ("content-location", "location", "x-pagination-total", "x-pagination-next", "x-request-id")
"""Response headers that a browser's clients need to see: without them they cannot reconnect."""

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


def create_app(open_services: OpenServices, settings: Settings) -> Starlette:
    """The application. Nothing is opened before its lifespan begins."""
    metrics, answers = HttpMetrics(), OpenAnswers()
    metrics.open_streams.set_function(lambda: len(answers))
    for endpoint in ENDPOINTS:
        metrics.name_route(endpoint.handler, endpoint.path)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
        async with open_services() as services:
            yield {"services": services, "answers": answers, "metrics": metrics}

    app = Starlette(
        routes=[*(endpoint.route() for endpoint in ENDPOINTS), *event_socket.ROUTES, *pages()],
        middleware=[  # the first is the outermost
            Middleware(RequestId),
            Middleware(AccessLog, metrics=metrics),
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["*"],
                allow_headers=["*"],
                allow_private_network=True,
                expose_headers=EXPOSED,
            ),
            Middleware(Errors),
            Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
        ],
        exception_handlers={HTTPException: on_http_exception},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.answers = answers
    app.state.openapi = describe(ENDPOINTS, ops.installed("slipway"))
    return app


class WebServer(uvicorn.Server):
    """uvicorn, but streams and waits are let go first when it stops: it would wait for them until it gave up. Their
    clients come back by themselves and miss nothing."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._answers: OpenAnswers = app.state.answers

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Begin to serve, and tell the supervisor so."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            say_ready()

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Stop listening, end long answers, wait for the rest."""
        self._answers.close()
        await super().shutdown(sockets)  # type: ignore[arg-type]
