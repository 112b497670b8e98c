"""Webhooks: when, what, and where to."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import add, scenario


def _after(name: str, graph: str, given: object) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        body = {"assistant_id": graph, "input": given, "webhook": client.hook_url(name), "metadata": {"m": 1}}
        await client.post(f"/threads/{thread}/runs", body)
        await client.webhook(name)

    add("webhooks", name, play)


_after("success", "steps", {"value": 1})
_after("error", "fails", {"seen": "ValueError"})
_after("hidden_error", "fails", {"seen": "Odd"})
_after("interrupt", "asks", {"value": 1})


@scenario
async def stateless(client: Client) -> None:
    for keep in ("delete", "keep"):
        body = {"assistant_id": "steps", "input": {"value": 1}, "on_completion": keep}
        await client.post("/runs", {**body, "webhook": client.hook_url(f"stateless-{keep}")})
        await client.webhook(f"stateless-{keep}")


@scenario
async def cancelled(client: Client) -> None:
    for action in ("interrupt", "rollback"):
        thread = await client.thread()
        body = {"assistant_id": "slow", "input": {"value": 0}, "webhook": client.hook_url(f"cancelled-{action}")}
        run = (await client.post(f"/threads/{thread}/runs", body))["run_id"]
        await client.running(thread, run)
        await client.call("POST", f"/threads/{thread}/runs/{run}/cancel", params={"action": action})
        told = await client.hooks.received(f"cancelled-{action}", 30)
        client.note(action, {name: told["body"].get(name) for name in ("status", "error")})


@scenario
async def relative(client: Client) -> None:
    thread = await client.thread()
    path = f"/own/hooks/{thread}"
    await client.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {"value": 1}, "webhook": path})
    await client.until(path, lambda found: isinstance(found, list) and found)
    await client.get(path)


@scenario
async def refused(client: Client) -> None:
    thread = await client.thread()
    for url in ("ftp://example.com/x", "nothing", "", "http://", 7, "http://example.com/" + "x" * 70000):
        await client.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {}, "webhook": url})
