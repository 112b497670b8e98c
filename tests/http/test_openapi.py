"""The OpenAPI document describes exactly the routes and the models of their bodies."""

from __future__ import annotations

import httpx
from markupsafe import escape
from starlette.routing import Route

from slipway.api.bodies.runs import RunBody
from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from slipway.runs.record import STATUS
from tests.http.conftest import Served


async def test_every_route_is_described(client: httpx.AsyncClient, served: Served) -> None:
    described = {
        (method.upper(), path)
        for path, operations in (await client.get("/openapi.json")).json()["paths"].items()
        for method in operations
    }
    routed = {
        (method, plain_path(route.path))
        for route in served.app.routes
        if isinstance(route, Route) and not route.path.startswith("/ui") and route.path != "/"
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert described == routed
    assert len(described) == len(ENDPOINTS)


async def test_the_docs_page_lists_every_endpoint(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for endpoint in ENDPOINTS:
        assert f"<code>{plain_path(endpoint.path)}</code>" in page.text
        assert escape(endpoint.summary) in page.text


async def test_request_bodies_are_described_by_their_models(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert schemas["RunBody"]["properties"].keys() == RunBody.model_fields.keys()
    operation = document["paths"]["/threads/{thread_id}/runs/stream"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/RunBody"}
    assert "text/event-stream" in operation["responses"]["200"]["content"]


async def test_every_reference_is_defined(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    def references(node: object) -> set[str]:
        if isinstance(node, dict):
            direct = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return direct.union(*(references(inner) for inner in node.values()))
        return set().union(*(references(inner) for inner in node)) if isinstance(node, list) else set()

    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


async def test_query_parameters_have_their_default_and_bounds(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    schemas = {each["name"]: each["schema"] for each in paths["/threads/{thread_id}/runs"]["get"]["parameters"]}
    assert schemas["limit"] == {"type": "integer", "default": 10, "minimum": 1, "maximum": 1000}
    assert schemas["offset"] == {"type": "integer", "default": 0, "minimum": 0}
    assert schemas["thread_id"] == {"type": "string", "format": "uuid"}
    assert set(schemas["status"]["enum"]) == {"timeout", *STATUS.values()}


async def test_every_success_is_described(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for method, path, codes in (
        ("post", "/threads", {"200"}),
        ("patch", "/threads/{thread_id}", {"200", "204"}),
        ("delete", "/threads/{thread_id}", {"204"}),
        ("post", "/threads/{thread_id}/runs/{run_id}/cancel", {"200", "202"}),
    ):
        assert {code for code in paths[path][method]["responses"] if code < "300"} == codes, path
