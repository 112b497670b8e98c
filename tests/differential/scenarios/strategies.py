"""Several runs of one thread, and cancelling them."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import add, scenario, scenario_alone

LONG = {"assistant_id": "slow", "input": {"value": 0}}
SHORT = {"assistant_id": "steps", "input": {"value": 1}}


def _strategy(strategy: str) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        await client.run(thread, "steps", {"value": 1}, record=False)
        async with client.streaming(f"/threads/{thread}/runs/stream", {**LONG, "stream_mode": ["custom"]}):
            first = (await client.get(f"/threads/{thread}/runs", params={"limit": 1}, record=False))[0]["run_id"]
            await client.running(thread, first)
            second = await client.post(f"/threads/{thread}/runs", {**SHORT, "multitask_strategy": strategy})
            if strategy in ("enqueue", "reject"):
                await client.get(f"/threads/{thread}/runs/{first}")
                await client.post(f"/threads/{thread}/runs/{first}/cancel", params={"wait": "1"})
            if "run_id" in second:
                await client.ended(thread, second["run_id"])
        await client.get(f"/threads/{thread}/runs/{first}")
        await client.get(f"/threads/{thread}/runs")
        told = await client.get(f"/threads/{thread}", record=False)
        told.pop("values")  # how far the slow run came
        client.note("thread", told)

    add("strategies", strategy, play)


for _strategy_name in ("reject", "enqueue", "interrupt", "rollback"):
    _strategy(_strategy_name)


@scenario
async def unknown_strategy(client: Client) -> None:
    thread = await client.thread()
    await client.post(f"/threads/{thread}/runs", {**SHORT, "multitask_strategy": "nothing"})


def _cancel(action: str, wait: str) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        await client.run(thread, "steps", {"value": 1}, record=False)
        run = (await client.post(f"/threads/{thread}/runs", LONG))["run_id"]
        await client.running(thread, run)
        await client.call(
            "POST", f"/threads/{thread}/runs/{run}/cancel", params={"action": action, "wait": wait}, record=wait == "0"
        )
        await client.until(
            f"/threads/{thread}/runs/{run}", lambda found: found.get("status") not in ("pending", "running")
        )
        await client.get(f"/threads/{thread}/runs/{run}")
        if action == "interrupt":  # the reference leaves the thread busy after a rollback
            await client.until(f"/threads/{thread}", lambda found: found["status"] != "busy")
            told = await client.get(f"/threads/{thread}", record=False)
            client.note("thread", {name: told.get(name) for name in ("status", "error", "interrupts")})
        await client.post(f"/threads/{thread}/runs/{run}/cancel")
        await client.run(thread, "steps", {"value": 1})

    add("strategies", f"cancel_{action}_{'waiting' if wait == '1' else 'at_once'}", play)


for _action in ("interrupt", "rollback"):
    for _wait in ("0", "1"):
        _cancel(_action, _wait)


@scenario
async def cancel_while_pending(client: Client) -> None:
    thread = await client.thread()
    first = (await client.post(f"/threads/{thread}/runs", LONG, record=False))["run_id"]
    second = (await client.post(f"/threads/{thread}/runs", SHORT))["run_id"]
    await client.post(f"/threads/{thread}/runs/{second}/cancel")
    await client.ended(thread, second)
    await client.get(f"/threads/{thread}/runs/{second}")
    await client.running(thread, first)
    await client.post(f"/threads/{thread}/runs/cancel", {"status": "all"})
    await client.post("/runs/cancel", {"thread_id": thread, "run_ids": [first]})
    await client.ended(thread, first)
    await client.post("/runs/cancel", {"thread_id": thread, "run_ids": [first]})
    for body in ({}, {"status": "nothing"}, {"status": "pending", "thread_id": thread}, {"thread_id": thread}):
        await client.post("/runs/cancel", body)


@scenario_alone
async def cancel_all(client: Client) -> None:
    thread = await client.thread()
    first = (await client.post(f"/threads/{thread}/runs", LONG, record=False))["run_id"]
    await client.post(f"/threads/{thread}/runs", SHORT, record=False)
    await client.running(thread, first)
    await client.post("/runs/cancel", {"status": "all"})
    await client.ended(thread, first)
    told = await client.get(f"/threads/{thread}/runs", record=False)
    client.note("statuses", [run["status"] for run in told])


@scenario
async def client_leaves(client: Client) -> None:
    for leaving in ("cancel", "continue"):
        thread = await client.thread()
        body = {**LONG, "input": {"value": 18}, "on_disconnect": leaving}
        await client.stream(f"/threads/{thread}/runs/stream", body, until=lambda events: len(events) > 2, record=False)
        await client.until(f"/threads/{thread}", lambda found: found["status"] != "busy")
        run = (await client.get(f"/threads/{thread}/runs", record=False))[0]
        client.note(leaving, run["status"])


@scenario
async def deleted_while_running(client: Client) -> None:
    thread = await client.thread()
    run = (await client.post(f"/threads/{thread}/runs", LONG, record=False))["run_id"]
    await client.running(thread, run)
    await client.delete(f"/threads/{thread}")
    await client.get(f"/threads/{thread}")
    await client.get(f"/threads/{thread}/runs/{run}")
