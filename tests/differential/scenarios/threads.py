"""Threads: create, change, delete, search, copy and prune; server information; requests of browsers."""

from __future__ import annotations

import uuid

from tests.differential.recording import Client
from tests.differential.scenarios import scenario


@scenario
async def lifecycle(client: Client) -> None:
    thread_id = str(uuid.uuid4())
    await client.post("/threads", {"thread_id": thread_id, "metadata": {"a": 1}})
    await client.post("/threads", {"thread_id": thread_id})
    await client.post("/threads", {"thread_id": thread_id, "if_exists": "do_nothing", "metadata": {"b": 1}})
    await client.get(f"/threads/{thread_id}")
    await client.patch(f"/threads/{thread_id}", {"metadata": {"c": 3}})
    await client.patch(f"/threads/{thread_id}", {"metadata": {"a": None}}, headers={"prefer": "return=minimal"})
    await client.get(f"/threads/{thread_id}")
    await client.delete(f"/threads/{thread_id}")
    await client.get(f"/threads/{thread_id}")
    await client.delete(f"/threads/{thread_id}")
    await client.patch(f"/threads/{thread_id}", {"metadata": {}})
    await client.get("/threads/no-uuid")
    await client.post("/threads", {"thread_id": "no-uuid"})


@scenario
async def invalid_bodies(client: Client) -> None:
    json_type = {"content-type": "application/json"}
    for content in (
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"metadata": 7}',
        b'{"unknown": 1}',
        b'{"if_exists": "no"}',
    ):
        response = await client.http.post("/threads", content=content, headers=json_type)
        client.record(
            f"threads {content!r}",
            {"status": response.status_code, "is_text": isinstance(response.json().get("detail", ""), str)},
        )


@scenario
async def search(client: Client) -> None:
    mark = {"mark": str(uuid.uuid4())}
    threads = [await client.create_thread(metadata={**mark, "number": number}) for number in range(3)]
    await client.run_and_wait(threads[0], "steps", {"value": 1}, record=False)
    await client.run_and_wait(threads[1], "interrupts", {"value": 2}, record=False)
    for body in (
        {},
        {"limit": 1},
        {"limit": 1, "offset": 1},
        {"status": "idle"},
        {"status": "interrupted"},
        {"values": {"value": 20}},
        {"sort_by": "created_at", "sort_order": "asc"},
        {"sort_by": "status", "sort_order": "desc"},
        {"select": ["thread_id", "status"]},
        {"select": ["values", "interrupts", "config", "metadata"]},
        {"select": ["nothing"]},
        {"ids": threads[:2]},
        {"extract": {"first": "values.log[0]", "last": "values.log[-1]", "none": "values.nothing"}},
        {"status": "nothing"},
        {"limit": 0},
        {"sort_by": "nothing"},
    ):
        await client.post("/threads/search", {"metadata": mark, **body})
    await client.post("/threads/count", {"metadata": mark})
    await client.post("/threads/count", {"metadata": mark, "status": "interrupted"})


@scenario
async def copy(client: Client) -> None:
    thread = await client.create_thread(metadata={"a": 1})
    await client.run_and_wait(thread, "steps", {"value": 1})
    copy_id = (await client.post(f"/threads/{thread}/copy"))["thread_id"]
    await client.get_state(copy_id)
    await client.get_history(copy_id)
    await client.get(f"/threads/{copy_id}")
    await client.run_and_wait(copy_id, "steps", {"value": 5})
    await client.get_history(copy_id)
    await client.get(f"/threads/{copy_id}/runs")
    await client.post("/threads/3e1a4b8e-0000-4000-8000-00000000000b/copy")


@scenario
async def time_to_live(client: Client) -> None:
    for ttl in ({"ttl": 5, "strategy": "delete"}, {"ttl": 7.5, "strategy": "keep_latest"}):
        thread = await client.post("/threads", {"ttl": ttl})
        await client.get(f"/threads/{thread['thread_id']}", params={"include": "ttl"})
    await client.post("/threads", {"ttl": "many"})


@scenario
async def time_to_live_number(client: Client) -> None:
    await client.post("/threads", {"ttl": 5})


@scenario
async def prune(client: Client) -> None:
    shortened = await client.create_thread()
    deleted = await client.create_thread()
    for thread in (shortened, deleted):
        await client.run_and_wait(thread, "steps", {"value": 1}, record=False)
    await client.post("/threads/prune", {"thread_ids": [shortened], "strategy": "keep_latest"})
    await client.get_history(shortened)
    await client.post("/threads/prune", {"thread_ids": [deleted]})
    await client.get(f"/threads/{deleted}")
    await client.post("/threads/prune", {"thread_ids": ["no-uuid"]})


@scenario
async def server_info(client: Client) -> None:
    await client.get("/ok")
    await client.get("/ok", params={"check_db": "1"})
    await client.get("/info")
    await client.get("/nowhere")
    await client.put("/threads", {})


@scenario
async def storage(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1}, record=False)
    storage = await client.get(f"/threads/{thread}/storage", record=False)
    client.record("storage", sorted(storage))


@scenario
async def cors(client: Client) -> None:
    preflight = {
        "origin": "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-private-network": "true",
    }
    for method, headers in (
        ("OPTIONS", {**preflight, "access-control-request-headers": "content-type,x-api-key"}),
        ("GET", {"origin": "http://localhost:3000"}),
    ):
        response = await client.http.request(
            method, "/threads/search" if method == "OPTIONS" else "/info", headers=headers
        )
        cors_headers = {name: value for name, value in response.headers.items() if name.startswith("access-control-")}
        exposed = sorted(cors_headers.pop("access-control-expose-headers", "").lower().replace(" ", "").split(","))
        allowed = sorted(cors_headers.pop("access-control-allow-headers", "").lower().replace(" ", "").split(","))
        methods = sorted(cors_headers.pop("access-control-allow-methods", "").replace(" ", "").split(","))
        client.record(method, {"status": response.status_code, **cors_headers})
        client.record(f"{method}: exposed", dict.fromkeys(exposed, True))
        client.record(f"{method}: allowed", {"headers": allowed, "methods": methods})
