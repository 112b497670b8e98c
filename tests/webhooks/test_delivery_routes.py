"""The routes of deliveries, and `slipway deliveries`: what was sent, what waits, what nobody accepted, and replay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.api.routes import ops_deliveries
from slipway.clock import iso
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.webhook_endpoints.store import EndpointChange
from slipway_workers.duties.deliveries import Deliveries
from tests.http.conftest import Served
from tests.waiting import Eventually
from tests.webhooks.conftest import Receiver
from tests.webhooks.test_deliveries import cancelled_run, public_run


async def tried(deliveries: Deliveries, eventually: Eventually) -> None:
    """Executes a try of each due delivery."""
    await deliveries.run_once()
    await eventually(lambda: not deliveries.tries.in_progress)


async def listed(client: httpx.AsyncClient, **query: str | int) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    cursor: dict[str, str | int] = {}
    while True:
        response = await client.get("/ops/deliveries", params=query | cursor)
        assert response.status_code == 200, response.text
        page = response.json()
        ids += [each["delivery_id"] for each in page["deliveries"]]
        if page["next"] is None:
            return ids
        cursor = {"cursor": page["next"]}


async def test_a_delivery_has_its_body_and_its_tries(
    sdk: LangGraphClient, client: httpx.AsyncClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    receiver.statuses = ["503 Busy", "200 OK"]
    run_id, deliveries = await cancelled_run(sdk, receiver.url), Deliveries(served.services)
    before = (await client.get(f"/ops/deliveries/{run_id}")).json()
    assert (before["state"], before["body"], before["history"], before["url"]) == ("pending", None, [], receiver.url)
    await tried(deliveries, eventually)
    found = (await client.get(f"/ops/deliveries/{run_id}")).json()
    assert found["body"] == receiver.bodies[0]
    (first,) = found["history"]
    assert (first["number"], first["status"], first["problem"]) == (1, 503, "HTTP 503")
    assert first["duration_ms"] >= 0
    assert found["next_try_at"] > first["at"]
    assert found["target"]["failures"] == 1
    assert (await client.post(f"/ops/deliveries/{run_id}/replay")).json()["state"] == "pending"
    await tried(deliveries, eventually)
    found = (await client.get(f"/ops/deliveries/{run_id}")).json()
    assert (found["state"], [each["status"] for each in found["history"]]) == ("delivered", [503, 200])
    assert found["settled_at"] is not None
    assert found["target"]["failures"] == 0


async def test_a_delivery_is_replayed_with_the_same_id_and_bytes(
    sdk: LangGraphClient, client: httpx.AsyncClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    run_id, deliveries = await cancelled_run(sdk, receiver.url), Deliveries(served.services)
    await tried(deliveries, eventually)
    await sdk.threads.delete((await public_run(served, run_id))["thread_id"])
    assert (await client.post(f"/ops/deliveries/{run_id}/replay")).status_code == 200
    await tried(deliveries, eventually)
    assert [each["webhook-id"] for each in receiver.headers] == [run_id, run_id]
    assert receiver.raw_bodies[0] == receiver.raw_bodies[1], "also after the run and its thread are deleted"
    hostile = ("msg_unknown", "%00", "a" * 3000, f"{run_id}:tries", "all", "with:dead", "%2e%2e", "%F0%9F%98%80")
    for path in (f"/ops/deliveries/{each}" for each in hostile):
        assert (await client.get(path)).status_code == 404
        assert (await client.post(f"{path}/replay")).status_code == 404


async def test_a_try_in_progress_is_not_replayed(
    sdk: LangGraphClient, client: httpx.AsyncClient, served: Served, receiver: Receiver
) -> None:
    run_id = await cancelled_run(sdk, receiver.url)
    await Deliveries(served.services).tries.scripts.claim(("deliveries",), 1, 60_000)
    response = await client.post(f"/ops/deliveries/{run_id}/replay")
    assert (response.status_code, "in progress" in response.text) == (409, True)


async def test_deliveries_are_listed_by_each_condition(
    sdk: LangGraphClient,
    client: httpx.AsyncClient,
    served: Served,
    receiver: Receiver,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliveries = Deliveries(served.services)
    delivered = [await cancelled_run(sdk, receiver.url) for _ in range(3)]
    await tried(deliveries, eventually)
    receiver.statuses = ["410 Gone"]
    thread = (await sdk.threads.create())["thread_id"]
    owned = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url, metadata={"owner": "acme"})
    await sdk.runs.cancel(thread, owned["run_id"])
    await tried(deliveries, eventually)
    pending = await cancelled_run(sdk, receiver.url)
    newest_first = [pending, owned["run_id"], *reversed(delivered)]
    assert await listed(client) == newest_first
    assert await listed(client, limit=2) == newest_first
    assert await listed(client, order="oldest", limit=1) == newest_first[::-1]
    assert await listed(client, state="dead") == await listed(client, owner="acme") == [owned["run_id"]]
    assert await listed(client, state="pending") == await listed(client, run_id=pending) == [pending]
    assert await listed(client, type="run.cancelled", state="delivered", limit=2) == delivered[::-1]
    assert await listed(client, type="run.failed") == await listed(client, run_id=str(uuid4())) == []
    assert await listed(client, run_id=pending.upper()) == [pending]
    middle = (await client.get(f"/ops/deliveries/{delivered[1]}")).json()["created_at"]
    assert await listed(client, created_after=middle, state="delivered") == [delivered[2], delivered[1]]
    assert await listed(client, created_before=middle) == [delivered[0]]
    for query in (
        "state=gone",
        "created_after=soon",
        "cursor=x",
        "unknown=1",
        "limit=0",
        "limit=1001",
        "order=up",
        "run_id=zz",
    ):
        assert (await client.get(f"/ops/deliveries?{query}")).status_code == 422, query

    monkeypatch.setattr(ops_deliveries, "owner_of", lambda request: "acme")
    assert await listed(client) == [owned["run_id"]], "an owner sees only its own"
    assert await listed(client, owner="other") == []
    details = (await client.get(f"/ops/deliveries/{owned['run_id']}")).json()
    assert "response" not in details["history"][0]
    assert (await client.get(f"/ops/deliveries/{pending}")).status_code == 404
    assert (await client.post(f"/ops/deliveries/{pending}/replay")).status_code == 404
    answer = (await client.post("/ops/deliveries/replay", json={"state": "pending"})).json()
    assert answer == {"replayed": 0, "in_progress": 0, "next": None}


@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_dead_letters_of_a_time_range_are_replayed(
    sdk: LangGraphClient,
    client: httpx.AsyncClient,
    served: Served,
    receiver: Receiver,
    pipeline: Pipeline,
    keys: Keys,
    eventually: Eventually,
) -> None:
    deliveries = Deliveries(served.services)
    receiver.statuses = ["410 Gone"]
    runs = [await cancelled_run(sdk, receiver.url) for _ in range(5)]
    for _ in range(5):  # at most four calls of one target at once
        await tried(deliveries, eventually)
    assert {(await public_run(served, each))["webhook_status"] for each in runs} == {"failed"}
    created = [int(score) for score in await pipeline.send("ZMSCORE", keys.deliveries_all, *runs)]
    receiver.statuses = ["200 OK"]
    body: dict[str, Any] = {"created_after": iso(created[1]), "created_before": iso(created[4]), "limit": 2}
    first = (await client.post("/ops/deliveries/replay", json=body)).json()
    assert (first["replayed"], first["in_progress"]) == (2, 0)
    second = (await client.post("/ops/deliveries/replay", json=body | {"cursor": first["next"]})).json()
    assert second["replayed"] == 1
    for _ in range(3):
        await tried(deliveries, eventually)
    statuses = [(await public_run(served, each))["webhook_status"] for each in runs]
    assert statuses == ["failed", "delivered", "delivered", "delivered", "failed"]
    for wrong in (
        {"created_after": "soon"},
        {"state": "gone"},
        {"limit": 0},
        {"cursor": "x"},
        {"unknown": 1},
        {"run_id": "zz"},
    ):
        assert (await client.post("/ops/deliveries/replay", json=wrong)).status_code == 422, wrong


async def test_an_endpoint_that_nobody_knows_is_not_found(
    sdk: LangGraphClient, client: httpx.AsyncClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def statuses(endpoint_id: str) -> set[int]:
        listing = await client.get("/ops/deliveries", params={"endpoint_id": endpoint_id})
        replay = await client.post("/ops/deliveries/replay", json={"endpoint_id": endpoint_id})
        return {listing.status_code, replay.status_code}

    change = EndpointChange(url="http://localhost:1/", types=["run.queued"])
    store = served.services.webhook_endpoints
    shared, removed, unused, theirs = [
        (await store.add(replace(change, owner=owner), by="ann")).endpoint.endpoint_id
        for owner in (None, None, None, "acme")
    ]
    await store.update(unused, EndpointChange(types=["run.failed"]), by="ann")
    await sdk.runs.create((await sdk.threads.create())["thread_id"], "steps", input={})
    for endpoint_id in (removed, unused):
        await store.remove(endpoint_id, by="ann")
    for endpoint_id in (shared, removed, theirs):
        assert await statuses(endpoint_id) == {200}, endpoint_id
    for endpoint_id in ("we_nope", unused, f"{shared}:x", "\N{SNOWMAN}"):
        assert await statuses(endpoint_id) == {404}, endpoint_id
    answer = await client.get("/ops/deliveries", params={"endpoint_id": "we_nope"})
    assert "webhook endpoint 'we_nope' not found" in answer.text

    monkeypatch.setattr(ops_deliveries, "owner_of", lambda request: "acme")
    assert await statuses(theirs) == {200}
    assert await statuses(shared) == {404}, "as one that does not exist"
