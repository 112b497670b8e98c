"""Requests that may be sent again, and interrupts that are answered once."""

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
from tests.conftest import Eventually
from tests.http.conftest import Served

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
    answers = [await _post(client, "/threads", body, "k1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert (await _post(client, "/threads", body)).status_code == 409


async def test_the_supersteps_of_an_imported_thread_are_stored_once(client: httpx.AsyncClient) -> None:
    updates = [{"values": {"value": number}, "as_node": "one"} for number in (1, 2)]
    body = {"metadata": {"graph_id": "steps"}, "supersteps": [{"updates": [update]} for update in updates]}
    answers = await asyncio.gather(*(_post(client, "/threads", body, "k1") for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    (thread_id,) = {answer.json()["thread_id"] for answer in answers if answer.status_code == 200}
    again = await _post(client, "/threads", body, "k1")
    assert again.json() == (await client.get(f"/threads/{thread_id}")).json()
    assert len((await client.get(f"/threads/{thread_id}/history")).json()) == 2


async def test_a_copy_does_not_replace_an_existing_thread(client: httpx.AsyncClient, served: Served) -> None:
    source, other = [(await _post(client, "/threads", {"metadata": {"n": n}})).json()["thread_id"] for n in (1, 2)]
    threads, made = served.services.threads, str(uuid.uuid4())
    copied = await threads.copy(source, made, token="one")
    assert await threads.copy(source, made, token="one") == copied
    for taken in (other, made):
        before = await threads.get(taken)
        with pytest.raises(Conflict, match="exists already"):
            await threads.copy(source, taken, token="another")
        assert await threads.get(taken) == before


async def test_an_import_with_an_invalid_superstep_creates_no_thread(client: httpx.AsyncClient) -> None:
    thread_id = str(uuid.uuid4())
    steps = [{"updates": [{"values": {"value": 1}, "as_node": "nobody"}]}]
    body = {"thread_id": thread_id, "metadata": {"graph_id": "steps"}, "supersteps": steps}
    answers = [await _post(client, "/threads", body, "k1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
    assert (await client.get(f"/threads/{thread_id}")).status_code == 404


async def test_concurrent_and_repeated_requests_with_a_key_create_one_run(client: httpx.AsyncClient) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path, body = f"/threads/{thread_id}/runs", {"assistant_id": "steps", "input": {"log": []}}
    key = uuid.uuid4().hex
    answers = await asyncio.gather(*(_post(client, path, body, key) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len((await client.get(path)).json()) == 1
    assert (await _post(client, path, body | {"input": {}}, key)).status_code == 422


async def test_the_same_key_on_another_thread_creates_another_run(client: httpx.AsyncClient) -> None:
    threads = [(await _post(client, "/threads", {})).json()["thread_id"] for _ in range(2)]
    body = {"assistant_id": "steps", "input": {"log": []}}
    made = [(await _post(client, f"/threads/{thread_id}/runs", body, "k")).json() for thread_id in threads]
    assert [run["thread_id"] for run in made] == threads
    assert made[0]["run_id"] != made[1]["run_id"]


@pytest.mark.parametrize("form", ["", "/wait", "/stream", "/batch"])
async def test_a_repeated_request_does_not_create_an_ended_stateless_run_again(
    client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys, eventually: Eventually, form: str
) -> None:
    """The answer was lost on its way: the client asks again when all is over."""
    run = {"assistant_id": "steps", "input": {"value": 1}}
    body, key = [run, run] if form == "/batch" else run, uuid.uuid4().hex
    first = await _post(client, f"/runs{form}", body, key)

    async def over() -> bool:
        return not await pipeline.send("ZCARD", keys.threads)

    await eventually(over)
    before = await pipeline.send("KEYS", f"{keys.prefix}:*:events")
    logs = [await pipeline.send("XRANGE", log, "-", "+") for log in sorted(before)]
    again = await _post(client, f"/runs{form}", body, key)
    assert again.status_code == 200
    assert await pipeline.send("ZCARD", keys.threads) == 0, "nothing runs"
    assert [await pipeline.send("XRANGE", log, "-", "+") for log in sorted(before)] == logs
    if form in ("/wait", "/stream"):
        assert _said(again) == _said(first)
    else:
        assert _ids(again.json()) == _ids(first.json())

    async def nothing_stays() -> bool:
        left = await pipeline.send("KEYS", f"{keys.prefix}:run:*")
        return all([await pipeline.send("TTL", record) > 0 for record in left])

    await eventually(nothing_stays)


def _said(answer: httpx.Response) -> list[str]:
    """All but heartbeats."""
    return [line for line in answer.text.splitlines() if line and not line.startswith(":")]


def _ids(answer: Any) -> list[tuple[str, str]]:
    return [(run["run_id"], run["thread_id"]) for run in (answer if isinstance(answer, list) else [answer])]


async def test_an_expired_key_can_be_used_for_another_run(
    client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys
) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path, body = f"/threads/{thread_id}/runs", {"assistant_id": "steps", "input": {"value": 1}}
    first = await _post(client, path, body, "k1")
    (kept,) = await pipeline.send("KEYS", f"{keys.prefix}:idempotency:*")
    await pipeline.send("DEL", kept)  # as if a day had passed
    other = await _post(client, path, body | {"input": {"value": 2}}, "k1")
    assert other.status_code == 200
    assert other.json()["run_id"] != first.json()["run_id"]


async def test_a_key_expires_after_a_day(client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys) -> None:
    for _ in range(2):
        assert (await _post(client, "/threads", {}, "k1")).status_code == 200
    (kept,) = await pipeline.send("KEYS", f"{keys.prefix}:idempotency:*")
    assert 86_000 < await pipeline.send("TTL", kept) <= 86_400


async def test_a_repeated_request_does_not_undo_a_change_of_its_cron(client: httpx.AsyncClient) -> None:
    body = {"assistant_id": "steps", "schedule": "0 0 1 1 *", "input": {"value": 1}}
    cron = (await _post(client, "/runs/crons", body, "k1")).json()
    changed = (await client.patch(f"/runs/crons/{cron['cron_id']}", json={"enabled": False})).json()
    assert (await _post(client, "/runs/crons", body, "k1")).json() == changed


async def test_a_repeated_answer_by_the_event_protocol_returns_the_first_result(client: httpx.AsyncClient) -> None:
    thread_id = str(uuid.uuid4())
    given = {"assistant_id": "ask", "input": {}, "if_not_exists": "create"}
    (asked,) = (await _post(client, f"/threads/{thread_id}/runs/wait", given)).json()["__interrupt__"]
    params = {"interrupt_id": asked["id"], "response": 7, "namespace": []}
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
    asked = await _post(client, f"{path}/wait", {"assistant_id": "ask", "input": {}})
    assert asked.json()["__interrupt__"]
    answers = await asyncio.gather(
        *(_post(client, path, {"assistant_id": "ask", "command": {"resume": word}}) for word in ("yes", "no"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409).json()
    won = next(answer for answer in answers if answer.status_code == 200).json()
    assert refused["answered_by"] == won["run_id"]
    assert refused["answer"] == won["kwargs"]["command"]["resume"]
    await client.get(f"{path}/{won['run_id']}/join")
    late = await _post(client, path, {"assistant_id": "ask", "command": {"resume": "late"}})
    assert late.status_code == 409
    assert (await _post(client, path, {"assistant_id": "ask", "input": {}})).status_code == 200


async def _resumed(client: httpx.AsyncClient, path: str, graph_id: str, answer: Any) -> httpx.Response:
    return await _post(client, f"{path}/wait", {"assistant_id": graph_id, "command": {"resume": answer}})


async def test_an_answer_counts_when_its_node_fails(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path = f"/threads/{thread_id}/runs"
    await _post(client, f"{path}/wait", {"assistant_id": "number", "input": {"value": 1}})
    assert (await _resumed(client, path, "number", "many")).json()["__error__"]["error"] == "ValueError"
    again = await _resumed(client, path, "number", "7")
    assert (again.status_code, again.json()["answer"]) == (409, "many")


async def test_an_answer_that_names_none_of_several_interrupts_leaves_them_open(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path = f"/threads/{thread_id}/runs"
    asked = await _post(client, f"{path}/wait", {"assistant_id": "ask_numbers", "input": {"value": 1}})
    assert (await _resumed(client, path, "ask_numbers", "1")).json()["__error__"]["error"] == "RuntimeError"
    named = {item["id"]: "2" for item in asked.json()["__interrupt__"]}
    assert (await _resumed(client, path, "ask_numbers", named)).json()["log"] == ["2", "2"]


async def test_an_answer_that_strict_resume_rejects_leaves_the_interrupt_open(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path = f"/threads/{thread_id}/runs"
    await _post(client, f"{path}/wait", {"assistant_id": "number", "input": {"value": 1}})
    stray = {"assistant_id": "number", "command": {"resume": {"0" * 32: "7"}}, "strict_resume": True}
    refused = (await _post(client, f"{path}/wait", stray)).json()["__error__"]
    assert refused["error"] == "UnknownInterruptError"
    assert (await _resumed(client, path, "number", "7")).json()["answer"] == 7
