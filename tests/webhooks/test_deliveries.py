"""A run that is over calls its webhook: once, with everything, after it is stored."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.delivery_queues import EXTERNAL, INTERNAL
from slipway.services import Services
from slipway.webhooks import deliveries as delivery_rules
from slipway.webhooks.read_permission import AUTHORIZED_WITHIN_S
from slipway.webhooks.scripts import DeliveryScripts
from slipway_workers.duties.deliveries import Deliveries
from slipway_workers.process import WorkerProcess
from tests.conftest import Eventually
from tests.http.conftest import Served
from tests.webhooks.conftest import SECRET, Receiver
from tests.working import executing


async def due_now(pipeline: Pipeline, keys: Keys) -> bool:
    """Make every waiting delivery due. Whether there are any that wait for another try."""
    waiting = await pipeline.send("ZRANGE", keys.deliveries, 0, -1)
    for run_id in waiting:
        await pipeline.send("ZADD", keys.deliveries, "XX", 0, run_id)
    return bool(waiting)


async def now_ms(pipeline: Pipeline) -> float:
    """The server's time, by which leases and pauses end."""
    seconds, micros = await pipeline.send("TIME")
    return int(seconds) * 1000 + int(micros) / 1000


async def due_at(pipeline: Pipeline, keys: Keys, run_id: str) -> float:
    """When the run's webhook is taken next, in ms."""
    return float(await pipeline.send("ZSCORE", keys.deliveries, run_id))


async def over(sdk: LangGraphClient, webhook: str) -> str:
    """A run that was cancelled before a worker claimed it: its webhook is due."""
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "steps", input={}, webhook=webhook)
    await sdk.runs.cancel(thread, run["run_id"])
    return run["run_id"]


async def shown(served: Served, run_id: str) -> dict[str, Any]:
    """The run as it is now."""
    return (await served.services.runs.find(run_id)).public()


async def delivered(served: Served, run_id: str) -> bool:
    """Whether the run says so."""
    return (await shown(served, run_id)).get("webhook_status") == "delivered"


