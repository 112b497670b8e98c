"""The routes of crons, called by the LangGraph SDK and by plain requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

DAILY: dict[str, Any] = {"assistant_id": "steps", "schedule": "0 8 * * *", "input": {"value": 1}}
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"


async def test_a_cron_is_created_changed_and_deleted(sdk: LangGraphClient, client: httpx.AsyncClient) -> None:
    end = datetime.now(UTC) + timedelta(days=400)
    created: Any = await sdk.crons.create(
        "steps",
        schedule="0 8 * * *",
        input={"value": 1},
        metadata={"a": 1},
        timezone="Europe/Berlin",
        end_time=end,
        on_run_completed="keep",
        stream_mode="values",
    )
    assert (created["schedule"], created["timezone"], created["on_run_completed"]) == (
        "0 8 * * *",
        "Europe/Berlin",
        "keep",
    )
    assert (created["enabled"], created["thread_id"], created["user_id"], created["metadata"]) == (
        True,
        None,
        None,
        {"a": 1},
    )
    assert datetime.fromisoformat(created["end_time"]) == end.replace(microsecond=end.microsecond // 1000 * 1000)
    assert created["payload"]["input"] == {"value": 1}
    assert (await client.get(f"/runs/crons/{created['cron_id']}")).json() == created

    changed: Any = await sdk.crons.update(created["cron_id"], schedule="0 9 * * *", metadata={"b": 2}, end_time=None)
    assert changed["next_run_date"] != created["next_run_date"]
    assert (changed["metadata"], changed["end_time"], changed["timezone"]) == ({"a": 1, "b": 2}, None, "Europe/Berlin")
    disabled: Any = await sdk.crons.update(created["cron_id"], enabled=False, input={"value": 2})
    assert (disabled["enabled"], disabled["payload"]["input"]) == (False, {"value": 2})
    assert disabled["next_run_date"] == changed["next_run_date"], "the due time that it would have"
    enabled: Any = await sdk.crons.update(created["cron_id"], enabled=True)
    assert enabled["next_run_date"] == changed["next_run_date"]

    await sdk.crons.delete(created["cron_id"])
    assert (await client.get(f"/runs/crons/{created['cron_id']}")).status_code == 404
    assert (await client.delete(f"/runs/crons/{created['cron_id']}")).status_code == 404


async def test_the_payload_is_the_request_with_the_ids_of_the_runs(client: httpx.AsyncClient) -> None:
    body = DAILY | {"metadata": {"a": 1}, "config": {"configurable": {"k": 1}, "tags": ["t"]}}
    created = (await client.post("/runs/crons", json=body)).json()
    configurable = {"k": 1, "cron_id": created["cron_id"]}
    expected = body | {"assistant_id": created["assistant_id"], "config": {"configurable": configurable, "tags": ["t"]}}
    assert created["payload"] == expected
    assert created["assistant_id"] != "steps"
    plain = (await client.post("/runs/crons", json=DAILY)).json()
    assert plain["payload"] == DAILY | {
        "assistant_id": plain["assistant_id"],
        "config": {"configurable": {"cron_id": plain["cron_id"]}},
    }
    path = f"/runs/crons/{created['cron_id']}"
    changes = {
        "metadata": {"b": 2},
        "enabled": False,
        "timezone": "Europe/Berlin",
        "end_time": "2040-01-01T00:00:00+00:00",
    }
    changed = (await client.patch(path, json=changes)).json()
    assert changed["payload"] == expected | changes
    assert changed["metadata"] == {"a": 1, "b": 2}
    changed_again = (await client.patch(path, json={"end_time": None, "schedule": "0 9 * * *"})).json()
    assert changed_again["payload"] == changed["payload"] | {"schedule": "0 9 * * *", "end_time": None}
    assert (await client.get(path)).json() == changed_again


async def test_crons_are_searched_and_counted(sdk: LangGraphClient, client: httpx.AsyncClient) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    created: list[Any] = [await sdk.crons.create("steps", schedule=f"{n} 8 * * *", metadata={"n": n}) for n in range(3)]
    on_thread: Any = await sdk.crons.create_for_thread(thread, "ask", schedule="@hourly")
    assert on_thread["on_run_completed"] is None
    assert await sdk.crons.count() == 4
    assert await sdk.crons.count(thread_id=thread) == 1
    assert await sdk.crons.count(assistant_id=created[0]["assistant_id"]) == 3
    found: Any = await sdk.crons.search(assistant_id=created[0]["assistant_id"], limit=2)
    assert [cron["cron_id"] for cron in found] == [created[2]["cron_id"], created[1]["cron_id"]]
    assert await sdk.crons.count(assistant_id="steps") == 3
    assert len(await sdk.crons.search(assistant_id="ask")) == 1
    assert await sdk.crons.count(assistant_id=UNKNOWN_ID) == 0
    assert (await client.post("/runs/crons/search", json={"assistant_id": "unknown"})).status_code == 422
    found = await sdk.crons.search(metadata={"n": 1}, select=["cron_id", "schedule"])
    assert found == [{"cron_id": created[1]["cron_id"], "schedule": "1 8 * * *"}]
    found = await sdk.crons.search(sort_by="next_run_date", sort_order="asc")
    dates = [cron["next_run_date"] for cron in found]
    assert dates == sorted(dates)
    page = await client.post("/runs/crons/search", json={"limit": 3})
    assert (page.headers["x-pagination-total"], page.headers["x-pagination-next"]) == ("4", "3")
    assert (await client.post("/runs/crons/search", json={"enabled": False})).json() == []


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time of the machine is not UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("text", ["2040-01-01T12:00:00", "2040-01-01T12:00:00Z", "2040-01-01T07:00:00-05:00"])
async def test_an_end_without_a_time_zone_is_in_utc(client: httpx.AsyncClient, text: str) -> None:
    created = (await client.post("/runs/crons", json=DAILY | {"end_time": text})).json()
    assert datetime.fromisoformat(created["end_time"]) == datetime(2040, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "changes", "status"),
    [
        ("/runs/crons", {"schedule": "every day"}, 422),
        ("/runs/crons", {"schedule": "0 0 31 2 *"}, 422),
        ("/runs/crons", {"timezone": "Mars/Base"}, 422),
        ("/runs/crons", {"end_time": "soon"}, 422),
        ("/runs/crons", {"end_time": "0001-01-01T00:00:00+14:00"}, 422),
        ("/runs/crons", {"webhook": "http://127.0.0.1/"}, 422),
        ("/runs/crons", {"command": {"resume": 1}}, 400),
        ("/runs/crons", {"context": {"a": 1}, "config": {"configurable": {"b": 1}}}, 400),
        ("/runs/crons", {"assistant_id": UNKNOWN_ID}, 404),
        ("/runs/crons", {"schedule": "* * * * * */10", "timezone": None, "end_time": None}, 200),
        (f"/threads/{UNKNOWN_ID}/runs/crons", {}, 404),
    ],
)
async def test_the_status_of_each_request(
    client: httpx.AsyncClient, path: str, changes: dict[str, Any], status: int
) -> None:
    response = await client.post(path, json=DAILY | changes)
    assert response.status_code == status, response.text


async def test_invalid_changes_are_rejected(client: httpx.AsyncClient) -> None:
    cron_id = (await client.post("/runs/crons", json=DAILY)).json()["cron_id"]
    path = f"/runs/crons/{cron_id}"
    assert (await client.patch(path, json={})).status_code == 400
    assert (await client.patch(path, json={"schedule": "no"})).status_code == 422
    assert (await client.patch(f"/runs/crons/{UNKNOWN_ID}", json={"enabled": False})).status_code == 404
    assert (await client.patch("/runs/crons/x", json={"enabled": False})).status_code == 422


async def test_crons_are_deleted_with_their_assistant(sdk: LangGraphClient) -> None:
    assistant = await sdk.assistants.create("steps", name="mine")
    await sdk.crons.create(assistant["assistant_id"], schedule="@daily")
    await sdk.assistants.delete(assistant["assistant_id"])
    assert await sdk.crons.count() == 0
