"""The webhook of a run is called once, after the end of the run was stored."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import time
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.delivery_queues import EXTERNAL, INTERNAL
from slipway.serialization.encryption import MARK
from slipway.services import Services
from slipway.settings import Settings
from slipway.webhooks import delivery_tries
from slipway.webhooks.read_permission import AUTHORIZED_WITHIN_S
from slipway.webhooks.retry_schedule import RETRY_PAUSES_MS
from slipway.webhooks.scripts import GivenUp
from slipway_workers.duties.deliveries import Deliveries
from slipway_workers.process import WorkerProcess
from tests.encrypted_process import settings_with_key
from tests.http.conftest import Served, serving
from tests.waiting import Eventually
from tests.webhooks.conftest import SECRET, Receiver
from tests.webhooks.delivery_scripts import delivery_scripts, settled
from tests.worker import executing, running_worker


async def make_due(pipeline: Pipeline, keys: Keys) -> None:
    """Makes all deliveries due."""
    waiting = await pipeline.send("ZRANGE", keys.deliveries, 0, -1)
    for run_id in waiting:
        await pipeline.send("ZADD", keys.deliveries, "XX", 0, run_id)


async def forget_failures(pipeline: Pipeline, keys: Keys) -> None:
    """Closes the circuit breakers of all origins, so that their calls are made at once."""
    for target in await pipeline.send("ZRANGE", keys.parked_targets, 0, -1):
        await pipeline.send("ZADD", keys.parked_targets, "XX", 0, target)
    for record in await pipeline.send("KEYS", keys.webhook_origin("*")):
        await pipeline.send("DEL", record)


async def now_ms(pipeline: Pipeline) -> float:
    """The time of Redis, which decides when leases and pauses end."""
    seconds, micros = await pipeline.send("TIME")
    return int(seconds) * 1000 + int(micros) / 1000


async def due_at(pipeline: Pipeline, keys: Keys, run_id: str) -> float:
    """When the run's delivery can be claimed, in ms."""
    return float(await pipeline.send("ZSCORE", keys.deliveries, run_id))


async def cancelled_run(sdk: LangGraphClient, webhook: str) -> str:
    """A run that was cancelled before a worker claimed it: its delivery is due."""
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "steps", input={}, webhook=webhook)
    await sdk.runs.cancel(thread, run["run_id"])
    return run["run_id"]


async def public_run(served: Served, run_id: str) -> dict[str, Any]:
    return (await served.services.runs.find(run_id)).public()


async def is_delivered(served: Served, run_id: str) -> bool:
    return (await public_run(served, run_id)).get("webhook_status") == "delivered"


