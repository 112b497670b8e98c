"""Several runs on one thread, and cancel requests."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import exclusive_scenario, register, scenario

LONG = {"assistant_id": "slow", "input": {"value": 0}}
SHORT = {"assistant_id": "steps", "input": {"value": 1}}


def _add_strategy(strategy: str) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        await client.run_and_wait(thread, "steps", {"value": 1}, record=False)
        async with client.streaming(f"/threads/{thread}/runs/stream", {**LONG, "stream_mode": ["custom"]}):
            first = (await client.get(f"/threads/{thread}/runs", params={"limit": 1}, record=False))[0]["run_id"]
            await client.wait_running(thread, first)
            second = await client.post(f"/threads/{thread}/runs", {**SHORT, "multitask_strategy": strategy})
            if strategy in ("enqueue", "reject"):
                await client.get(f"/threads/{thread}/runs/{first}")
                await client.post(f"/threads/{thread}/runs/{first}/cancel", params={"wait": "1"})
            if "run_id" in second:
                await client.wait_ended(thread, second["run_id"])
        await client.get(f"/threads/{thread}/runs/{first}")
        await client.get(f"/threads/{thread}/runs")
        record = await client.get(f"/threads/{thread}", record=False)
        del record["values"]  # depend on how many supersteps the slow run finished
        client.record("thread", record)

    register("strategies", strategy, requests)


for _strategy_name in ("reject", "enqueue", "interrupt", "rollback"):
    _add_strategy(_strategy_name)


@scenario
async def unknown_strategy(client: Client) -> None:
    thread = await client.create_thread()
    await client.post(f"/threads/{thread}/runs", {**SHORT, "multitask_strategy": "nothing"})


def _add_cancel(action: str, wait: str) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        await client.run_and_wait(thread, "steps", {"value": 1}, record=False)
        run = (await client.post(f"/threads/{thread}/runs", LONG))["run_id"]
        await client.wait_running(thread, run)
        await client.call(
            "POST", f"/threads/{thread}/runs/{run}/cancel", params={"action": action, "wait": wait}, record=wait == "0"
        )
        await client.wait_ended(thread, run)
        await client.get(f"/threads/{thread}/runs/{run}")
        if action == "interrupt":  # on the reference server the thread stays busy after a rollback
            await client.poll(f"/threads/{thread}", lambda record: record["status"] != "busy")
            record = await client.get(f"/threads/{thread}", record=False)
            client.record("thread", {name: record.get(name) for name in ("status", "error", "interrupts")})
        await client.post(f"/threads/{thread}/runs/{run}/cancel")
        await client.run_and_wait(thread, "steps", {"value": 1})

    register("strategies", f"cancel_{action}{'_and_wait' if wait == '1' else ''}", requests)


for _action in ("interrupt", "rollback"):
    for _wait in ("0", "1"):
        _add_cancel(_action, _wait)


@scenario
async def cancel_while_pending(client: Client) -> None:
    thread = await client.create_thread()
    first = (await client.post(f"/threads/{thread}/runs", LONG, record=False))["run_id"]
    second = (await client.post(f"/threads/{thread}/runs", SHORT))["run_id"]
    await client.post(f"/threads/{thread}/runs/{second}/cancel")
    await client.wait_ended(thread, second)
    await client.get(f"/threads/{thread}/runs/{second}")
    await client.wait_running(thread, first)
    await client.post(f"/threads/{thread}/runs/cancel", {"status": "all"})
    await client.post("/runs/cancel", {"thread_id": thread, "run_ids": [first]})
    await client.wait_ended(thread, first)
    await client.post("/runs/cancel", {"thread_id": thread, "run_ids": [first]})
    for body in ({}, {"status": "nothing"}, {"status": "pending", "thread_id": thread}, {"thread_id": thread}):
        await client.post("/runs/cancel", body)


@exclusive_scenario
async def cancel_all(client: Client) -> None:
    thread = await client.create_thread()
    first = (await client.post(f"/threads/{thread}/runs", LONG, record=False))["run_id"]
    await client.post(f"/threads/{thread}/runs", SHORT, record=False)
    await client.wait_running(thread, first)
    await client.post("/runs/cancel", {"status": "all"})
    await client.wait_ended(thread, first)
    runs = await client.get(f"/threads/{thread}/runs", record=False)
    client.record("statuses", [run["status"] for run in runs])


@scenario
async def client_disconnects(client: Client) -> None:
    for on_disconnect in ("cancel", "continue"):
        thread = await client.create_thread()
        body = {**LONG, "input": {"value": 18}, "on_disconnect": on_disconnect}
        await client.stream(f"/threads/{thread}/runs/stream", body, until=lambda events: len(events) > 2, record=False)
        await client.poll(f"/threads/{thread}", lambda record: record["status"] != "busy")
        run = (await client.get(f"/threads/{thread}/runs", record=False))[0]
        client.record(on_disconnect, run["status"])


@scenario
async def delete_while_running(client: Client) -> None:
    thread = await client.create_thread()
    run = (await client.post(f"/threads/{thread}/runs", LONG, record=False))["run_id"]
    await client.wait_running(thread, run)
    await client.delete(f"/threads/{thread}")
    await client.get(f"/threads/{thread}")
    await client.get(f"/threads/{thread}/runs/{run}")
