"""Crons: create, change, search, delete, and the runs that they create."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import scenario

BODY = {"assistant_id": "steps", "schedule": "0 3 1 1 *", "input": {"value": 1}}


@scenario
async def lifecycle(client: Client) -> None:
    cron = await client.post("/runs/crons", {**BODY, "metadata": {"m": 1}, "timezone": "Europe/Berlin"})
    path = f"/runs/crons/{cron['cron_id']}"
    await client.get(path)
    await client.patch(path, {"schedule": "0 4 * * *"})
    await client.patch(path, {"enabled": False})
    await client.patch(path, {"enabled": True, "end_time": "2099-01-01T00:00:00+00:00"})
    await client.patch(path, {"end_time": None, "metadata": {"n": 2}, "input": {"value": 2}})
    await client.patch(path, {})
    await client.delete(path)
    await client.get(path)
    await client.delete(path)


@scenario
async def all_fields(client: Client) -> None:
    await client.post(
        "/runs/crons",
        {
            **BODY,
            "config": {"configurable": {"key": "value"}, "tags": ["t"], "recursion_limit": 20},
            "webhook": "http://127.0.0.1:9/x",
            "interrupt_before": ["third"],
            "multitask_strategy": "reject",
            "stream_mode": ["values"],
            "durability": "sync",
            "on_run_completed": "keep",
            "enabled": False,
            "end_time": "2099-01-01T00:00:00Z",
        },
    )


@scenario
async def with_context(client: Client) -> None:
    await client.post("/runs/crons", {**BODY, "context": {"a": 1}})


@scenario
async def thread_cron(client: Client) -> None:
    thread = await client.create_thread()
    cron = await client.post(f"/threads/{thread}/runs/crons", BODY)
    for body in ({"thread_id": thread}, {"thread_id": thread, "enabled": True}, {"thread_id": thread, "limit": 1}):
        await client.post("/runs/crons/search", body)
        await client.post("/runs/crons/count", {"thread_id": thread})
    await client.post("/runs/crons/search", {"thread_id": thread, "select": ["cron_id", "schedule"]})
    await client.delete(f"/threads/{thread}")
    await client.get(f"/runs/crons/{cron['cron_id']}")


@scenario
async def rejected(client: Client) -> None:
    for body in (
        {"schedule": "nothing"},
        {"schedule": "99 * * * *"},
        {"schedule": "* * * * * *"},
        {"schedule": "@hourly"},
        {"timezone": "Nowhere/City"},
        {"assistant_id": "nowhere"},
        {"assistant_id": "3e1a4b8e-0000-4000-8000-00000000000c"},
        {"end_time": "yesterday"},
        {"end_time": "2001-01-01T00:00:00Z"},
        {"on_run_completed": "nothing"},
    ):
        cron = await client.post("/runs/crons", {**BODY, **body})
        if isinstance(cron, dict) and "cron_id" in cron:
            await client.delete(f"/runs/crons/{cron['cron_id']}", record=False)
    await client.post("/runs/crons", {"assistant_id": "steps"})
    await client.post("/threads/3e1a4b8e-0000-4000-8000-00000000000d/runs/crons", BODY)


@scenario
async def created_run(client: Client) -> None:
    thread = await client.create_thread()
    body = {**BODY, "assistant_id": "observed_config", "schedule": "* * * * * */2", "metadata": {"of": "cron"}}
    cron = await client.post(f"/threads/{thread}/runs/crons", body)
    await client.poll(f"/threads/{thread}/runs", lambda runs: runs and runs[-1]["status"] == "success")
    await client.delete(f"/runs/crons/{cron['cron_id']}")
    run = (await client.get(f"/threads/{thread}/runs", params={"limit": 100}, record=False))[-1]
    client.record("run", run)
    history = await client.get_history(thread, record=False)
    client.record("state", history[-3])
