"""Who loses access to a thread has nothing begin on it any more, and hears nothing of it by a webhook: a run that was
delayed or had to wait is asked for again when a worker begins it, and so is what its webhook tells."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from slipway.access import permissions
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.attempt import Attempt
from slipway.runs.record import run_from
from slipway.services import Services
from slipway.settings import Settings
from slipway.webhooks import read_permission
from slipway_workers.duties.deliveries import Deliveries
from slipway_workers.start_permission import StartPermission
from tests.attacks.rules_server import RUN, admin, ann, bob, graphs, made, rules, served, services, settings
from tests.conftest import Eventually
from tests.webhooks.conftest import Receiver, receiver
from tests.working import working

__all__ = ["admin", "ann", "bob", "graphs", "receiver", "rules", "served", "services", "settings"]

MEMBERS = {"members": {"$contains": "ann"}}
LATER = RUN | {"after_seconds": 3600}


@pytest.fixture
async def thread(admin: httpx.AsyncClient, rules: Any) -> str:
    """A thread with ann among its members, and threads are for their members."""
    rules.filters = dict.fromkeys(("threads:read", "threads:create_run"), MEMBERS)
    return str((await made(admin, "/threads", {"metadata": {"members": ["ann"]}}))["thread_id"])


class Past:
    """Lets runs have been made long ago."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys

    async def due(self, run: Any) -> None:
        """As if it had been made an hour ago, and were due now."""
        await self._pipeline.send("HSET", self._keys.run(run["run_id"]), "permitted_us", 1)
        await self.again(run)

    async def again(self, run: Any) -> None:
        """The run is due now, however often it was tried."""
        for job in await self._pipeline.send("ZRANGE", self._keys.later_queue, 0, -1):
            if job.decode().startswith(run["run_id"]):
                await self._pipeline.send("ZADD", self._keys.later_queue, 0, job)
        await self._pipeline.send("RPUSH", self._keys.worker_wake, "1")


@pytest.fixture
def past(pipeline: Pipeline, keys: Keys) -> Past:
    """The clock, as far as runs know it."""
    return Past(pipeline, keys)


