"""A host app with routes, middleware for every request, and a lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeaderMiddleware:
    """Adds a header to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-own", b"yes")]
            await send(message)

        await self.app(scope, receive, send_with_header)


async def hello(request: Request) -> JSONResponse:
    """Returns the state that the lifespan yielded."""
    return JSONResponse({"hello": request.state.opened})


async def shadow(request: Request) -> JSONResponse:
    """Has the path of a route of Slipway."""
    return JSONResponse({"host_app": True})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"opened": "desk"}


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/store/namespaces", shadow, methods=["GET"]),
        Route("/threads/count", shadow, methods=["GET"]),
        Route("/ok", shadow),
        Route("/healthz", shadow),
    ],
    middleware=[Middleware(HeaderMiddleware)],
    lifespan=lifespan,
)
