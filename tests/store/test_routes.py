"""The routes of the store, called by the LangGraph SDK and by plain requests, and graphs that use the store."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import APIStatusError

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.http.conftest import Served


async def test_an_item_is_put_read_and_deleted(sdk: LangGraphClient) -> None:
    await sdk.store.put_item(["users", "a"], key="k", value={"n": 1}, ttl=5)
    item = await sdk.store.get_item(["users", "a"], key="k", refresh_ttl=False)
    assert (item["namespace"], item["key"], item["value"]) == (["users", "a"], "k", {"n": 1})
    assert str(item["created_at"]).endswith("+00:00")
    await sdk.store.delete_item(["users", "a"], key="k")
    await sdk.store.delete_item(["users", "a"], key="k")
    assert await sdk.store.get_item(["users", "a"], key="k") is None


async def test_items_are_searched_and_namespaces_are_listed(sdk: LangGraphClient) -> None:
    for n in range(4):
        await sdk.store.put_item(["docs", str(n % 2)], key=str(n), value={"n": n, "text": "cat" if n == 1 else "tax"})
    found = (await sdk.store.search_items(["docs"], filter={"n": {"$gte": 2}}, limit=1, offset=1))["items"]
    assert [(item["key"], item["score"]) for item in found] == [("2", None)]
    (nearest,) = (await sdk.store.search_items(["docs"], query="a cat", limit=1))["items"]
    assert nearest["key"] == "1"
    assert nearest["score"] == pytest.approx(1, abs=0.01)
    assert await sdk.store.list_namespaces(prefix=["docs"]) == {"namespaces": [["docs", "0"], ["docs", "1"]]}
    assert await sdk.store.list_namespaces(max_depth=1, suffix=["*"]) == {"namespaces": [["docs"]]}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/store/items", {"namespace": [], "key": "k", "value": {}}, 400),
        ("PUT", "/store/items", {"namespace": ["a.b"], "key": "k", "value": {}}, 422),
        ("PUT", "/store/items", {"namespace": [""], "key": "k", "value": {}}, 422),
        ("PUT", "/store/items", {"namespace": ["langgraph"], "key": "k", "value": {}}, 400),
        ("PUT", "/store/items", {"namespace": ["a"], "key": "", "value": {}}, 422),
        ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": 1}, 422),
        ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "ttl": -1}, 422),
        ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {"text": "x" * 3000}}, 413),
        ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "index": False, "ttl": None}, 204),
        ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "index": ["text"]}, 204),
        ("GET", "/store/items?namespace=a", None, 400),
        ("GET", "/store/items?key=k", None, 422),
        ("GET", "/store/items?namespace=a..b&key=k", None, 422),
        ("GET", "/store/items?namespace=a&key=missing", None, 200),
        ("DELETE", "/store/items", {"namespace": ["a"], "key": "missing"}, 204),
        ("POST", "/store/items/search", {"namespace_prefix": None, "limit": 0}, 422),
        ("POST", "/store/items/search", {"namespace_prefix": None, "filter": {"a": {"$in": [1]}}}, 400),
        ("POST", "/store/items/search", {"namespace_prefix": None}, 200),
        ("POST", "/store/namespaces", {}, 200),
    ],
)
async def test_the_status_of_each_request(served: Served, method: str, path: str, body: Any, status: int) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        response = await client.request(method, path, json=body)
    assert response.status_code == status, response.text
    assert status < 400 or isinstance(response.json()["detail"], str)


async def test_a_read_renews_the_time_to_live_unless_the_request_disables_that(
    sdk: LangGraphClient, pipeline: Pipeline, keys: Keys
) -> None:
    member, expiry_ms = "n\0k", 1e13
    await sdk.store.put_item(["n"], key="k", value={}, ttl=5)
    renewed = {}
    for refresh in (False, None, True):
        await pipeline.send("ZADD", keys.store_expiry, "XX", expiry_ms, member)
        await sdk.store.get_item(["n"], key="k", refresh_ttl=refresh)
        renewed[refresh] = float(await pipeline.send("ZSCORE", keys.store_expiry, member)) != expiry_ms
    assert renewed == {False: False, None: True, True: True}


@pytest.mark.usefixtures("worker")
async def test_graphs_read_and_write_the_same_store(sdk: LangGraphClient) -> None:
    await sdk.runs.wait(None, "remember", input={"text": "the cat"})
    found = (await sdk.store.search_items(["notes"]))["items"]
    assert [item["namespace"] for item in found] == [["notes", "sync"], ["notes", "async"]]
    await sdk.store.put_item(["notes", "by hand"], key="k", value={"text": "tax"})
    values = await sdk.runs.wait(None, "recall", input={"text": "tax"})
    assert isinstance(values, dict)
    assert values["found"] == ["tax"]


async def test_the_client_raises_the_text_of_the_error(sdk: LangGraphClient) -> None:
    with pytest.raises(APIStatusError, match="at least one label"):
        await sdk.store.put_item([], key="k", value={})