@pytest.mark.usefixtures("worker")
async def test_the_body_of_a_successful_run(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    thread = await sdk.threads.create()
    run = await sdk.runs.create(
        thread["thread_id"], "steps", input={"value": 1}, metadata={"a": 1}, webhook=receiver.url
    )
    await eventually(lambda: is_delivered(served, run["run_id"]))
    (body,), (headers,) = receiver.bodies, receiver.headers
    assert (body["run_id"], body["status"], body["metadata"]["a"]) == (run["run_id"], "success", 1)
    assert body["values"]["value"] == 4
    assert body["run_started_at"] <= body["run_ended_at"] <= body["webhook_sent_at"]
    assert body["kwargs"]["input"] == {"value": 1}
    assert "error" not in body
    assert body["langsmith_session_name"] is None
    assert body["kwargs"]["config"]["configurable"]["run_id"] == run["run_id"]
    assert headers[""] == "POST /hook HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == "Bearer hush"
    assert headers["host"].startswith("localhost:")


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
async def test_the_type_of_a_delivery_is_how_the_run_ended(
    settings: Settings, graphs: Registry, receiver: Receiver, eventually: Eventually, *, is_encrypted: bool
) -> None:
    used = settings_with_key(settings) if is_encrypted else settings
    async with (
        serving(used, graphs) as served,
        get_client(url=served.url, api_key=None) as sdk,
        running_worker(used, graphs),
    ):
        for graph, event_type in (
            ("steps", "run.completed"),
            ("ask", "run.waiting_for_approval"),
            ("fail", "run.failed"),
        ):
            thread = await sdk.threads.create()
            run = await sdk.runs.create(thread["thread_id"], graph, input={}, webhook=receiver.url)
            await eventually(functools.partial(is_delivered, served, run["run_id"]))
            stored = (await served.services.deliveries.get(run["run_id"])).summary
            assert (graph, stored.type) == (graph, event_type)
            key = served.services.keys.thread(thread["thread_id"])
            stored_interrupts = await served.services.pipeline.send("HGET", key, "interrupts")
            assert not is_encrypted or stored_interrupts.startswith(MARK)


@pytest.mark.usefixtures("worker")
async def test_a_receiver_can_verify_the_signature(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    run = await sdk.runs.create((await sdk.threads.create())["thread_id"], "steps", input={}, webhook=receiver.url)
    await eventually(lambda: is_delivered(served, run["run_id"]))
    headers, key = receiver.headers[0], base64.b64decode(SECRET.removeprefix("whsec_"))
    assert headers["webhook-id"] == run["run_id"]
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60, "in seconds: receivers reject old requests"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + receiver.raw_bodies[0]
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.usefixtures("worker")
async def test_the_bodies_of_failed_interrupted_and_stateless_runs(
    sdk: LangGraphClient, receiver: Receiver, eventually: Eventually
) -> None:
    for name in ("fail", "ask"):
        await sdk.runs.create((await sdk.threads.create())["thread_id"], name, input={}, webhook=receiver.url)
    await sdk.runs.create(None, "steps", input={"value": 1}, webhook=receiver.url)
    await eventually(lambda: len(receiver.bodies) == 3)
    by_status: dict[str, list[dict[str, Any]]] = {}
    for body in receiver.bodies:
        by_status.setdefault(body["status"], []).append(body)
    (failed,) = by_status["error"]
    assert failed["error"] == {"error": "ValueError", "message": "no luck today"}
    interrupted = next(body for body in by_status["success"] if body["interrupts"])
    assert next(iter(interrupted["interrupts"].values()))[0]["value"] == {"question": "how much?"}
    stateless = next(body for body in by_status["success"] if not body["interrupts"])
    assert (stateless["values"], stateless["kwargs"]["temporary"]) == (None, True)


@pytest.mark.usefixtures("worker")
async def test_the_body_has_the_public_text_of_an_error(
    sdk: LangGraphClient, receiver: Receiver, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    await sdk.runs.create(thread, "fail_secretly", input={}, webhook=receiver.url)
    await eventually(lambda: receiver.bodies)
    error = receiver.bodies[0]["error"]
    assert error == (await sdk.threads.get(thread))["error"]  # type: ignore[typeddict-item]
    assert error["error"] == "ConnectionError"
    assert "db-7" not in error["message"]


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_the_body_of_a_cancelled_run_has_the_cause(
    sdk: LangGraphClient, worker: WorkerProcess, receiver: Receiver, eventually: Eventually, action: Any
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    running = await sdk.runs.create(thread, "hold", input={}, webhook=receiver.url)
    waiting = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url)
    await eventually(lambda: running["run_id"] in executing(worker))
    await sdk.runs.cancel(thread, waiting["run_id"], action=action, params={"reason": "too late"})
    await sdk.runs.cancel(thread, running["run_id"], action=action, wait=True)
    await eventually(lambda: len(receiver.bodies) == 2)
    status = "rollback" if action == "rollback" else "interrupted"
    name, cause = "UserRollback" if action == "rollback" else "UserInterrupt", "cancelled through the API"
    assert {body["run_id"]: body["error"] for body in receiver.bodies} == {
        running["run_id"]: {"error": name, "message": cause},
        waiting["run_id"]: {"error": name, "message": f"{cause}: too late"},
    }
    assert {body["run_id"]: body["status"] for body in receiver.bodies} == {
        running["run_id"]: status,
        waiting["run_id"]: status,
    }


async def test_the_webhook_of_a_run_with_two_attempts_is_called_once(
    sdk: LangGraphClient, served: Served, worker: WorkerProcess, receiver: Receiver, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "hold", input={}, webhook=receiver.url)
    await eventually(lambda: run["run_id"] in executing(worker))
    first = executing(worker)[run["run_id"]]
    reaped = await served.services.queues[0].run_reap(event_ttl_s=60, pause_ms=0, worker=worker.executions.worker_id)
    assert [outcome for _, _, outcome in reaped.runs] == ["queued"]
    await eventually(lambda: [each.writer.number for each in executing(worker).values()] == [2])
    first.stop_now()  # the attempt is fenced, but here both attempts execute in one worker
    assert receiver.bodies == []
    await sdk.runs.cancel(thread, run["run_id"], wait=True)
    await eventually(lambda: is_delivered(served, run["run_id"]))
    assert len(receiver.bodies) == 1


@pytest.mark.usefixtures("worker")
@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_a_failing_webhook_is_called_ten_times_with_the_same_id_and_bytes(
    sdk: LangGraphClient, served: Served, receiver: Receiver, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    receiver.statuses = ["503 Busy", "429 Slow down", "404 Not Found", "302 Found\r\nlocation: /there", "500 Broken"]
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url)

    outcomes: list[tuple[str, str]] = []

    async def failed() -> bool:
        await make_due(pipeline, keys)
        await forget_failures(pipeline, keys)
        now = await public_run(served, run["run_id"])
        outcomes.append((now.get("webhook_status", ""), now.get("webhook_problem", "")))
        return outcomes[-1] == ("failed", "HTTP 500")

    await eventually(failed)
    assert {status for status, _ in outcomes[:-1]} <= {"", "pending"}
    assert len(receiver.bodies) == 10
    assert {headers[""] for headers in receiver.headers} == {"POST /hook HTTP/1.1"}, "a redirect is not followed"
    assert await pipeline.send("ZCARD", keys.deliveries) == 0
    assert {headers["webhook-id"] for headers in receiver.headers} == {run["run_id"]}
    assert len(set(receiver.raw_bodies)) == 1


@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_the_pause_between_two_tries_grows(
    sdk: LangGraphClient, served: Served, receiver: Receiver, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    receiver.statuses = ["500 Broken"]
    run_id, deliveries = await cancelled_run(sdk, receiver.url), Deliveries(served.services)
    for pause_ms in RETRY_PAUSES_MS:
        started_ms = await now_ms(pipeline)
        await deliveries.run_once()
        await eventually(lambda: not deliveries.tries.in_progress)
        assert (await public_run(served, run_id))["webhook_status"] == "pending"
        latest_ms = await now_ms(pipeline) + pause_ms * 1.2
        assert started_ms + pause_ms <= await due_at(pipeline, keys, run_id) <= latest_ms
        await make_due(pipeline, keys)
        await forget_failures(pipeline, keys)
    await deliveries.run_once()
    await eventually(lambda: not deliveries.tries.in_progress)
    assert (await public_run(served, run_id))["webhook_status"] == "failed"
    assert await pipeline.send("ZSCORE", keys.deliveries, run_id) is None


@pytest.mark.parametrize("sent", ["HTTP/1.1 200 OK\r\n", ""], ids=["a part of the response", "nothing"])
@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_the_lease_outlasts_the_longest_try(
    sdk: LangGraphClient,
    served: Served,
    pipeline: Pipeline,
    keys: Keys,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    sent: str,
) -> None:
    called = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent.encode())
        called.set()
        await reader.read()  # until the client disconnects
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    longest_ms = (AUTHORIZED_WITHIN_S + delivery_tries.CALL_TIMEOUT_S) * 1000
    run_id = await cancelled_run(sdk, f"http://localhost:{server.sockets[0].getsockname()[1]}/")
    deliveries, other = Deliveries(served.services), Deliveries(served.services)
    monkeypatch.setattr(delivery_tries, "CALL_TIMEOUT_S", 0.2)  # an existing client still has a timeout of 30 s
    async with server:
        started_ms = await now_ms(pipeline)
        await deliveries.run_once()
        assert await due_at(pipeline, keys, run_id) > started_ms + longest_ms
        assert await other.run_once() == 0
        await eventually(lambda: not deliveries.tries.in_progress)
        assert called.is_set()
    assert (await public_run(served, run_id))["webhook_problem"] == "no response in time"


@pytest.mark.usefixtures("worker")
async def test_gone_ends_the_delivery(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    receiver.statuses = ["410 Gone"]
    run = await sdk.runs.create((await sdk.threads.create())["thread_id"], "steps", input={}, webhook=receiver.url)

    async def failed() -> bool:
        return (await public_run(served, run["run_id"])).get("webhook_status") == "failed"

    await eventually(failed)
    problem = (await public_run(served, run["run_id"]))["webhook_problem"]
    assert problem == "HTTP 410: the receiver wants no further webhook"


@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_a_delivery_of_a_dead_worker_is_claimed_again(
    sdk: LangGraphClient, served: Served, receiver: Receiver, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    services: Services = served.services
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url)
    await sdk.runs.cancel(thread, run["run_id"])
    scripts_of_dead_worker, live = delivery_scripts(pipeline, keys), Deliveries(services)
    assert len(await scripts_of_dead_worker.claim((EXTERNAL,), 10, 45_000)) == 1
    assert await live.run_once() == 0  # the lease of the dead worker has not expired
    await make_due(pipeline, keys)
    assert await live.run_once() == 1
    await eventually(lambda: is_delivered(served, run["run_id"]))
    assert not (await settled(scripts_of_dead_worker, run["run_id"], 1, GivenUp("late"))).stored
    assert await is_delivered(served, run["run_id"])


@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_a_claim_returns_at_most_the_limit(pipeline: Pipeline, keys: Keys) -> None:
    for queue, name in ((keys.deliveries, "a"), (keys.internal_deliveries, "b"), (keys.internal_deliveries, "c")):
        await pipeline.send("HSET", keys.delivery(name), "tries", 0)
        await pipeline.send("ZADD", queue, 0, name)
    scripts = delivery_scripts(pipeline, keys)
    claims = [await scripts.claim((EXTERNAL, INTERNAL), 2, 45_000) for _ in range(3)]
    ids = [[delivery.fields["delivery_id"] for delivery in claimed] for claimed in claims]
    assert ids == [[b"a", b"b"], [b"c"], []]


async def test_a_worker_that_stops_completes_its_tries(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url)
    await sdk.runs.cancel(thread, run["run_id"])
    deliveries = Deliveries(served.services)
    task = asyncio.create_task(deliveries.run())
    await eventually(lambda: deliveries.tries.in_progress or receiver.bodies)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await is_delivered(served, run["run_id"])
    assert len(receiver.bodies) == 1


@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_the_outcome_of_a_webhook_is_not_stored_in_a_later_run_with_the_same_id(
    sdk: LangGraphClient, served: Served, receiver: Receiver, pipeline: Pipeline, keys: Keys
) -> None:
    run_id, scripts = await cancelled_run(sdk, receiver.url), delivery_scripts(pipeline, keys)
    (claimed,) = await scripts.claim((EXTERNAL,), 1, 45_000)
    await pipeline.send("HSET", keys.run(run_id), "created_us", 1)  # as if it had been deleted and created again
    assert (await settled(scripts, run_id, int(claimed.fields["tries"]), GivenUp("HTTP 410"))).stored
    now = await public_run(served, run_id)
    assert (now["webhook_status"], now.get("webhook_problem")) == ("pending", None)


async def test_the_webhook_of_a_run_that_was_deleted_with_its_thread_is_called(
    sdk: LangGraphClient, worker: WorkerProcess, receiver: Receiver, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "hold", input={}, webhook=receiver.url)
    await eventually(lambda: run["run_id"] in executing(worker))
    await sdk.threads.delete(thread)
    await eventually(lambda: len(receiver.bodies) == 1)
    assert receiver.bodies[0]["status"] == "interrupted"
