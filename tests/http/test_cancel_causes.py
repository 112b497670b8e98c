"""The records of a cancelled run and of its thread have the cancel cause, and the reason that the client sent."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.services import Services
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Served
from tests.waiting import Eventually

HOLD = {"assistant_id": "hold", "input": {"value": 1}}
INTERRUPTED = "UserInterrupt"


async def start_run(
    client: httpx.AsyncClient, eventually: Eventually, *, running: bool = True, assistant_id: str = "hold"
) -> tuple[str, str]:
    """Starts a run and returns the ids of its thread and of the run. The run executes node `wait`, or is delayed if not
    `running`."""
    thread = (await client.post("/threads", json={})).json()["thread_id"]
    body = HOLD | {"assistant_id": assistant_id} | ({} if running else {"after_seconds": 3600})
    run = (await client.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]

    async def is_in_wait_node() -> bool:
        return bool((await client.get(f"/threads/{thread}/state")).json()["next"] == ["wait"])

    if running:
        await eventually(is_in_wait_node)
    return thread, run


async def wait_until_cancelled(
    client: httpx.AsyncClient, eventually: Eventually, thread: str, run: str
) -> dict[str, Any]:
    """The body of the run once it is cancelled."""
    path = f"/threads/{thread}/runs/{run}"

    async def is_cancelled() -> bool:
        return bool((await client.get(path)).json()["status"] == "interrupted")

    await eventually(is_cancelled)
    body: dict[str, Any] = (await client.get(path)).json()
    return body


@pytest.mark.parametrize("reason", [None, "too expensive"])
async def test_a_cancel_request_stores_its_cause_and_reason(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually, reason: str | None
) -> None:
    thread, run = await start_run(client, eventually)
    query = {} if reason is None else {"reason": reason}
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": 1, **query})
    cause = "cancelled through the API"
    message = cause if reason is None else f"{cause}: {reason}"
    cancelled = (await client.get(f"/threads/{thread}/runs/{run}")).json()
    assert (cancelled["cancel_cause"], cancelled["cancel_reason"]) == (cause, reason or cause)
    assert cancelled["error"] == {"error": INTERRUPTED, "message": message, "code": "cancelled", "retryable": False}
    thread_body = (await client.get(f"/threads/{thread}")).json()
    assert thread_body["error"] == {"error": INTERRUPTED, "message": message}
    assert thread_body["status"] == "interrupted"
    assert "__error__" not in (await client.get(f"/threads/{thread}/runs/{run}/join")).json()


async def test_the_next_run_clears_the_error_of_its_thread(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually
) -> None:
    thread, run = await start_run(client, eventually)
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": 1})
    await client.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "steps", "input": {"value": 1}})
    assert (await client.get(f"/threads/{thread}")).json()["error"] is None


async def test_a_rollback_stores_its_cause_in_the_thread(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually
) -> None:
    thread, run = await start_run(client, eventually)
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": 1, "action": "rollback"})
    thread_body = (await client.get(f"/threads/{thread}")).json()
    assert thread_body["error"] == {"error": "UserRollback", "message": "cancelled through the API"}
    assert thread_body["status"] == "idle"


@pytest.mark.parametrize("status", ["running", "all"])
async def test_a_cancel_request_for_many_runs_stores_its_cause(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually, status: str
) -> None:
    thread, run = await start_run(client, eventually)
    await client.post("/runs/cancel", json={"status": status})
    assert (await wait_until_cancelled(client, eventually, thread, run))["cancel_cause"] == "cancelled through the API"


async def test_a_run_that_is_cancelled_by_a_disconnect_has_this_cause(
    client: httpx.AsyncClient, sdk: LangGraphClient, served: Served, worker: WorkerProcess, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    async for part in sdk.runs.stream(thread, "hold", input={"value": 1}, on_disconnect="cancel"):
        if part.event == "values":
            break
    (run,) = await sdk.runs.list(thread)
    cancelled = await wait_until_cancelled(client, eventually, thread, run["run_id"])
    assert cancelled["cancel_reason"] == cancelled["cancel_cause"] == "the client disconnected (cancel on disconnect)"


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_run_that_is_superseded_by_a_newer_one_has_this_cause(
    client: httpx.AsyncClient,
    served: Served,
    worker: WorkerProcess,
    eventually: Eventually,
    strategy: str,
    running: bool,
) -> None:
    thread, run = await start_run(client, eventually, running=running)
    body = {"assistant_id": "steps", "input": {"value": 1}, "multitask_strategy": strategy, "after_seconds": 3600}
    newer = (await client.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]
    cause = f"superseded by run {newer} (multitask_strategy={strategy})"
    if strategy == "interrupt":
        assert (await wait_until_cancelled(client, eventually, thread, run))["cancel_cause"] == cause
    if running:  # a run that never started stores no error in its thread
        name = INTERRUPTED if strategy == "interrupt" else "UserRollback"

        async def thread_has_error() -> bool:
            error = (await client.get(f"/threads/{thread}")).json()["error"]
            return bool(error == {"error": name, "message": cause})

        await eventually(thread_has_error)


async def test_a_run_that_is_cancelled_because_its_assistant_was_deleted_has_this_cause(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually
) -> None:
    assistant = (await client.post("/assistants", json={"graph_id": "hold"})).json()["assistant_id"]
    thread, run = await start_run(client, eventually, assistant_id=assistant)
    await client.delete(f"/assistants/{assistant}")
    cancelled = await wait_until_cancelled(client, eventually, thread, run)
    assert cancelled["cancel_cause"] == f"assistant {assistant} was deleted"


async def test_a_second_cancel_request_does_not_change_the_cause(
    served: Served, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    """For example, a client cancels its run and then disconnects. A rollback replaces the cause."""
    services: Services = served.services
    thread, run = await start_run(client, eventually, running=False)
    await services.pipeline.send("HSET", services.keys.run(run), "phase", "running", "attempt", 1)  # without a worker
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"reason": "mine"})
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"reason": "later"})
    stored = await services.runs.find(run)
    assert (stored.cancel_cause, stored.cancel_reason) == ("cancelled through the API", "mine")
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"action": "rollback"})
    assert (await services.runs.find(run)).cancel_reason is None


async def test_a_cancelled_run_that_never_started_has_its_cause_and_its_thread_no_error(
    client: httpx.AsyncClient, served: Served, eventually: Eventually
) -> None:
    thread, run = await start_run(client, eventually, running=False)
    await client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": 1, "reason": "no need"})
    cancelled = (await client.get(f"/threads/{thread}/runs/{run}")).json()
    assert (cancelled["cancel_cause"], cancelled["cancel_reason"]) == ("cancelled through the API", "no need")
    thread_body = (await client.get(f"/threads/{thread}")).json()
    assert (thread_body["status"], thread_body["error"]) == ("idle", None)


async def test_a_cancel_reason_has_at_most_1000_characters(client: httpx.AsyncClient, eventually: Eventually) -> None:
    thread, run = await start_run(client, eventually, running=False)
    path = f"/threads/{thread}/runs/{run}"
    rejected = await client.post(f"{path}/cancel", params={"reason": "a" * 1001})
    assert (rejected.status_code, rejected.json()["field"]) == (422, "reason")
    longest = 'quotes "", 1/2 ☃ 😀'.ljust(1000, ".")
    assert (await client.post(f"{path}/cancel", params={"reason": longest})).status_code == 202
    assert (await client.get(path)).json()["cancel_reason"] == longest
