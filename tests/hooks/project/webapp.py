"""A host app with a route of its own at the path of a hook."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def own(request: Request) -> Response:
    return PlainTextResponse("of the host app")


app = Starlette(routes=[Route("/hooks/own", own, methods=["POST"])])
