"""Routes of the project: one that logs, and one that fails."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def said(request: Request) -> Response:
    logging.getLogger("project").warning("said by a route")
    return PlainTextResponse("ok")


async def failed(request: Request) -> Response:
    raise ValueError("a route of the project failed")


app = Starlette(routes=[Route("/said", said), Route("/failed", failed)])
