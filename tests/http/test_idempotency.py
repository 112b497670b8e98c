"""Requests that may be sent again, and interrupts that are answered once."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from app.keyspace.names import Keys
from app.redis.wire import Wire
from tests.conftest import Eventually
from tests.http.conftest import Served
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


@pytest.mark.parametrize("path", ["/runs", "/runs/wait", "/runs/stream", "/runs/batch"])
async def test_a_run_that_went_with_its_thread_is_not_made_again(
    client: httpx.AsyncClient, eventually: Eventually, served: Served, path: str
) -> None:
    one: dict[str, object] = {"assistant_id": "steps", "input": {"value": 1}}
    body, key, wire, keys = [one, one] if path == "/runs/batch" else one, uuid.uuid4().hex, *_place(served)
    first = await _post(client, path, body, key)

    async def gone() -> bool:
        return not [name for name in await wire.send("KEYS", f"{keys.prefix}:run:*") if name.count(b":") == 2]

    await eventually(gone)
    logs = {name: await wire.send("XLEN", name) for name in await wire.send("KEYS", f"{keys.prefix}:run:*:events")}
    again = await _post(client, path, body, key)
    assert (again.status_code, _said(again)) == (200, _said(first))
    assert again.headers.get("content-location") == first.headers.get("content-location")
    assert await gone()
    assert {name: await wire.send("XLEN", name) for name in logs} == logs, "nothing was done again"
    assert (await _post(client, path, [one] if path == "/runs/batch" else {**one, "input": {}}, key)).status_code == 422


def _said(answer: httpx.Response) -> str:
    """All but heartbeats."""
    return "".join(line for line in answer.text.splitlines(keepends=True) if not line.startswith(":")).strip()


def _place(served: Served) -> tuple[Wire, Keys]:
    return served.services.wire, served.services.keys


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


async def _resumed(client: httpx.AsyncClient, path: str, graph_id: str, answer: Any) -> httpx.Response:
    return await _post(client, f"{path}/wait", {"assistant_id": graph_id, "command": {"resume": answer}})


async def test_an_answer_that_a_node_took_stays_when_it_fails(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
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


async def test_an_answer_that_strict_resuming_refuses_leaves_the_interrupt_open(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread_id = (await _post(client, "/threads", {})).json()["thread_id"]
    path = f"/threads/{thread_id}/runs"
    await _post(client, f"{path}/wait", {"assistant_id": "number", "input": {"value": 1}})
    stray = {"assistant_id": "number", "command": {"resume": {"0" * 32: "7"}}, "strict_resume": True}
    refused = (await _post(client, f"{path}/wait", stray)).json()["__error__"]
    assert refused["error"] == "UnknownInterruptError"
    assert (await _resumed(client, path, "number", "7")).json()["answer"] == 7
