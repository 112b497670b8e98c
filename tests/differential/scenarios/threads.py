"""Threads: their life, search, copies."""

from __future__ import annotations

import uuid

from tests.differential.recording import Client
from tests.differential.scenarios import scenario


@scenario
async def life(client: Client) -> None:
    chosen = str(uuid.uuid4())
    await client.post("/threads", {"thread_id": chosen, "metadata": {"a": 1}})
    await client.post("/threads", {"thread_id": chosen})
    await client.post("/threads", {"thread_id": chosen, "if_exists": "do_nothing", "metadata": {"b": 1}})
    await client.get(f"/threads/{chosen}")
    await client.patch(f"/threads/{chosen}", {"metadata": {"c": 3}})
    await client.patch(f"/threads/{chosen}", {"metadata": {"a": None}}, headers={"prefer": "return=minimal"})
    await client.get(f"/threads/{chosen}")
    await client.delete(f"/threads/{chosen}")
    await client.get(f"/threads/{chosen}")
    await client.delete(f"/threads/{chosen}")
    await client.patch(f"/threads/{chosen}", {"metadata": {}})
    await client.get("/threads/no-uuid")
    await client.post("/threads", {"thread_id": "no-uuid"})


@scenario
async def bodies(client: Client) -> None:
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
        answer = await client.http.post("/threads", content=content, headers=json_type)
        client.note(
            f"threads {content!r}",
            {"status": answer.status_code, "is_text": isinstance(answer.json().get("detail", ""), str)},
        )


@scenario
async def searched(client: Client) -> None:
    mark = {"mark": str(uuid.uuid4())}
    threads = [await client.thread(metadata={**mark, "place": place}) for place in range(3)]
    await client.run(threads[0], "steps", {"value": 1}, record=False)
    await client.run(threads[1], "asks", {"value": 2}, record=False)
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
async def copied(client: Client) -> None:
    thread = await client.thread(metadata={"a": 1})
    await client.run(thread, "steps", {"value": 1})
    made = await client.post(f"/threads/{thread}/copy")
    copy = made["thread_id"]
    await client.state(copy)
    await client.history(copy)
    await client.get(f"/threads/{copy}")
    await client.run(copy, "steps", {"value": 5})
    await client.history(copy)
    await client.get(f"/threads/{copy}/runs")
    await client.post("/threads/3e1a4b8e-0000-4000-8000-00000000000b/copy")


@scenario
async def time_to_live(client: Client) -> None:
    for ttl in ({"ttl": 5, "strategy": "delete"}, {"ttl": 7.5, "strategy": "keep_latest"}):
        made = await client.post("/threads", {"ttl": ttl})
        await client.get(f"/threads/{made['thread_id']}", params={"include": "ttl"})
    await client.post("/threads", {"ttl": "many"})


@scenario
async def time_to_live_as_a_number(client: Client) -> None:
    await client.post("/threads", {"ttl": 5})


@scenario
async def pruned(client: Client) -> None:
    kept = await client.thread()
    gone = await client.thread()
    for thread in (kept, gone):
        await client.run(thread, "steps", {"value": 1}, record=False)
    await client.post("/threads/prune", {"thread_ids": [kept], "strategy": "keep_latest"})
    await client.history(kept)
    await client.post("/threads/prune", {"thread_ids": [gone]})
    await client.get(f"/threads/{gone}")
    await client.post("/threads/prune", {"thread_ids": ["no-uuid"]})


@scenario
async def system(client: Client) -> None:
    await client.get("/ok")
    await client.get("/ok", params={"check_db": "1"})
    await client.get("/info")
    await client.get("/nowhere")
    await client.put("/threads", {})


@scenario
async def storage(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", {"value": 1}, record=False)
    found = await client.get(f"/threads/{thread}/storage", record=False)
    client.note("storage", sorted(found))


@scenario
async def from_a_browser(client: Client) -> None:
    asked = {
        "origin": "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-private-network": "true",
    }
    for method, headers in (
        ("OPTIONS", {**asked, "access-control-request-headers": "content-type,x-api-key"}),
        ("GET", {"origin": "http://localhost:3000"}),
    ):
        answer = await client.http.request(
            method, "/threads/search" if method == "OPTIONS" else "/info", headers=headers
        )
        told = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
        exposed = sorted(told.pop("access-control-expose-headers", "").lower().replace(" ", "").split(","))
        allowed = sorted(told.pop("access-control-allow-headers", "").lower().replace(" ", "").split(","))
        methods = sorted(told.pop("access-control-allow-methods", "").replace(" ", "").split(","))
        client.note(method, {"status": answer.status_code, **told})
        client.note(f"{method}: exposed", dict.fromkeys(exposed, True))
        client.note(f"{method}: allowed", {"headers": allowed, "methods": methods})
