"""A cron does no more than its owner may do at the time when it is due, and who changes it than they may do then."""

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
    NEVER,
    RUN,
    admin,
    ann,
    bob,
    due_times,
    graphs,
    made,
    rules,
    served,
    services,
    settings,
)
from tests.conftest import Eventually
from tests.crons.conftest import DueTimes
from tests.webhooks.conftest import Receiver, receiver
from tests.working import working

__all__ = ["admin", "ann", "bob", "due_times", "graphs", "receiver", "rules", "served", "services", "settings"]

MEMBERS = {"members": {"$contains": "ann"}}
ON_THREADS = ("threads:read", "threads:create_run", "threads:update")


@pytest.fixture
async def thread(admin: httpx.AsyncClient, rules: Any) -> str:
    """A thread with ann among its members, and threads are for their members."""
    rules.filters = dict.fromkeys(ON_THREADS, MEMBERS)
    return str((await made(admin, "/threads", {"metadata": {"members": ["ann", "bob"]}}))["thread_id"])


async def set_members(admin: httpx.AsyncClient, thread: str, *members: str) -> None:
    """Who may use the thread from now on."""
    answer = await admin.patch(f"/threads/{thread}", json={"metadata": {"members": members}})
    assert answer.status_code == 200


async def a_cron(client: httpx.AsyncClient, thread: str | None, **differs: Any) -> str:
    """Every minute, on this thread or on threads of its own."""
    path = "/runs/crons" if thread is None else f"/threads/{thread}/runs/crons"
    return str((await made(client, path, RUN | {"schedule": "* * * * *"} | differs))["cron_id"])


async def fired(services: Services, due_times: DueTimes, cron_id: str, minutes_ago: int = 0) -> int:
    """How many runs its next due time makes."""
    await due_times.make_due(cron_id, minutes_ago)
    return await Scheduler(services).run_once()


async def shown(client: httpx.AsyncClient, cron_id: str) -> Any:
    """The cron, as somebody sees it."""
    return (await client.get(f"/runs/crons/{cron_id}")).json()


async def runs_on(admin: httpx.AsyncClient, thread: str) -> int:
    """How many runs the thread has."""
    return len((await admin.get(f"/threads/{thread}/runs")).json())


async def test_a_cron_creates_no_run_while_its_owner_has_no_access(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, services: Services, due_times: DueTimes, thread: str
) -> None:
    cron = await a_cron(ann, thread)
    assert await fired(services, due_times, cron, minutes_ago=9) == 1
    await set_members(admin, thread, "bob")
    with capture_logs() as logs:
        for _ in range(3):
            assert await fired(services, due_times, cron) == 0
    assert await runs_on(admin, thread) == 1
    seen = await shown(ann, cron)
    assert seen["enabled"], "a filter may change again"
    assert thread in seen["problem"]
    assert seen["next_run_date"] is not None
    said = [line for line in logs if line["event"].startswith("cron.")]
    assert [(line["cron"], line["owner"]) for line in said] == [(cron, "ann")], "once, not each minute"
    await set_members(admin, thread, "ann")
    assert await fired(services, due_times, cron) == 1
    assert (await shown(ann, cron))["problem"] is None


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
    cron, stateless = await a_cron(ann, thread), await a_cron(ann, None)
    rules.refused = {operation}
    assert await fired(services, due_times, cron) == 0
    assert operation in (await shown(ann, cron))["problem"]
    assert await runs_on(admin, thread) == 0
    assert await fired(services, due_times, stateless) == (operation == "threads:read"), (
        "nobody else's values are in it"
    )


async def test_a_cron_creates_no_run_when_its_owner_may_not_read_the_assistant(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, services: Services, due_times: DueTimes, rules: Any
) -> None:
    metadata = {"team": "blue"}
    assistant = (await made(admin, "/assistants", {"graph_id": "greet", "metadata": metadata}))["assistant_id"]
    rules.filters = {"assistants:read": metadata}
    cron = await a_cron(ann, None, assistant_id=assistant)
    await admin.patch(f"/assistants/{assistant}", json={"metadata": {"team": "red"}})
    assert await fired(services, due_times, cron) == 0
    assert (await ann.patch(f"/runs/crons/{cron}", json={"input": {}})).status_code == 404
    assert (await ann.post("/runs/crons", json=RUN | {"assistant_id": assistant, "schedule": NEVER})).status_code == 404


