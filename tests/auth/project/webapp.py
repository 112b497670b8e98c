"""Routes of the project's own, middleware for every request, and a lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Marked:
    """Puts a header on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-own", b"yes")]
            await send(message)

        await self.app(scope, receive, marked)


async def hello(request: Request) -> JSONResponse:
    """Shows what the lifespan opened."""
    return JSONResponse({"hello": request.state.opened})


async def shadow(request: Request) -> JSONResponse:
    """In place of ours."""
    return JSONResponse({"mine": True})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    """Something to be opened."""
    yield {"opened": "desk"}


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/store/namespaces", shadow, methods=["GET"]),
        Route("/threads/count", shadow, methods=["GET"]),
        Route("/ok", shadow),
    ],
    middleware=[Middleware(Marked)],
    lifespan=lifespan,
)
