"""The long-term store."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import scenario


@scenario
async def lifecycle(client: Client) -> None:
    root = "lifecycle"
    item = {"namespace": [root, "a"], "key": "k"}
    await client.put("/store/items", {**item, "value": {"n": 1, "text": "t"}})
    await client.get("/store/items", params={"namespace": f"{root}.a", "key": "k"})
    await client.put("/store/items", {**item, "value": {"n": 2}, "index": False, "ttl": 10})
    await client.get("/store/items", params={"namespace": f"{root}.a", "key": "k", "refresh_ttl": "false"})
    await client.put("/store/items", {"namespace": [root, "b"], "key": "k2", "value": {"n": 3}})
    await client.put("/store/items", {"namespace": [root, "b", "c"], "key": "k3", "value": {"n": 4, "deep": {"x": 1}}})
    for body in (
        {"namespace_prefix": [root]},
        {"namespace_prefix": [root], "filter": {"n": 3}},
        {"namespace_prefix": [root], "filter": {"n": {"$gt": 2}}},
        {"namespace_prefix": [root], "limit": 1, "offset": 1},
        {"namespace_prefix": [root], "query": "t"},
        {"namespace_prefix": [root], "filter": {"n": {"$nothing": 2}}},
        {"namespace_prefix": "text"},
        {"namespace_prefix": [root], "limit": -1},
    ):
        await client.post("/store/items/search", body)
    for body in (
        {"prefix": [root]},
        {"prefix": [root], "max_depth": 2},
        {"prefix": [root], "suffix": ["c"]},
        {"prefix": [root, "*"]},
        {"prefix": [root], "limit": 1, "offset": 1},
    ):
        await client.post("/store/namespaces", body)
    await client.delete("/store/items", item)
    await client.get("/store/items", params={"namespace": f"{root}.a", "key": "k"})
    await client.delete("/store/items", item)


@scenario
async def rejected(client: Client) -> None:
    for body in (
        {"namespace": [], "key": "k", "value": {}},
        {"namespace": ["a.b"], "key": "k", "value": {}},
        {"namespace": [""], "key": "k", "value": {}},
        {"namespace": ["a"], "key": "", "value": {}},
        {"namespace": ["a"], "key": "k", "value": 7},
        {"namespace": ["a"], "key": "k"},
        {"namespace": ["langgraph"], "key": "k", "value": {}},
        {"namespace": "text", "key": "k", "value": {}},
        {"namespace": ["a"], "key": "k", "value": {}, "ttl": "many"},
    ):
        await client.put("/store/items", body)
    await client.get("/store/items", params={"namespace": "a"})
    await client.get("/store/items", params={"key": "k"})
    await client.get("/store/items", params={"namespace": "a..b", "key": "k"})
    await client.delete("/store/items", {"namespace": ["a"]})
