"""Webhooks: when they are sent, their bodies, and which URLs are rejected."""

from __future__ import annotations

from tests.differential.recording import DEADLINE_S, Client
from tests.differential.scenarios import register, scenario


def _add_webhook_of_run(name: str, graph: str, run_input: object) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        body = {"assistant_id": graph, "input": run_input, "webhook": client.webhook_url(name), "metadata": {"m": 1}}
        await client.post(f"/threads/{thread}/runs", body)
        await client.wait_webhook(name)

    register("webhooks", name, requests)


_add_webhook_of_run("success", "steps", {"value": 1})
_add_webhook_of_run("error", "fails", {"failure": "ValueError"})
_add_webhook_of_run("hidden_error", "fails", {"failure": "HiddenText"})
_add_webhook_of_run("interrupt", "interrupts", {"value": 1})


@scenario
async def stateless(client: Client) -> None:
    for on_completion in ("delete", "keep"):
        body = {"assistant_id": "steps", "input": {"value": 1}, "on_completion": on_completion}
        await client.post("/runs", {**body, "webhook": client.webhook_url(f"stateless-{on_completion}")})
        await client.wait_webhook(f"stateless-{on_completion}")


@scenario
async def cancelled(client: Client) -> None:
    for action in ("interrupt", "rollback"):
        thread = await client.create_thread()
        body = {"assistant_id": "slow", "input": {"value": 0}, "webhook": client.webhook_url(f"cancelled-{action}")}
        run = (await client.post(f"/threads/{thread}/runs", body))["run_id"]
        await client.wait_running(thread, run)
        await client.call("POST", f"/threads/{thread}/runs/{run}/cancel", params={"action": action})
        webhook = await client.webhooks.next_of(f"cancelled-{action}", DEADLINE_S)
        client.record(action, {name: webhook["body"].get(name) for name in ("status", "error")})


@scenario
async def internal(client: Client) -> None:
    thread = await client.create_thread()
    path = f"/app/webhooks/{thread}"
    await client.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {"value": 1}, "webhook": path})
    await client.poll(path, lambda bodies: isinstance(bodies, list) and bodies)
    await client.get(path)


@scenario
async def rejected_urls(client: Client) -> None:
    thread = await client.create_thread()
    for url in ("ftp://example.com/x", "nothing", "", "http://", 7, "http://example.com/" + "x" * 70000):
        await client.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {}, "webhook": url})
