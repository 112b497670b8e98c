"""Requests with an idempotency key can be repeated, and an interrupt is answered once."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from slipway.errors import Conflict
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Served
from tests.waiting import Eventually

pytestmark = pytest.mark.usefixtures("worker")


async def _post(client: httpx.AsyncClient, path: str, body: object, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post(path, json=body, headers=headers)


async def test_repeated_requests_with_a_key_create_one_thread(client: httpx.AsyncClient) -> None:
    key = uuid.uuid4().hex
    first, again = [await _post(client, "/threads", {"metadata": {"a": 1}}, key) for _ in range(2)]
    assert first.status_code == again.status_code == 200
    assert first.json()["thread_id"] == again.json()["thread_id"]
    other = await _post(client, "/threads", {"metadata": {"a": 2}}, key)
    assert other.status_code == 422
    assert other.json()["field"] == "Idempotency-Key"


async def test_a_repeated_request_with_a_key_and_a_thread_id_is_no_conflict(client: httpx.AsyncClient) -> None:
    body = {"thread_id": str(uuid.uuid4())}
    responses = [await _post(client, "/threads", body, "k1") for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 200]
    assert (await _post(client, "/threads", body)).status_code == 409


async def test_the_supersteps_of_an_imported_thread_are_stored_once(client: httpx.AsyncClient) -> None:
    updates = [{"values": {"value": number}, "as_node": "one"} for number in (1, 2)]
    body = {"metadata": {"graph_id": "steps"}, "supersteps": [{"updates": [update]} for update in updates]}
    responses = await asyncio.gather(*(_post(client, "/threads", body, "k1") for _ in range(5)))
    assert {response.status_code for response in responses} <= {200, 409}
    (thread_id,) = {response.json()["thread_id"] for response in responses if response.status_code == 200}
    again = await _post(client, "/threads", body, "k1")
    assert again.json() == (await client.get(f"/threads/{thread_id}")).json()
    assert len((await client.get(f"/threads/{thread_id}/history")).json()) == 2


async def test_a_copy_does_not_replace_an_existing_thread(client: httpx.AsyncClient, served: Served) -> None:
    source, other = [(await _post(client, "/threads", {"metadata": {"n": n}})).json()["thread_id"] for n in (1, 2)]
    threads, copy_id = served.services.threads, str(uuid.uuid4())
    copy = await threads.copy(source, copy_id, token="one")
    assert await threads.copy(source, copy_id, token="one") == copy
    for existing in (other, copy_id):
        before = await threads.get(existing)
        with pytest.raises(Conflict, match="exists already"):
            await threads.copy(source, existing, token="another")
        assert await threads.get(existing) == before


async def test_an_import_with_an_invalid_superstep_creates_no_thread(client: httpx.AsyncClient) -> None:
    thread_id = str(uuid.uuid4())
    steps = [{"updates": [{"values": {"value": 1}, "as_node": "unknown"}]}]
    body = {"thread_id": thread_id, "metadata": {"graph_id": "steps"}, "supersteps": steps}
    responses = [await _post(client, "/threads", body, "k1") for _ in range(2)]
    assert [response.status_code for response in responses] == [400, 400]
    assert responses[0].json()["detail"] == responses[1].json()["detail"]
    assert (await client.get(f"/threads/{thread_id}")).status_code == 404


async def test_concurrent_and_repeated_requests_with_a_key_create_one_run(client: httpx.AsyncClient) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path, body = f"/threads/{thread_id}/runs", {"assistant_id": "steps", "input": {"log": []}}
    key = uuid.uuid4().hex
    responses = await asyncio.gather(*(_post(client, path, body, key) for _ in range(8)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["run_id"] for response in responses}) == 1
    assert len((await client.get(path)).json()) == 1
    assert (await _post(client, path, body | {"input": {}}, key)).status_code == 422


async def test_the_same_key_on_another_thread_creates_another_run(client: httpx.AsyncClient) -> None:
    threads = [(await _post(client, "/threads", {})).json()["thread_id"] for _ in range(2)]
    body = {"assistant_id": "steps", "input": {"log": []}}
    first, second = [(await _post(client, f"/threads/{thread_id}/runs", body, "k")).json() for thread_id in threads]
    assert [first["thread_id"], second["thread_id"]] == threads
    assert first["run_id"] != second["run_id"]


@pytest.mark.parametrize("form", ["", "/wait", "/stream", "/batch"])
async def test_a_repeated_request_does_not_create_an_ended_stateless_run_again(
    client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys, eventually: Eventually, form: str
) -> None:
    """The first response was lost, and the client repeats its request after the run and its thread were deleted."""
    run = {"assistant_id": "steps", "input": {"value": 1}}
    body, key = [run, run] if form == "/batch" else run, uuid.uuid4().hex
    first = await _post(client, f"/runs{form}", body, key)

    async def has_no_threads() -> bool:
        return not await pipeline.send("ZCARD", keys.threads)

    await eventually(has_no_threads)
    before = await pipeline.send("KEYS", keys.pattern("events"))
    logs = [await pipeline.send("XRANGE", log, "-", "+") for log in sorted(before)]
    again = await _post(client, f"/runs{form}", body, key)
    assert again.status_code == 200
    assert await pipeline.send("ZCARD", keys.threads) == 0, "the repeated request must not create a thread"
    assert [await pipeline.send("XRANGE", log, "-", "+") for log in sorted(before)] == logs
    if form in ("/wait", "/stream"):
        assert _lines(again) == _lines(first)
    else:
        assert _ids(again.json()) == _ids(first.json())

    async def all_keys_expire() -> bool:
        remaining = await pipeline.send("KEYS", keys.pattern("run"))
        return all([await pipeline.send("TTL", key) > 0 for key in remaining])

    await eventually(all_keys_expire)


def _lines(response: httpx.Response) -> list[str]:
    """The lines of a response except pings."""
    return [line for line in response.text.splitlines() if line and not line.startswith(":")]


def _ids(body: Any) -> list[tuple[str, str]]:
    return [(run["run_id"], run["thread_id"]) for run in (body if isinstance(body, list) else [body])]


async def test_an_expired_key_can_be_used_for_another_run(
    client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys
) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path, body = f"/threads/{thread_id}/runs", {"assistant_id": "steps", "input": {"value": 1}}
    first = await _post(client, path, body, "k1")
    (record,) = await pipeline.send("KEYS", keys.pattern("idempotency"))
    await pipeline.send("DEL", record)  # as if a day had passed
    other = await _post(client, path, body | {"input": {"value": 2}}, "k1")
    assert other.status_code == 200
    assert other.json()["run_id"] != first.json()["run_id"]


async def test_a_key_expires_after_a_day(client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys) -> None:
    for _ in range(2):
        assert (await _post(client, "/threads", {}, "k1")).status_code == 200
    (record,) = await pipeline.send("KEYS", keys.pattern("idempotency"))
    assert 86_000 < await pipeline.send("TTL", record) <= 86_400


async def test_a_repeated_request_does_not_undo_a_change_of_its_cron(client: httpx.AsyncClient) -> None:
    body = {"assistant_id": "steps", "schedule": "0 0 1 1 *", "input": {"value": 1}}
    cron = (await _post(client, "/runs/crons", body, "k1")).json()
    changed = (await client.patch(f"/runs/crons/{cron['cron_id']}", json={"enabled": False})).json()
    assert (await _post(client, "/runs/crons", body, "k1")).json() == changed


async def test_a_repeated_answer_by_the_event_protocol_returns_the_first_result(client: httpx.AsyncClient) -> None:
    thread_id = str(uuid.uuid4())
    run = {"assistant_id": "ask", "input": {}, "if_not_exists": "create"}
    (interrupt,) = (await _post(client, f"/threads/{thread_id}/runs/wait", run)).json()["__interrupt__"]
    params = {"interrupt_id": interrupt["id"], "response": 7, "namespace": []}
    command = {"id": 1, "method": "input.respond", "params": params}
    first, again = [await _post(client, f"/threads/{thread_id}/commands", command, "k1") for _ in range(2)]
    assert first.json()["type"] == "success"
    assert again.json()["result"] == first.json()["result"]
    other = await _post(client, f"/threads/{thread_id}/commands", command, "k2")
    assert other.json()["error"] == "no_such_interrupt"


async def test_the_second_of_two_answers_to_an_interrupt_is_rejected(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path = f"/threads/{thread_id}/runs"
    interrupted = await _post(client, f"{path}/wait", {"assistant_id": "ask", "input": {}})
    assert interrupted.json()["__interrupt__"]
    responses = await asyncio.gather(
        *(_post(client, path, {"assistant_id": "ask", "command": {"resume": answer}}) for answer in ("yes", "no"))
    )
    assert sorted(response.status_code for response in responses) == [200, 409]
    rejected = next(response for response in responses if response.status_code == 409).json()
    accepted = next(response for response in responses if response.status_code == 200).json()
    assert rejected["answered_by"] == accepted["run_id"]
    assert rejected["answer"] == accepted["kwargs"]["command"]["resume"]
    await client.get(f"{path}/{accepted['run_id']}/join")
    late = await _post(client, path, {"assistant_id": "ask", "command": {"resume": "late"}})
    assert late.status_code == 409
    assert (await _post(client, path, {"assistant_id": "ask", "input": {}})).status_code == 200


async def _answer(client: httpx.AsyncClient, path: str, graph_id: str, answer: Any) -> httpx.Response:
    return await _post(client, f"{path}/wait", {"assistant_id": graph_id, "command": {"resume": answer}})


async def test_an_answer_counts_when_its_node_fails(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path = f"/threads/{thread_id}/runs"
    await _post(client, f"{path}/wait", {"assistant_id": "number", "input": {"value": 1}})
    assert (await _answer(client, path, "number", "many")).json()["__error__"]["error"] == "ValueError"
    second = await _answer(client, path, "number", "7")
    assert (second.status_code, second.json()["answer"]) == (409, "many")


async def test_an_answer_that_names_none_of_several_interrupts_leaves_them_open(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path = f"/threads/{thread_id}/runs"
    interrupted = await _post(client, f"{path}/wait", {"assistant_id": "ask_numbers", "input": {"value": 1}})
    assert (await _answer(client, path, "ask_numbers", "1")).json()["__error__"]["error"] == "RuntimeError"
    named = {item["id"]: "2" for item in interrupted.json()["__interrupt__"]}
    assert (await _answer(client, path, "ask_numbers", named)).json()["log"] == ["2", "2"]


async def test_an_answer_that_strict_resume_rejects_leaves_the_interrupt_open(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path = f"/threads/{thread_id}/runs"
    await _post(client, f"{path}/wait", {"assistant_id": "number", "input": {"value": 1}})
    unknown_interrupt = {"assistant_id": "number", "command": {"resume": {"0" * 32: "7"}}, "strict_resume": True}
    error = (await _post(client, f"{path}/wait", unknown_interrupt)).json()["__error__"]
    assert error["error"] == "UnknownInterruptError"
    assert (await _answer(client, path, "number", "7")).json()["answer"] == 7
