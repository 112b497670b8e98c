"""Assistants: one a graph; their drawings and schemas."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.errors import InvalidRequest
from app.graphs import Manifest
from app.http.answers import Json
from app.http.bodies import AssistantFilterBody, AssistantSearchBody
from app.http.endpoints import Endpoint, Query, flag
from app.http.inputs import query_flag, read_optional_body
from app.http.pages import paged, selected
from app.http.wiring import services_of


async def search(request: Request) -> Response:
    """A page of assistants."""
    body = await read_optional_body(request, AssistantSearchBody)
    found = await services_of(request).assistants.search(
        metadata=body.metadata,
        graph_id=body.graph_id,
        name=body.name,
        sort_by=body.sort_by,
        descending=body.sort_order == "desc",
    )
    page = found[body.offset : body.offset + body.limit]
    shown = selected([assistant.public() for assistant in page], body.select)
    return paged(shown, offset=body.offset, limit=body.limit, total=len(found))


async def count(request: Request) -> Response:
    """How many assistants fit."""
    body = await read_optional_body(request, AssistantFilterBody)
    found = await services_of(request).assistants.search(metadata=body.metadata, graph_id=body.graph_id, name=body.name)
    return Json(len(found))


async def read(request: Request) -> Response:
    """One assistant."""
    return Json((await services_of(request).assistants.get(request.path_params["assistant_id"])).public())


async def graph(request: Request) -> Response:
    """The drawing."""
    xray = _xray(request)
    return Json((await _manifest(request)).public_graph(xray))


async def schemas(request: Request) -> Response:
    """JSON schemas of input, output, state, config and context."""
    return Json((await _manifest(request)).public_schemas())


async def subgraphs(request: Request) -> Response:
    """Schemas of subgraphs, by namespace."""
    recurse = query_flag(request, "recurse")
    manifest = await _manifest(request)
    return Json(manifest.public_subgraphs(request.path_params.get("namespace"), recurse))


async def _manifest(request: Request) -> Manifest:
    services = services_of(request)
    assistant = await services.assistants.get(request.path_params["assistant_id"])
    return await services.graphs.manifest(assistant.graph_id)


def _xray(request: Request) -> bool | int:
    text = request.query_params.get("xray", "false").lower()
    if text in ("true", "false"):
        return text == "true"
    if not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        raise InvalidRequest("xray", "is true, false, or a number of levels from 1 up")
    return int(text)


_ONE: Final = "/assistants/{assistant_id}"

ENDPOINTS: Final = (
    Endpoint("POST", "/assistants/search", search, "A page of assistants", body=AssistantSearchBody),
    Endpoint("POST", "/assistants/count", count, "How many assistants fit", body=AssistantFilterBody),
    Endpoint("GET", _ONE, read, "One assistant, by id or graph name"),
    Endpoint(
        "GET",
        f"{_ONE}/graph",
        graph,
        "The drawing of its graph",
        query=(Query("xray", {"type": "string", "default": "false"}, "true, false, or levels of subgraphs to open"),),
    ),
    Endpoint("GET", f"{_ONE}/schemas", schemas, "JSON schemas of its graph"),
    Endpoint("GET", f"{_ONE}/subgraphs", subgraphs, "Schemas of subgraphs", query=(flag("recurse"),)),
    Endpoint(
        "GET", f"{_ONE}/subgraphs/{{namespace:path}}", subgraphs, "Schemas of one subgraph", query=(flag("recurse"),)
    ),
)