async def test_a_cron_that_keeps_its_threads_needs_permission_to_create_them(
    ann: httpx.AsyncClient, services: Services, due_times: DueTimes, rules: Any
) -> None:
    rules.written = {"threads:create": {"owner": "ann"}}
    keeps, drops = await a_cron(ann, None, on_run_completed="keep"), await a_cron(ann, None)
    assert await fired(services, due_times, keeps, minutes_ago=9) == 1
    (run,) = [run async for run in services.active_runs.list_all()]
    assert (await services.threads.get(run.thread_id)).metadata["owner"] == "ann"
    rules.refused = {"threads:create"}
    assert await fired(services, due_times, keeps) == 0
    assert "threads:create" in (await shown(ann, keeps))["problem"]
    assert await fired(services, due_times, drops) == 1
    body = RUN | {"schedule": NEVER, "on_run_completed": "keep"}
    assert (await ann.post("/runs/crons", json=body)).status_code == 403


def answer_with_500(value: Any) -> None:
    """As an auth file whose own database is away may do."""
    raise Auth.exceptions.HTTPException(500, "secret")


@pytest.mark.parametrize("fault", ["broken", "still", "500"])
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
    cron, other = await a_cron(ann, None), await a_cron(bob, None)
    due_ms = await due_times.make_due(cron)
    if fault == "500":
        rules.changes = {"threads:create_run": answer_with_500}
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
    problem = (await shown(ann, cron))["problem"]
    assert "auth file" in problem
    assert "secret" not in problem
    rules.reset()
    await services.pipeline.send("ZADD", keys.crons_due, due_ms, cron)
    await due_times.make_due(other)
    assert await scheduler.run_once() == 2
    runs = {run.metadata["cron_id"]: run async for run in services.active_runs.list_all()}
    assert (await services.crons.get(cron)).run_ids(due_ms)[0] == runs[cron].run_id, "of the time when it was due"


async def test_a_hanging_handler_delays_no_other_cron(
    ann: httpx.AsyncClient, services: Services, due_times: DueTimes, rules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "HANDLER_TIMEOUT_S", 2)
    stuck, fine = await a_cron(ann, None, on_run_completed="keep"), await a_cron(ann, None)
    rules.still = {"threads:create"}
    await due_times.make_due(stuck, minutes_ago=1)
    await due_times.make_due(fine)
    assert await Scheduler(services).run_once() == 1


@pytest.mark.parametrize(
    "change",
    [{"metadata": {"a": 1}}, {"schedule": NEVER}, {"webhook": "https://x.example/"}, {"enabled": True}, {"input": {}}],
    ids=lambda change: next(iter(change)),
)
async def test_an_owner_who_may_not_create_the_run_cannot_change_the_cron(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, thread: str, change: dict[str, Any]
) -> None:
    cron = await a_cron(ann, thread)
    await set_members(admin, thread)
    before = await shown(admin, cron)
    answer = await ann.patch(f"/runs/crons/{cron}", json=change)
    assert answer.status_code == 404
    assert await shown(admin, cron) == before


@pytest.mark.parametrize("operation", ["threads:create_run", "threads:read"])
async def test_a_denied_run_cannot_be_scheduled_by_a_cron(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, thread: str, rules: Any, operation: str
) -> None:
    cron = await a_cron(ann, thread)
    rules.refused = {operation}
    assert (await ann.patch(f"/runs/crons/{cron}", json={"metadata": {"a": 1}})).status_code == 403
    body = RUN | {"schedule": NEVER}
    assert (await ann.post(f"/threads/{thread}/runs/crons", json=body)).status_code == 403
    if operation == "threads:create_run":
        assert (await ann.post("/runs/crons", json=body)).status_code == 403
    assert [each["cron_id"] for each in await made(admin, "/runs/crons/search", {})] == [cron]


async def test_an_owner_without_access_can_disable_and_delete_the_cron(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, thread: str
) -> None:
    cron = await a_cron(ann, thread)
    await set_members(admin, thread)
    stopped = await ann.patch(f"/runs/crons/{cron}", json={"enabled": False})
    assert (stopped.status_code, stopped.json()["enabled"]) == (200, False)
    assert (await ann.patch(f"/runs/crons/{cron}", json={"enabled": True})).status_code == 404
    assert (await ann.delete(f"/runs/crons/{cron}")).status_code == 204


