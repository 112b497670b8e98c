"""Every route responds 404 to an unknown id, and the detail contains "not found", which clients search for."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from slipway.api.endpoints import Endpoint
from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from tests.auth.samples import Sample, samples
from tests.http.conftest import Served

UNKNOWN: Final = "01890000-0000-7000-8000-000000000000"
IDS: Final = dict.fromkeys(("thread_id", "assistant_id", "run_id", "cron_id", "checkpoint_id"), UNKNOWN) | {
    "review_id": f"{UNKNOWN}:{'0' * 32}",
    "node": "say",
    "version": "2",
    "build_id": "0" * 12,
    "key_id": "a" * 12,
    "endpoint_id": "we_0",
    "delivery_id": "msg_0",
}
EXISTING_GRAPH: Final = "steps"

IDS_IN_BODY: Final = frozenset({"POST /runs/crons", "POST /runs", "POST /runs/stream", "POST /runs/wait"})
"""Routes without an id in their path. Their bodies contain the id."""
WITHOUT_404: Final = frozenset(
    {
        "POST /threads/{thread_id}/commands",  # responds 200 with an error of the event protocol
        "POST /threads/{thread_id}/stream/events",  # a client can follow a thread before the thread is created
        "POST /threads/{thread_id}/stream/events/ticket",  # the same
    }
)


def route_name(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {plain_path(endpoint.path)}"


def body_for_this_project(body: Any) -> Any:
    """The body of a sample. The graph of the auth tests is replaced by a graph of this project."""
    if isinstance(body, list):
        return [body_for_this_project(each) for each in body]
    if isinstance(body, dict) and body.get("assistant_id") == "greet":
        return body | {"assistant_id": EXISTING_GRAPH}
    return body


CHECKED: Final = [
    endpoint
    for endpoint in ENDPOINTS
    if route_name(endpoint) not in WITHOUT_404
    and not endpoint.access.public
    and ("_id}" in endpoint.path or route_name(endpoint) in IDS_IN_BODY)
]


@pytest.mark.parametrize("endpoint", CHECKED, ids=route_name)
async def test_an_unknown_id_is_not_found(served: Served, client: httpx.AsyncClient, endpoint: Endpoint) -> None:
    sample = samples(IDS | {"namespace": "n"}).get(route_name(endpoint), Sample())
    path = plain_path(endpoint.path).format(**IDS, namespace="n", graph_id="nobody")
    response = await client.request(endpoint.method, path, params=sample.query, json=body_for_this_project(sample.body))
    assert response.status_code == 404, response.text
    assert "not found" in response.json()["detail"]
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("endpoint", [each for each in CHECKED if "{run_id}" in each.path], ids=route_name)
async def test_a_run_of_another_thread_is_not_found(client: httpx.AsyncClient, endpoint: Endpoint) -> None:
    ids = IDS | {"thread_id": (await client.post("/threads", json={})).json()["thread_id"]}
    body = samples(ids | {"namespace": "n"}).get(route_name(endpoint), Sample()).body
    response = await client.request(endpoint.method, plain_path(endpoint.path).format(**ids), json=body)
    assert response.status_code == 404, response.text
    assert response.json()["detail"] == f"run '{UNKNOWN}' not found: it does not exist"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/nowhere", None),
        ("POST", "/runs/cancel", {"thread_id": UNKNOWN, "run_ids": [UNKNOWN]}),
        ("POST", "/runs/cancel", {"status": "all"}),
        ("POST", "/assistants", {"graph_id": "nobody"}),
        ("POST", "/assistants/search", {"graph_id": "nobody"}),
        ("POST", "/runs/crons", {"assistant_id": "nobody", "schedule": "@daily"}),
    ],
)
async def test_unknown_paths_and_unknown_names_in_bodies_are_not_found(
    client: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    response = await client.request(method, path, json=body)
    assert response.status_code == 404
    assert "not found" in response.json()["detail"].lower()


@pytest.mark.parametrize("route", ["/runs", "/runs/wait", "/runs/stream", f"/threads/{UNKNOWN}/runs"])
async def test_an_assistant_id_that_is_neither_an_id_nor_a_graph_is_rejected(
    client: httpx.AsyncClient, route: str
) -> None:
    response = await client.post(route, json={"assistant_id": "nobody"})
    assert response.status_code == 422
    assert response.json()["field"] == "assistant_id"
    assert EXISTING_GRAPH in response.json()["known"]
    assert "not found" in response.json()["detail"]


async def test_an_assistant_is_found_by_its_id_in_any_case(client: httpx.AsyncClient) -> None:
    created = (await client.post("/assistants", json={"graph_id": EXISTING_GRAPH})).json()
    response = await client.get(f"/assistants/{created['assistant_id'].upper()}")
    assert response.json() == created


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/threads",
        "/threads/search",
        "/threads/count",
        "/assistants/search",
        "/assistants/count",
        "/runs/crons/search",
        "/runs/crons/count",
        "/store/items/search",
        "/store/namespaces",
    ],
)
async def test_an_empty_body_is_malformed(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.post(path)).status_code == 422
    assert (await client.post(path, json={})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/store/items?namespace=a", None, 400),
        ("PUT", "/store/items", {"namespace": ["a.b"], "key": "k", "value": {}}, 422),
        ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "index": True}, 422),
        ("PUT", "/store/items", {"namespace": ["langgraph"], "key": "k", "value": {}}, 400),
        ("POST", "/store/items/search", {"namespace_prefix": [""]}, 422),
    ],
)
async def test_errors_of_the_store_are_in_error_and_in_detail(
    client: httpx.AsyncClient, method: str, path: str, body: Any, status: int
) -> None:
    response = await client.request(method, path, json=body)
    assert response.status_code == status
    assert response.json()["error"] == response.json()["detail"]
