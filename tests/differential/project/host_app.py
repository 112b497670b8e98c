"""The host app of the project. Its routes receive internal webhooks."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

received: defaultdict[str, list[Any]] = defaultdict(list)


async def receive(request: Request) -> Response:
    received[request.path_params["name"]].append(await request.json())
    return Response(status_code=204)


async def list_received(request: Request) -> Response:
    return JSONResponse(received[request.path_params["name"]])


app = Starlette(
    routes=[
        Route("/app/webhooks/{name}", receive, methods=["POST"]),
        Route("/app/webhooks/{name}", list_received, methods=["GET"]),
    ]
)