@pytest.mark.usefixtures("worker")
async def test_a_run_that_ended_well(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    thread = await sdk.threads.create()
    run = await sdk.runs.create(
        thread["thread_id"], "steps", input={"value": 1}, metadata={"a": 1}, webhook=receiver.url
    )
    await eventually(lambda: delivered(served, run["run_id"]))
    (told,), (headers,) = receiver.heard, receiver.headers
    assert (told["run_id"], told["status"], told["metadata"]["a"]) == (run["run_id"], "success", 1)
    assert told["values"]["value"] == 4
    assert told["run_started_at"] <= told["run_ended_at"] <= told["webhook_sent_at"]
    assert told["kwargs"]["input"] == {"value": 1}
    assert "error" not in told
    assert told["langsmith_session_name"] is None
    assert told["kwargs"]["config"]["configurable"]["run_id"] == run["run_id"]
    assert headers[""] == "POST /told HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == "Bearer hush"
    assert headers["host"].startswith("localhost:")


@pytest.mark.usefixtures("worker")
async def test_the_signature_can_be_checked(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    run = await sdk.runs.create((await sdk.threads.create())["thread_id"], "steps", input={}, webhook=receiver.url)
    await eventually(lambda: delivered(served, run["run_id"]))
    headers, key = receiver.headers[0], base64.b64decode(SECRET.removeprefix("whsec_"))
    assert headers["webhook-id"] == run["run_id"]
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60, "in seconds: receivers refuse old ones"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + receiver.raw[0]
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.usefixtures("worker")
async def test_failures_interrupts_and_stateless_runs(
    sdk: LangGraphClient, receiver: Receiver, eventually: Eventually
) -> None:
    for name in ("fail", "ask"):
        await sdk.runs.create((await sdk.threads.create())["thread_id"], name, input={}, webhook=receiver.url)
    await sdk.runs.create(None, "steps", input={"value": 1}, webhook=receiver.url)
    await eventually(lambda: len(receiver.heard) == 3)
    by_status: dict[str, list[dict[str, Any]]] = {}
    for told in receiver.heard:
        by_status.setdefault(told["status"], []).append(told)
    (failed,) = by_status["error"]
    assert failed["error"] == {"error": "ValueError", "message": "no luck today"}
    asked = next(told for told in by_status["success"] if told["interrupts"])
    assert next(iter(asked["interrupts"].values()))[0]["value"] == {"question": "how much?"}
    stateless = next(told for told in by_status["success"] if not told["interrupts"])
    assert (stateless["values"], stateless["kwargs"]["temporary"]) == (None, True)


@pytest.mark.usefixtures("worker")
async def test_an_error_whose_text_is_hidden_is_hidden_here_too(
    sdk: LangGraphClient, receiver: Receiver, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    await sdk.runs.create(thread, "fail_secretly", input={}, webhook=receiver.url)
    await eventually(lambda: receiver.heard)
    error = receiver.heard[0]["error"]
    assert error == (await sdk.threads.get(thread))["error"]  # type: ignore[typeddict-item]
    assert error["error"] == "ConnectionError"
    assert "db-7" not in error["message"]


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_cancelled_run_tells_too(
    sdk: LangGraphClient, worker: WorkerProcess, receiver: Receiver, eventually: Eventually, action: Any
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    running = await sdk.runs.create(thread, "hold", input={}, webhook=receiver.url)
    waiting = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url)
    await eventually(lambda: running["run_id"] in executing(worker))
    await sdk.runs.cancel(thread, waiting["run_id"], action=action, params={"reason": "too late"})
    await sdk.runs.cancel(thread, running["run_id"], action=action, wait=True)
    await eventually(lambda: len(receiver.heard) == 2)
    status = "rollback" if action == "rollback" else "interrupted"
    name, cause = "UserRollback" if action == "rollback" else "UserInterrupt", "cancelled through the API"
    assert {told["run_id"]: told["error"] for told in receiver.heard} == {
        running["run_id"]: {"error": name, "message": cause},
        waiting["run_id"]: {"error": name, "message": f"{cause}: too late"},
    }
    assert {told["run_id"]: told["status"] for told in receiver.heard} == {
        running["run_id"]: status,
        waiting["run_id"]: status,
    }


async def test_a_run_whose_attempt_died_tells_once(
    sdk: LangGraphClient, served: Served, worker: WorkerProcess, receiver: Receiver, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "hold", input={}, webhook=receiver.url)
    await eventually(lambda: run["run_id"] in executing(worker))
    first = executing(worker)[run["run_id"]]
    taken = await served.services.scripts.run_reap(event_ttl_s=60, pause_ms=0, worker=worker.executions.worker_id)
    assert [outcome for _, _, outcome in taken] == ["queued"]
    await eventually(lambda: executing(worker)[run["run_id"]].attempt.number == 2)
    first.stop_now()  # it has not noticed; here both attempts are of one worker
    assert receiver.heard == []
    await sdk.runs.cancel(thread, run["run_id"], wait=True)
    await eventually(lambda: delivered(served, run["run_id"]))
    assert len(receiver.heard) == 1


@pytest.mark.usefixtures("worker")
async def test_it_is_tried_three_times(
    sdk: LangGraphClient, served: Served, receiver: Receiver, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    receiver.answers = ["503 Busy", "429 Slow down", "500 Broken"]
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url)

    states: list[tuple[str, str]] = []

    async def failed() -> bool:
        await due_now(pipeline, keys)
        now = await shown(served, run["run_id"])
        states.append((now.get("webhook_status", ""), now.get("webhook_problem", "")))
        return states[-1] == ("failed", "HTTP 500")

    await eventually(failed)
    assert {status for status, _ in states[:-1]} <= {"", "pending"}
    assert len(receiver.heard) == 3
    assert await pipeline.send("ZCARD", keys.deliveries) == 0
    assert len({headers["webhook-id"] for headers in receiver.headers}) == 1


async def test_between_two_tries_there_is_a_pause_that_grows(
    sdk: LangGraphClient, served: Served, receiver: Receiver, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    receiver.answers = ["500 Broken"]
    run_id, deliveries = await over(sdk, receiver.url), Deliveries(served.services)
    for pause_ms in (2_000, 15_000):
        began_ms = await now_ms(pipeline)
        await deliveries.run_once()
        await eventually(lambda: not deliveries.in_progress)
        assert (await shown(served, run_id))["webhook_status"] == "pending"
        assert began_ms + pause_ms <= await due_at(pipeline, keys, run_id) <= await now_ms(pipeline) + pause_ms
        await due_now(pipeline, keys)
    await deliveries.run_once()
    await eventually(lambda: not deliveries.in_progress)
    assert (await shown(served, run_id))["webhook_status"] == "failed"
    assert await pipeline.send("ZSCORE", keys.deliveries, run_id) is None


@pytest.mark.parametrize("answered", ["HTTP/1.1 200 OK\r\n", ""], ids=["a part", "nothing"])
async def test_the_lease_outlasts_the_longest_try(
    sdk: LangGraphClient,
    served: Served,
    pipeline: Pipeline,
    keys: Keys,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    answered: str,
) -> None:
    called = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answered.encode())
        called.set()
        await reader.read()  # until the client gives up
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    longest_ms = (AUTHORIZED_WITHIN_S + delivery_rules.CALL_TIMEOUT_S) * 1000
    run_id = await over(sdk, f"http://localhost:{server.sockets[0].getsockname()[1]}/")
    deliveries, other = Deliveries(served.services), Deliveries(served.services)
    monkeypatch.setattr(delivery_rules, "CALL_TIMEOUT_S", 0.2)  # what a client made before keeps to is 30 s still
    async with server:
        began_ms = await now_ms(pipeline)
        await deliveries.run_once()
        assert await due_at(pipeline, keys, run_id) > began_ms + longest_ms
        assert await other.run_once() == 0
        await eventually(lambda: not deliveries.in_progress)
        assert called.is_set()
    assert (await shown(served, run_id))["webhook_problem"] == "no response in time"


@pytest.mark.usefixtures("worker")
async def test_a_refusal_is_final_and_a_redirect_is_followed(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    receiver.answers = ["307 Moved\r\nlocation: /there", "410 Gone"]
    run = await sdk.runs.create((await sdk.threads.create())["thread_id"], "steps", input={}, webhook=receiver.url)

    async def failed() -> bool:
        return (await shown(served, run["run_id"])).get("webhook_status") == "failed"

    await eventually(failed)
    assert [headers[""] for headers in receiver.headers] == ["POST /told HTTP/1.1", "POST /there HTTP/1.1"]
    assert (await shown(served, run["run_id"]))["webhook_problem"] == "HTTP 410"


async def test_what_a_dead_worker_had_taken_is_taken_again(
    sdk: LangGraphClient, served: Served, receiver: Receiver, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    services: Services = served.services
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url)
    await sdk.runs.cancel(thread, run["run_id"])
    one, two = Deliveries(services), Deliveries(services)
    assert len(await one.scripts.claim((EXTERNAL,), 10, 45_000)) == 1
    assert await two.run_once() == 0  # the lease of the first still holds
    await due_now(pipeline, keys)
    assert await two.run_once() == 1
    await eventually(lambda: delivered(served, run["run_id"]))
    assert not await one.scripts.settle_try(run["run_id"], 1, outcome="failed", problem="late")
    assert await delivered(served, run["run_id"])


async def test_no_more_are_taken_than_there_is_room_for(pipeline: Pipeline, keys: Keys) -> None:
    for queue, name in ((keys.deliveries, "a"), (keys.deliveries, "b"), (keys.internal_deliveries, "c")):
        await pipeline.send("HSET", keys.delivery(name), "tries", 0)
        await pipeline.send("ZADD", queue, 0, name)
    scripts = DeliveryScripts(pipeline, keys)
    taken = [await scripts.claim((EXTERNAL, INTERNAL), 2, 45_000) for _ in range(3)]
    assert [[held["delivery_id"] for held in each] for each in taken] == [[b"a", b"b"], [b"c"], []]


async def test_a_worker_that_stops_ends_what_it_has_begun(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url)
    await sdk.runs.cancel(thread, run["run_id"])
    deliveries = Deliveries(served.services)
    task = asyncio.create_task(deliveries.run())
    await eventually(lambda: deliveries.in_progress or receiver.heard)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await delivered(served, run["run_id"])
    assert len(receiver.heard) == 1


async def test_how_a_webhook_ended_is_not_said_of_a_later_run_that_has_the_same_id(
    sdk: LangGraphClient, served: Served, receiver: Receiver, pipeline: Pipeline, keys: Keys
) -> None:
    run_id, scripts = await over(sdk, receiver.url), DeliveryScripts(pipeline, keys)
    (taken,) = await scripts.claim((EXTERNAL,), 1, 45_000)
    await pipeline.send("HSET", keys.run(run_id), "created_us", 1)  # as if it was removed and made anew
    assert await scripts.settle_try(run_id, int(taken["tries"]), outcome="failed", problem="HTTP 410")
    now = await shown(served, run_id)
    assert (now["webhook_status"], now.get("webhook_problem")) == ("pending", None)


async def test_a_run_that_went_with_its_thread_tells(
    sdk: LangGraphClient, worker: WorkerProcess, receiver: Receiver, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "hold", input={}, webhook=receiver.url)
    await eventually(lambda: run["run_id"] in executing(worker))
    await sdk.threads.delete(thread)
    await eventually(lambda: len(receiver.heard) == 1)
    assert receiver.heard[0]["status"] == "interrupted"
