"""A cron creates a run only if its owner, and every user who changed it, may do so at the due time."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk import Auth
from structlog.testing import capture_logs

from slipway.access import permissions
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.services import Services
from slipway.settings import Settings
from slipway_workers.duties.scheduler import Scheduler
from tests.attacks.rules_server import (
    MEMBERS_ONLY,
    RUN,
    THREAD_OPERATIONS,
    YEARLY,
    admin,
    ann,
    bob,
    due_times,
    graphs,
    post_json,
    rules,
    served,
    services,
    set_members,
    settings,
)
from tests.crons.conftest import DueTimes
from tests.waiting import Eventually
from tests.webhooks.conftest import Receiver, receiver
from tests.worker import running_worker

__all__ = ["admin", "ann", "bob", "due_times", "graphs", "receiver", "rules", "served", "services", "settings"]


@pytest.fixture
async def thread(admin: httpx.AsyncClient, rules: Any) -> str:
    """A thread with the members ann and bob. Only a thread with the member ann can be used."""
    rules.filters = dict.fromkeys(THREAD_OPERATIONS, MEMBERS_ONLY)
    return str((await post_json(admin, "/threads", {"metadata": {"members": ["ann", "bob"]}}))["thread_id"])


async def create_cron(client: httpx.AsyncClient, thread: str | None, **body: Any) -> str:
    """Create a cron that is due every minute, on this thread or stateless. Returns its id."""
    path = "/runs/crons" if thread is None else f"/threads/{thread}/runs/crons"
    return str((await post_json(client, path, RUN | {"schedule": "* * * * *"} | body))["cron_id"])


async def fire(services: Services, due_times: DueTimes, cron_id: str, minutes_ago: int = 0) -> int:
    """Make the cron due and run one round of the scheduler. Returns the number of created runs."""
    await due_times.make_due(cron_id, minutes_ago)
    return await Scheduler(services).run_once()


async def read_cron(client: httpx.AsyncClient, cron_id: str) -> Any:
    return (await client.get(f"/runs/crons/{cron_id}")).json()


async def run_count(admin: httpx.AsyncClient, thread: str) -> int:
    return len((await admin.get(f"/threads/{thread}/runs")).json())


async def test_a_cron_creates_no_run_while_its_owner_has_no_access(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, services: Services, due_times: DueTimes, thread: str
) -> None:
    cron = await create_cron(ann, thread)
    assert await fire(services, due_times, cron, minutes_ago=9) == 1
    await set_members(admin, thread, "bob")
    with capture_logs() as logs:
        for _ in range(3):
            assert await fire(services, due_times, cron) == 0
    assert await run_count(admin, thread) == 1
    shown_cron = await read_cron(ann, cron)
    assert shown_cron["enabled"], "stays enabled, because the filter may match again"
    assert thread in shown_cron["problem"]
    assert shown_cron["next_run_date"] is not None
    logged = [line for line in logs if line["event"].startswith("cron.")]
    assert [(line["cron"], line["owner"]) for line in logged] == [(cron, "ann")], "is logged once, not each minute"
    await set_members(admin, thread, "ann")
    assert await fire(services, due_times, cron) == 1
    assert (await read_cron(ann, cron))["problem"] is None


@pytest.mark.parametrize("operation", ["threads:create_run", "threads:read"])
async def test_a_denied_due_time_creates_no_run(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    services: Services,
    due_times: DueTimes,
    thread: str,
    rules: Any,
    operation: str,
) -> None:
    cron, stateless = await create_cron(ann, thread), await create_cron(ann, None)
    rules.denied = {operation}
    assert await fire(services, due_times, cron) == 0
    assert operation in (await read_cron(ann, cron))["problem"]
    assert await run_count(admin, thread) == 0
    assert await fire(services, due_times, stateless) == (operation == "threads:read"), (
        "a new thread has nothing to read"
    )


async def test_a_cron_creates_no_run_when_its_owner_may_not_read_the_assistant(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, services: Services, due_times: DueTimes, rules: Any
) -> None:
    metadata = {"team": "blue"}
    assistant = (await post_json(admin, "/assistants", {"graph_id": "greet", "metadata": metadata}))["assistant_id"]
    rules.filters = {"assistants:read": metadata}
    cron = await create_cron(ann, None, assistant_id=assistant)
    await admin.patch(f"/assistants/{assistant}", json={"metadata": {"team": "red"}})
    assert await fire(services, due_times, cron) == 0
    assert (await ann.patch(f"/runs/crons/{cron}", json={"input": {}})).status_code == 404
    assert (
        await ann.post("/runs/crons", json=RUN | {"assistant_id": assistant, "schedule": YEARLY})
    ).status_code == 404


async def test_a_cron_that_keeps_its_threads_needs_permission_to_create_them(
    ann: httpx.AsyncClient, services: Services, due_times: DueTimes, rules: Any
) -> None:
    rules.metadata = {"threads:create": {"owner": "ann"}}
    keeping, temporary = await create_cron(ann, None, on_run_completed="keep"), await create_cron(ann, None)
    assert await fire(services, due_times, keeping, minutes_ago=9) == 1
    (run,) = [run async for run in services.unfinished_runs.list_all()]
    assert (await services.threads.get(run.thread_id)).metadata["owner"] == "ann"
    rules.denied = {"threads:create"}
    assert await fire(services, due_times, keeping) == 0
    assert "threads:create" in (await read_cron(ann, keeping))["problem"]
    assert await fire(services, due_times, temporary) == 1
    body = RUN | {"schedule": YEARLY, "on_run_completed": "keep"}
    assert (await ann.post("/runs/crons", json=body)).status_code == 403


def raise_500(value: Any) -> None:
    """As an auth file may do while its own database is unavailable."""
    raise Auth.exceptions.HTTPException(500, "secret")


@pytest.mark.parametrize("fault", ["failing", "hanging", "500"])
async def test_a_due_time_waits_while_the_auth_file_fails(
    ann: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    services: Services,
    due_times: DueTimes,
    rules: Any,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr(permissions, "HANDLER_TIMEOUT_S", 0.2)
    cron, other = await create_cron(ann, None), await create_cron(bob, None)
    due_ms = await due_times.make_due(cron)
    if fault == "500":
        rules.changes = {"threads:create_run": raise_500}
    else:
        setattr(rules, fault, {"threads:create_run"})
    scheduler = Scheduler(services)
    with capture_logs() as logs:
        assert await scheduler.run_once() == 0
        assert await scheduler.run_once() == 0, "not due again at once"
        later_ms = await services.pipeline.send("ZSCORE", keys.crons_due, cron)
        assert float(later_ms) > due_ms
        await services.pipeline.send("ZADD", keys.crons_due, due_ms, cron)
        assert await scheduler.run_once() == 0
    assert [line["event"] for line in logs if line["event"].startswith("cron.")] == ["cron.auth_failed"]
    problem = (await read_cron(ann, cron))["problem"]
    assert "auth file" in problem
    assert "secret" not in problem
    rules.reset()
    await services.pipeline.send("ZADD", keys.crons_due, due_ms, cron)
    await due_times.make_due(other)
    assert await scheduler.run_once() == 2
    runs = {run.metadata["cron_id"]: run async for run in services.unfinished_runs.list_all()}
    assert (await services.crons.get(cron)).run_ids(due_ms, services.shards)[0] == runs[cron].run_id, (
        "the first due time"
    )


async def test_a_hanging_handler_delays_no_other_cron(
    ann: httpx.AsyncClient, services: Services, due_times: DueTimes, rules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "HANDLER_TIMEOUT_S", 2)
    blocked, other = await create_cron(ann, None, on_run_completed="keep"), await create_cron(ann, None)
    rules.hanging = {"threads:create"}
    await due_times.make_due(blocked, minutes_ago=1)
    await due_times.make_due(other)
    assert await Scheduler(services).run_once() == 1


@pytest.mark.parametrize(
    "change",
    [{"metadata": {"a": 1}}, {"schedule": YEARLY}, {"webhook": "https://x.example/"}, {"enabled": True}, {"input": {}}],
    ids=lambda change: next(iter(change)),
)
async def test_an_owner_who_may_not_create_the_run_cannot_change_the_cron(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, thread: str, change: dict[str, Any]
) -> None:
    cron = await create_cron(ann, thread)
    await set_members(admin, thread)
    before = await read_cron(admin, cron)
    response = await ann.patch(f"/runs/crons/{cron}", json=change)
    assert response.status_code == 404
    assert await read_cron(admin, cron) == before


@pytest.mark.parametrize("operation", ["threads:create_run", "threads:read"])
async def test_a_denied_run_cannot_be_scheduled_by_a_cron(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, thread: str, rules: Any, operation: str
) -> None:
    cron = await create_cron(ann, thread)
    rules.denied = {operation}
    assert (await ann.patch(f"/runs/crons/{cron}", json={"metadata": {"a": 1}})).status_code == 403
    body = RUN | {"schedule": YEARLY}
    assert (await ann.post(f"/threads/{thread}/runs/crons", json=body)).status_code == 403
    if operation == "threads:create_run":
        assert (await ann.post("/runs/crons", json=body)).status_code == 403
    assert [each["cron_id"] for each in await post_json(admin, "/runs/crons/search", {})] == [cron]


async def test_an_owner_without_access_can_disable_and_delete_the_cron(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, thread: str
) -> None:
    cron = await create_cron(ann, thread)
    await set_members(admin, thread)
    stopped = await ann.patch(f"/runs/crons/{cron}", json={"enabled": False})
    assert (stopped.status_code, stopped.json()["enabled"]) == (200, False)
    assert (await ann.patch(f"/runs/crons/{cron}", json={"enabled": True})).status_code == 404
    assert (await ann.delete(f"/runs/crons/{cron}")).status_code == 204


async def test_a_cron_keeps_its_owner_when_another_user_changes_it(
    ann: httpx.AsyncClient, bob: httpx.AsyncClient, services: Services, due_times: DueTimes, thread: str, rules: Any
) -> None:
    rules.permissions = ["desk"]
    cron = await create_cron(ann, thread)
    rules.permissions = ["desk", "night"]
    rules.calls.clear()
    assert (await bob.patch(f"/runs/crons/{cron}", json={"input": {"text": "ho"}})).status_code == 200
    assert {"crons:update", "threads:read", "threads:create_run"} <= {
        operation for user, operation, _ in rules.calls if user == "bob"
    }
    rules.calls.clear()
    assert await fire(services, due_times, cron) == 1
    assert {user for user, _, _ in rules.calls} == {"ann", "bob"}, "bob changed what it does"
    (run,) = (await ann.get(f"/threads/{thread}/runs")).json()
    assert (await services.runs.get(thread, run["run_id"])).user["identity"] == "ann"  # type: ignore[index]
    assert (await services.crons.get(cron)).request.user["permissions"] == ["desk"]  # type: ignore[index]
    assert (await ann.patch(f"/runs/crons/{cron}", json={"input": {}})).status_code == 200
    assert (await services.crons.get(cron)).request.user["permissions"] == ["desk", "night"]  # type: ignore[index]


async def test_a_new_cron_must_match_the_filter(ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any) -> None:
    rules.filters = {"crons:create": {"owner": "ann"}}
    for metadata in ({}, {"owner": "bob"}):
        body = RUN | {"schedule": YEARLY, "metadata": metadata}
        assert (await ann.post("/runs/crons", json=body)).status_code == 403
    assert await post_json(admin, "/runs/crons/search", {}) == []
    await create_cron(ann, None, metadata={"owner": "ann"})


async def test_a_cron_without_an_owner_needs_no_authorization(
    services: Services, due_times: DueTimes, rules: Any, ann: httpx.AsyncClient, keys: Keys
) -> None:
    """A graph created it with `get_client()`, or it is older than the auth file."""
    cron = await create_cron(ann, None)
    request = (await services.pipeline.send("HGET", keys.cron(cron), "request")).decode()
    user = request[request.index('"user":{') :]
    await services.pipeline.send("HSET", keys.cron(cron), "request", request.replace(user, '"user":null}'))
    rules.denied = {"threads:create_run"}
    assert await fire(services, due_times, cron) == 1


@pytest.fixture
async def shared(admin: httpx.AsyncClient, ann: httpx.AsyncClient, rules: Any) -> tuple[str, str]:
    """A thread with the members ann and bob, and a cron of ann on it, which bob may change."""
    rules.member_of = set(THREAD_OPERATIONS)
    thread = str((await post_json(admin, "/threads", {"metadata": {"members": ["ann", "bob"]}}))["thread_id"])
    return thread, await create_cron(ann, thread)


async def test_a_due_time_needs_the_permission_of_every_user_who_changed_the_cron(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    services: Services,
    due_times: DueTimes,
    shared: tuple[str, str],
) -> None:
    thread, cron = shared
    assert (await bob.patch(f"/runs/crons/{cron}", json={"input": {"text": "bob's"}})).status_code == 200
    assert (await ann.patch(f"/runs/crons/{cron}", json={"timezone": "Europe/Berlin"})).status_code == 200
    assert await fire(services, due_times, cron, minutes_ago=9) == 1
    (run,) = (await admin.get(f"/threads/{thread}/runs")).json()
    assert run["kwargs"]["input"] == {"text": "bob's"}
    await set_members(admin, thread, "ann")
    assert await fire(services, due_times, cron) == 0
    shown_cron = await read_cron(ann, cron)
    assert (shown_cron["user_id"], thread in shown_cron["problem"]) == ("ann", True)
    await set_members(admin, thread, "ann", "bob")
    assert await fire(services, due_times, cron) == 1


async def test_every_user_who_changed_a_cron_must_still_read_its_assistant(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    services: Services,
    due_times: DueTimes,
    rules: Any,
) -> None:
    rules.member_of = {"assistants:read"}
    both = {"graph_id": "greet", "metadata": {"members": ["ann", "bob"]}}
    assistant = (await post_json(admin, "/assistants", both))["assistant_id"]
    cron = await create_cron(ann, None, assistant_id=assistant)
    assert (await bob.patch(f"/runs/crons/{cron}", json={"input": {"text": "bob's"}})).status_code == 200
    assert await fire(services, due_times, cron, minutes_ago=9) == 1
    await admin.patch(f"/assistants/{assistant}", json={"metadata": {"members": ["ann"]}})
    assert await fire(services, due_times, cron) == 0
    assert assistant in (await read_cron(ann, cron))["problem"]


@pytest.mark.parametrize("members", [["ann", "bob"], ["ann"]])
async def test_a_webhook_set_by_another_user_needs_the_access_of_that_user(
    admin: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    services: Services,
    due_times: DueTimes,
    shared: tuple[str, str],
    settings: Settings,
    graphs: Registry,
    receiver: Receiver,
    eventually: Eventually,
    members: list[str],
) -> None:
    thread, cron = shared
    assert (await bob.patch(f"/runs/crons/{cron}", json={"webhook": receiver.url})).status_code == 200
    assert await fire(services, due_times, cron) == 1
    (run,) = (await admin.get(f"/threads/{thread}/runs")).json()
    await set_members(admin, thread, *members)
    async with running_worker(settings, graphs):

        async def webhook_ended() -> bool:
            now = (await admin.get(f"/threads/{thread}/runs/{run['run_id']}")).json()
            return now.get("webhook_status") in ("delivered", "failed")

        await eventually(webhook_ended)
    assert len(receiver.bodies) == ("bob" in members)
