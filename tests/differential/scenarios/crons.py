"""Crons: their life, and what their runs are like."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import scenario

BODY = {"assistant_id": "steps", "schedule": "0 3 1 1 *", "input": {"value": 1}}


@scenario
async def life(client: Client) -> None:
    made = await client.post("/runs/crons", {**BODY, "metadata": {"m": 1}, "timezone": "Europe/Berlin"})
    path = f"/runs/crons/{made['cron_id']}"
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
async def everything_given(client: Client) -> None:
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
async def of_a_thread(client: Client) -> None:
    thread = await client.thread()
    made = await client.post(f"/threads/{thread}/runs/crons", BODY)
    for body in ({"thread_id": thread}, {"thread_id": thread, "enabled": True}, {"thread_id": thread, "limit": 1}):
        await client.post("/runs/crons/search", body)
        await client.post("/runs/crons/count", {"thread_id": thread})
    await client.post("/runs/crons/search", {"thread_id": thread, "select": ["cron_id", "schedule"]})
    await client.delete(f"/threads/{thread}")
    await client.get(f"/runs/crons/{made['cron_id']}")


@scenario
async def refused(client: Client) -> None:
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
        made = await client.post("/runs/crons", {**BODY, **body})
        if isinstance(made, dict) and "cron_id" in made:
            await client.delete(f"/runs/crons/{made['cron_id']}", record=False)
    await client.post("/runs/crons", {"assistant_id": "steps"})
    await client.post("/threads/3e1a4b8e-0000-4000-8000-00000000000d/runs/crons", BODY)


@scenario
async def a_run_of_one(client: Client) -> None:
    thread = await client.thread()
    body = {**BODY, "assistant_id": "looks", "schedule": "* * * * * */2", "metadata": {"of": "cron"}}
    made = await client.post(f"/threads/{thread}/runs/crons", body)
    await client.until(f"/threads/{thread}/runs", lambda runs: runs and runs[-1]["status"] == "success")
    await client.delete(f"/runs/crons/{made['cron_id']}")
    run = (await client.get(f"/threads/{thread}/runs", params={"limit": 100}, record=False))[-1]
    client.note("run", run)
    past = await client.history(thread, record=False)
    client.note("state", past[-3])
