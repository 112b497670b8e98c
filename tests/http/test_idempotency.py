"""Requests that may be sent again, and interrupts that are answered once."""

from __future__ import annotations

import asyncio
import uuid

import httpx
import pytest

from workers.main import WorkerProcess

pytestmark = pytest.mark.usefixtures("worker")


async def _post(client: httpx.AsyncClient, path: str, body: object, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post(path, json=body, headers=headers)


async def test_a_thread_is_made_once_for_a_key(client: httpx.AsyncClient) -> None:
    key = uuid.uuid4().hex
    first, again = [await _post(client, "/threads", {"metadata": {"a": 1}}, key) for _ in range(2)]
    assert first.status_code == again.status_code == 200
    assert first.json()["thread_id"] == again.json()["thread_id"]
    other = await _post(client, "/threads", {"metadata": {"a": 2}}, key)
    assert other.status_code == 422
    assert other.json()["field"] == "Idempotency-Key"


async def test_a_keyed_thread_with_an_id_of_its_own_may_be_sent_again(client: httpx.AsyncClient) -> None:
    body = {"thread_id": str(uuid.uuid4())}
    answers = [await _post(client, "/threads", body, "k1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert (await _post(client, "/threads", body)).status_code == 409


async def test_a_run_is_made_once_for_a_key_however_often_and_at_once_it_is_sent(client: httpx.AsyncClient) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path, body = f"/threads/{thread_id}/runs", {"assistant_id": "steps", "input": {"log": []}}
    key = uuid.uuid4().hex
    answers = await asyncio.gather(*(_post(client, path, body, key) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len((await client.get(path)).json()) == 1
    assert (await _post(client, path, body | {"input": {}}, key)).status_code == 422


async def test_of_two_answers_to_an_interrupt_one_wins(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
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
