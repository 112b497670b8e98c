"""Why a run was cancelled: run, thread and webhook name the cause, and the client's own reason beside it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.services import Services
from slipway_workers.process import WorkerProcess
from tests.conftest import Eventually
from tests.http.conftest import Served

HOLD = {"assistant_id": "hold", "input": {"value": 1}}
INTERRUPTED = "UserInterrupt"


async def a_run(
    client: httpx.AsyncClient, eventually: Eventually, *, running: bool = True, assistant_id: str = "hold"
) -> tuple[str, str]:
    """The thread and the id of a run that goes on for long, or that waits for its time."""
    thread = (await client.post("/threads", json={})).json()["thread_id"]
    body = HOLD | {"assistant_id": assistant_id} | ({} if running else {"after_seconds": 3600})
    run = (await client.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]

    async def holds() -> bool:
        return bool((await client.get(f"/threads/{thread}/state")).json()["next"] == ["wait"])

    if running:
        await eventually(holds)
    return thread, run


async def ended(client: httpx.AsyncClient, eventually: Eventually, thread: str, run: str) -> dict[str, Any]:
    """The run, once it is over."""
    place = f"/threads/{thread}/runs/{run}"

    async def over() -> bool:
        return bool((await client.get(place)).json()["status"] == "interrupted")

    await eventually(over)
    found: dict[str, Any] = (await client.get(place)).json()
    return found


@pytest.mark.parametrize("reason", [None, "too dear"])
async def test_through_the_api(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually, reason: str | None
) -> None:
    thread, run = await a_run(client, eventually)
    query = {} if reason is None else {"reason": reason}
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": 1, **query})
    cause = "cancelled through the API"
    message = cause if reason is None else f"{cause}: {reason}"
    shown = (await client.get(f"/threads/{thread}/runs/{run}")).json()
    assert (shown["cancel_cause"], shown["cancel_reason"]) == (cause, reason or cause)
    assert shown["error"] == {"error": INTERRUPTED, "message": message, "code": "cancelled", "retryable": False}
    of_thread = (await client.get(f"/threads/{thread}")).json()
    assert of_thread["error"] == {"error": INTERRUPTED, "message": message}
    assert of_thread["status"] == "interrupted"
    assert "__error__" not in (await client.get(f"/threads/{thread}/runs/{run}/join")).json()


async def test_the_next_run_clears_it(client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually) -> None:
    thread, run = await a_run(client, eventually)
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": 1})
    await client.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "steps", "input": {"value": 1}})
    assert (await client.get(f"/threads/{thread}")).json()["error"] is None


async def test_a_rollback(client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually) -> None:
    thread, run = await a_run(client, eventually)
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": 1, "action": "rollback"})
    of_thread = (await client.get(f"/threads/{thread}")).json()
    assert of_thread["error"] == {"error": "UserRollback", "message": "cancelled through the API"}
    assert of_thread["status"] == "idle"


@pytest.mark.parametrize("status", ["running", "all"])
async def test_many_at_once(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually, status: str
) -> None:
    thread, run = await a_run(client, eventually)
    await client.post("/runs/cancel", json={"status": status})
    assert (await ended(client, eventually, thread, run))["cancel_cause"] == "cancelled through the API"


async def test_a_client_that_left(
    client: httpx.AsyncClient, sdk: LangGraphClient, served: Served, worker: WorkerProcess, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    async for part in sdk.runs.stream(thread, "hold", input={"value": 1}, on_disconnect="cancel"):
        if part.event == "values":
            break
    (run,) = await sdk.runs.list(thread)
    shown = await ended(client, eventually, thread, run["run_id"])
    assert shown["cancel_reason"] == shown["cancel_cause"] == "the client disconnected (cancel on disconnect)"


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_newer_run(
    client: httpx.AsyncClient,
    served: Served,
    worker: WorkerProcess,
    eventually: Eventually,
    strategy: str,
    running: bool,
) -> None:
    thread, run = await a_run(client, eventually, running=running)
    body = {"assistant_id": "steps", "input": {"value": 1}, "multitask_strategy": strategy, "after_seconds": 3600}
    newer = (await client.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]
    cause = f"superseded by run {newer} (multitask_strategy={strategy})"
    if strategy == "interrupt":
        assert (await ended(client, eventually, thread, run))["cancel_cause"] == cause
    if running:  # one that never started left nothing
        name = INTERRUPTED if strategy == "interrupt" else "UserRollback"

        async def told() -> bool:
            error = (await client.get(f"/threads/{thread}")).json()["error"]
            return bool(error == {"error": name, "message": cause})

        await eventually(told)


async def test_a_deleted_assistant(client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually) -> None:
    assistant = (await client.post("/assistants", json={"graph_id": "hold"})).json()["assistant_id"]
    thread, run = await a_run(client, eventually, assistant_id=assistant)
    await client.delete(f"/assistants/{assistant}")
    shown = await ended(client, eventually, thread, run)
    assert shown["cancel_cause"] == f"assistant {assistant} was deleted"


async def test_the_first_cause_stays(served: Served, client: httpx.AsyncClient, eventually: Eventually) -> None:
    """A client that cancels its run and then leaves has cancelled it once."""
    services: Services = served.services
    thread, run = await a_run(client, eventually, running=False)
    await services.pipeline.send("HSET", services.keys.run(run), "phase", "running", "attempt", 1)  # no worker answers
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"reason": "mine"})
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"reason": "later"})
    found = await services.runs.find(run)
    assert (found.cancel_cause, found.cancel_reason) == ("cancelled through the API", "mine")
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"action": "rollback"})
    assert (await services.runs.find(run)).cancel_reason is None


async def test_a_run_that_never_started(client: httpx.AsyncClient, served: Served, eventually: Eventually) -> None:
    thread, run = await a_run(client, eventually, running=False)
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": 1, "reason": "no need"})
    shown = (await client.get(f"/threads/{thread}/runs/{run}")).json()
    assert (shown["cancel_cause"], shown["cancel_reason"]) == ("cancelled through the API", "no need")
    of_thread = (await client.get(f"/threads/{thread}")).json()
    assert (of_thread["status"], of_thread["error"]) == ("idle", None)


async def test_a_reason_is_a_sentence(client: httpx.AsyncClient, eventually: Eventually) -> None:
    thread, run = await a_run(client, eventually, running=False)
    place = f"/threads/{thread}/runs/{run}"
    answer = await client.post(f"{place}/cancel", params={"reason": "a" * 1001})
    assert (answer.status_code, answer.json()["field"]) == (422, "reason")
    odd = 'said "no", 1/2 ☃ 😀'.ljust(1000, ".")
    assert (await client.post(f"{place}/cancel", params={"reason": odd})).status_code == 202
    assert (await client.get(place)).json()["cancel_reason"] == odd