async def test_a_cron_keeps_its_owner_when_another_user_changes_it(
    ann: httpx.AsyncClient, bob: httpx.AsyncClient, services: Services, due_times: DueTimes, thread: str, rules: Any
) -> None:
    rules.permissions = ["desk"]
    cron = await a_cron(ann, thread)
    rules.permissions = ["desk", "night"]
    rules.asked.clear()
    assert (await bob.patch(f"/runs/crons/{cron}", json={"input": {"text": "ho"}})).status_code == 200
    assert {"crons:update", "threads:read", "threads:create_run"} <= {
        operation for who, operation, _ in rules.asked if who == "bob"
    }
    rules.asked.clear()
    assert await fired(services, due_times, cron) == 1
    assert {who for who, _, _ in rules.asked} == {"ann", "bob"}, "bob has said what it does"
    (run,) = (await ann.get(f"/threads/{thread}/runs")).json()
    assert (await services.runs.get(thread, run["run_id"])).user["identity"] == "ann"  # type: ignore[index]
    assert (await services.crons.get(cron)).request.user["permissions"] == ["desk"]  # type: ignore[index]
    assert (await ann.patch(f"/runs/crons/{cron}", json={"input": {}})).status_code == 200
    assert (await services.crons.get(cron)).request.user["permissions"] == ["desk", "night"], "as she is by now"  # type: ignore[index]


async def test_a_new_cron_must_match_the_filter(ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any) -> None:
    rules.filters = {"crons:create": {"owner": "ann"}}
    for metadata in ({}, {"owner": "bob"}):
        body = RUN | {"schedule": NEVER, "metadata": metadata}
        assert (await ann.post("/runs/crons", json=body)).status_code == 403
    assert await made(admin, "/runs/crons/search", {}) == []
    await a_cron(ann, None, metadata={"owner": "ann"})


async def test_a_cron_without_an_owner_needs_no_authorization(
    services: Services, due_times: DueTimes, rules: Any, ann: httpx.AsyncClient, keys: Keys
) -> None:
    """A cron that a graph made by `get_client()`, or that was there before the auth file."""
    cron = await a_cron(ann, None)
    request = (await services.pipeline.send("HGET", keys.cron(cron), "request")).decode()
    user = request[request.index('"user":{') :]
    await services.pipeline.send("HSET", keys.cron(cron), "request", request.replace(user, '"user":null}'))
    rules.refused = {"threads:create_run"}
    assert await fired(services, due_times, cron) == 1


@pytest.fixture
async def shared(admin: httpx.AsyncClient, ann: httpx.AsyncClient, rules: Any) -> tuple[str, str]:
    """A thread for its members, ann and bob, and a cron of ann's on it that bob may change."""
    rules.member_of = set(ON_THREADS)
    thread = str((await made(admin, "/threads", {"metadata": {"members": ["ann", "bob"]}}))["thread_id"])
    return thread, await a_cron(ann, thread)


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
    assert await fired(services, due_times, cron, minutes_ago=9) == 1
    (run,) = (await admin.get(f"/threads/{thread}/runs")).json()
    assert run["kwargs"]["input"] == {"text": "bob's"}
    await set_members(admin, thread, "ann")
    assert await fired(services, due_times, cron) == 0
    seen = await shown(ann, cron)
    assert (seen["user_id"], thread in seen["problem"]) == ("ann", True)
    await set_members(admin, thread, "ann", "bob")
    assert await fired(services, due_times, cron) == 1


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
    assistant = (await made(admin, "/assistants", both))["assistant_id"]
    cron = await a_cron(ann, None, assistant_id=assistant)
    assert (await bob.patch(f"/runs/crons/{cron}", json={"input": {"text": "bob's"}})).status_code == 200
    assert await fired(services, due_times, cron, minutes_ago=9) == 1
    await admin.patch(f"/assistants/{assistant}", json={"metadata": {"members": ["ann"]}})
    assert await fired(services, due_times, cron) == 0
    assert assistant in (await shown(ann, cron))["problem"]


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
    assert await fired(services, due_times, cron) == 1
    (run,) = (await admin.get(f"/threads/{thread}/runs")).json()
    await set_members(admin, thread, *members)
    async with working(settings, graphs):

        async def called() -> bool:
            now = (await admin.get(f"/threads/{thread}/runs/{run['run_id']}")).json()
            return now.get("webhook_status") in ("delivered", "failed")

        await eventually(called)
    assert len(receiver.bodies) == ("bob" in members)