async def run_of(admin: httpx.AsyncClient, run: Any) -> Any:
    """As it is by now."""
    return (await admin.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")).json()


async def lose_access(admin: httpx.AsyncClient, thread: str) -> None:
    """The thread has no members any more."""
    answer = await admin.patch(f"/threads/{thread}", json={"metadata": {"members": []}})
    assert answer.status_code == 200


@pytest.mark.parametrize("loses", ["the filter", "create_run", "read", "nothing"])
async def test_a_delayed_run_is_authorized_again_when_it_starts(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    rules: Any,
    thread: str,
    past: Past,
    settings: Settings,
    graphs: Registry,
    receiver: Receiver,
    eventually: Eventually,
    loses: str,
) -> None:
    run = await made(ann, f"/threads/{thread}/runs", LATER | {"webhook": receiver.url})
    if loses == "the filter":
        await lose_access(admin, thread)
    elif loses == "create_run":
        rules.refused = {"threads:create_run", "threads:read"}
    elif loses == "read":  # its webhook shows the thread
        rules.refused = {"threads:read"}
    await past.due(run)
    async with working(settings, graphs):

        async def over() -> bool:
            return bool((await run_of(admin, run)).get("webhook_status") in ("delivered", "failed"))

        await eventually(over)
    now, shown = await run_of(admin, run), (await admin.get(f"/threads/{thread}")).json()
    if loses == "nothing":
        assert (now["status"], now["webhook_status"], len(receiver.bodies)) == ("success", "delivered", 1)
        return
    assert (now["status"], now["error"]["code"]) == ("error", "access.refused")
    assert (now["webhook_status"], receiver.bodies) == ("failed", [])
    assert (shown["status"], shown["values"], shown["error"]) == ("idle", None, None)
    assert (await admin.get(f"/threads/{thread}/history")).json() == []


async def test_a_run_that_starts_at_once_is_authorized_once(
    ann: httpx.AsyncClient, rules: Any, thread: str, settings: Settings, graphs: Registry
) -> None:
    async with working(settings, graphs):
        await made(ann, f"/threads/{thread}/runs/wait", RUN)
    assert rules.operations() == ["threads:create_run", "threads:read"]


async def test_a_run_whose_lease_is_lost_during_authorization_does_not_start(
    ann: httpx.AsyncClient, rules: Any, thread: str, past: Past, services: Services
) -> None:
    """Its lease ended meanwhile: another worker has it."""
    await past.due(await made(ann, f"/threads/{thread}/runs", LATER))
    _, [held] = await services.scripts.run_claim("w", 1, 60_000)
    attempt = Attempt(services.scripts, run_from(held))
    rules.changes["threads:create_run"] = lambda value: attempt.mark_fenced()
    assert not await StartPermission(services).check(attempt)
    rules.changes.clear()
    attempt.is_fenced = False
    assert await StartPermission(services).check(attempt)


async def test_a_run_is_queued_again_while_the_auth_file_fails(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    rules: Any,
    thread: str,
    past: Past,
    settings: Settings,
    graphs: Registry,
    eventually: Eventually,
) -> None:
    run = await made(ann, f"/threads/{thread}/runs", LATER)
    rules.broken = {"threads:create_run"}
    await past.due(run)
    with capture_logs() as logs:
        async with working(settings, graphs):

            async def tried(times: int) -> bool:
                return bool(rules.operations().count("threads:create_run") > times)

            await eventually(lambda: tried(1))

            async def handed_back() -> bool:
                return "auth file" in ((await run_of(admin, run))["reason"] or "")

            await eventually(handed_back)
            await past.again(run)
            await eventually(lambda: tried(2))
            await eventually(handed_back)
            rules.broken = set()
            await past.again(run)

            async def succeeded() -> bool:
                return bool((await run_of(admin, run))["status"] == "success")

            await eventually(succeeded)
    assert [line["event"] for line in logs if line["event"].startswith("run.auth")] == ["run.auth_failed"]


async def test_a_denied_answer_leaves_the_interrupt_open(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    thread: str,
    past: Past,
    settings: Settings,
    graphs: Registry,
    eventually: Eventually,
) -> None:
    answer = {"assistant_id": "asking", "command": {"resume": "yes"}}
    async with working(settings, graphs):
        await made(admin, f"/threads/{thread}/runs/wait", {"assistant_id": "asking", "input": {}})
        late = await made(ann, f"/threads/{thread}/runs", answer | {"after_seconds": 3600})
        await lose_access(admin, thread)
        await past.due(late)

        async def refused() -> bool:
            return bool((await run_of(admin, late))["status"] == "error")

        await eventually(refused)
        shown = (await admin.get(f"/threads/{thread}")).json()
        assert shown["status"] == "interrupted"
        assert shown["interrupts"]
        assert (await made(admin, f"/threads/{thread}/runs/wait", answer))["said"] == "yes"


@pytest.mark.parametrize("how", ["ends", "is cancelled", "goes with its thread", "is of a thread before"])
async def test_a_webhook_sends_only_what_its_user_may_read_at_delivery(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    rules: Any,
    thread: str,
    settings: Settings,
    graphs: Registry,
    receiver: Receiver,
    eventually: Eventually,
    how: str,
) -> None:
    async with working(settings, graphs):
        await made(admin, f"/threads/{thread}/runs/wait", RUN | {"input": {"text": "secret"}})
    body = RUN if how == "ends" else LATER
    run = await made(ann, f"/threads/{thread}/runs", body | {"webhook": receiver.url})
    await lose_access(admin, thread)
    rules.filters.pop("threads:create_run")
    if how == "is cancelled":
        await admin.post(f"/threads/{thread}/runs/{run['run_id']}/cancel")
    elif how != "ends":
        await admin.delete(f"/threads/{thread}")
    if how == "is of a thread before":
        await made(admin, "/threads", {"thread_id": thread, "metadata": {"members": ["ann"]}})
    async with working(settings, graphs):
        if how in ("goes with its thread", "is of a thread before"):
            await eventually(lambda: receiver.bodies)
            (told,) = receiver.bodies
            assert (told["values"], told["status"]) == (None, "interrupted")
            assert b"secret" not in receiver.raw_bodies[0]
            return

        async def failed() -> bool:
            return bool((await run_of(admin, run)).get("webhook_status") == "failed")

        await eventually(failed)
    assert receiver.bodies == []
    assert "may not read" in (await run_of(admin, run))["webhook_problem"]


@pytest.mark.parametrize("fault", ["broken", "still"])
async def test_a_webhook_waits_while_the_auth_file_fails(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    rules: Any,
    thread: str,
    settings: Settings,
    graphs: Registry,
    receiver: Receiver,
    eventually: Eventually,
    pipeline: Pipeline,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    if fault == "still":  # what one handler may take is no bound for those of several users
        monkeypatch.setattr(permissions, "HANDLER_TIMEOUT_S", 600)
        monkeypatch.setattr(read_permission, "AUTHORIZED_WITHIN_S", 0.2)
    run = await made(ann, f"/threads/{thread}/runs", RUN | {"webhook": receiver.url})
    setattr(rules, fault, {"threads:read"})
    async with working(settings, graphs):

        async def waits() -> bool:
            return "auth file" in ((await run_of(admin, run)).get("webhook_problem") or "")

        await eventually(waits)
        assert receiver.bodies == []
        setattr(rules, fault, set())
        await pipeline.send("ZADD", keys.deliveries, "XX", 0, run["run_id"])
        await eventually(lambda: receiver.bodies)


async def test_waiting_for_the_auth_file_uses_no_tries_of_a_webhook(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    rules: Any,
    thread: str,
    services: Services,
    receiver: Receiver,
    eventually: Eventually,
    pipeline: Pipeline,
    keys: Keys,
) -> None:
    run = await made(ann, f"/threads/{thread}/runs", LATER | {"webhook": receiver.url})
    await admin.post(f"/threads/{thread}/runs/{run['run_id']}/cancel")
    worker_deliveries, statuses = Deliveries(services), []
    receiver.statuses = ["503 Busy", "503 Busy", "200 OK"]
    for broken in (True, True, False, True, False, False):
        rules.broken = {"threads:read"} if broken else set()
        await pipeline.send("ZADD", keys.deliveries, "XX", 0, run["run_id"])
        await worker_deliveries.run_once()
        await eventually(lambda: not worker_deliveries.in_progress)
        statuses.append((await run_of(admin, run))["webhook_status"])
    assert statuses == [*["pending"] * 5, "delivered"]
    assert len(receiver.bodies) == 3
