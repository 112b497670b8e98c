"""A user who lost access to a thread starts no run on it and receives no webhook about it: a worker authorizes a
delayed run again when it starts the run, and a webhook when it sends the webhook."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from slipway.access import permissions
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.queue_scripts import QueueScripts
from slipway.runs.record import run_from
from slipway.services import Services
from slipway.settings import Settings
from slipway.webhooks import read_permission
from slipway_workers.duties.deliveries import Deliveries
from slipway_workers.start_authorization import StartAuthorization
from tests.attacks.rules_server import (
    DELAYED_RUN,
    MEMBERS_ONLY,
    RUN,
    admin,
    ann,
    bob,
    graphs,
    post_json,
    rules,
    served,
    services,
    set_members,
    settings,
)
from tests.waiting import Eventually
from tests.webhooks.conftest import Receiver, receiver
from tests.worker import running_worker

__all__ = ["admin", "ann", "bob", "graphs", "receiver", "rules", "served", "services", "settings"]


@pytest.fixture
async def thread(admin: httpx.AsyncClient, rules: Any) -> str:
    """A thread with the member ann. Only members may read threads and create runs on them."""
    rules.filters = dict.fromkeys(("threads:read", "threads:create_run"), MEMBERS_ONLY)
    return str((await post_json(admin, "/threads", {"metadata": {"members": ["ann"]}}))["thread_id"])


class RunClock:
    """Moves stored runs in time."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys

    async def make_due(self, run: Any) -> None:
        """Make the run due now, and its authorization outdated."""
        await self._pipeline.send("HSET", self._keys.run(run["run_id"]), "permitted_us", 1)
        await self.retry_now(run)

    async def retry_now(self, run: Any) -> None:
        """Make the queued run due now, whatever its attempt."""
        for job in await self._pipeline.send("ZRANGE", self._keys.later_queue, 0, -1):
            if job.decode().startswith(run["run_id"]):
                await self._pipeline.send("ZADD", self._keys.later_queue, 0, job)
        await QueueScripts(self._pipeline, self._keys).watch()


@pytest.fixture
def run_clock(pipeline: Pipeline, keys: Keys) -> RunClock:
    return RunClock(pipeline, keys)


async def reread(admin: httpx.AsyncClient, run: Any) -> Any:
    """The current response for a run that was returned earlier."""
    return (await admin.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")).json()


@pytest.mark.parametrize("loses", ["the filter", "create_run", "read", "nothing"])
async def test_a_delayed_run_is_authorized_again_when_it_starts(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    rules: Any,
    thread: str,
    run_clock: RunClock,
    settings: Settings,
    graphs: Registry,
    receiver: Receiver,
    eventually: Eventually,
    loses: str,
) -> None:
    run = await post_json(ann, f"/threads/{thread}/runs", DELAYED_RUN | {"webhook": receiver.url})
    if loses == "the filter":
        await set_members(admin, thread)
    elif loses == "create_run":
        rules.denied = {"threads:create_run", "threads:read"}
    elif loses == "read":  # a run with a webhook needs it: the webhook shows the thread
        rules.denied = {"threads:read"}
    await run_clock.make_due(run)
    async with running_worker(settings, graphs):

        async def webhook_ended() -> bool:
            return bool((await reread(admin, run)).get("webhook_status") in ("delivered", "failed"))

        await eventually(webhook_ended)
    now, shown_thread = await reread(admin, run), (await admin.get(f"/threads/{thread}")).json()
    if loses == "nothing":
        assert (now["status"], now["webhook_status"], len(receiver.bodies)) == ("success", "delivered", 1)
        return
    assert (now["status"], now["error"]["code"]) == ("error", "access.refused")
    assert (now["webhook_status"], receiver.bodies) == ("failed", [])
    assert (shown_thread["status"], shown_thread["values"], shown_thread["error"]) == ("idle", None, None)
    assert (await admin.get(f"/threads/{thread}/history")).json() == []


async def test_a_run_that_starts_at_once_is_authorized_once(
    ann: httpx.AsyncClient, rules: Any, thread: str, settings: Settings, graphs: Registry
) -> None:
    async with running_worker(settings, graphs):
        await post_json(ann, f"/threads/{thread}/runs/wait", RUN)
    assert rules.operations() == ["threads:create_run", "threads:read"]


async def test_a_run_whose_lease_is_lost_during_authorization_does_not_start(
    ann: httpx.AsyncClient, rules: Any, thread: str, run_clock: RunClock, services: Services
) -> None:
    """Another worker owns the run when the handler returns."""
    await run_clock.make_due(await post_json(ann, f"/threads/{thread}/runs", DELAYED_RUN))
    _, [fields], *_ = await services.queues[0].run_claim("w", 1, 60_000)
    attempt = AttemptWriter(services.scripts, run_from(fields))
    rules.changes["threads:create_run"] = lambda value: attempt.mark_fenced()
    assert not await StartAuthorization(services).check(attempt)
    rules.changes.clear()
    attempt.is_fenced = False
    assert await StartAuthorization(services).check(attempt)


async def test_a_run_is_queued_again_while_the_auth_file_fails(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    rules: Any,
    thread: str,
    run_clock: RunClock,
    settings: Settings,
    graphs: Registry,
    eventually: Eventually,
) -> None:
    run = await post_json(ann, f"/threads/{thread}/runs", DELAYED_RUN)
    rules.failing = {"threads:create_run"}
    await run_clock.make_due(run)
    with capture_logs() as logs:
        async with running_worker(settings, graphs):

            async def was_authorized(times: int) -> bool:
                return bool(rules.operations().count("threads:create_run") > times)

            await eventually(lambda: was_authorized(1))

            async def is_released() -> bool:
                return "auth file" in ((await reread(admin, run))["reason"] or "")

            await eventually(is_released)
            await run_clock.retry_now(run)
            await eventually(lambda: was_authorized(2))
            await eventually(is_released)
            rules.failing = set()
            await run_clock.retry_now(run)

            async def succeeded() -> bool:
                return bool((await reread(admin, run))["status"] == "success")

            await eventually(succeeded)
    assert [line["event"] for line in logs if line["event"].startswith("run.auth")] == ["run.auth_failed"]


async def test_a_denied_answer_leaves_the_interrupt_open(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    thread: str,
    run_clock: RunClock,
    settings: Settings,
    graphs: Registry,
    eventually: Eventually,
) -> None:
    answer = {"assistant_id": "asking", "command": {"resume": "yes"}}
    async with running_worker(settings, graphs):
        await post_json(admin, f"/threads/{thread}/runs/wait", {"assistant_id": "asking", "input": {}})
        late = await post_json(ann, f"/threads/{thread}/runs", answer | {"after_seconds": 3600})
        await set_members(admin, thread)
        await run_clock.make_due(late)

        async def has_failed() -> bool:
            return bool((await reread(admin, late))["status"] == "error")

        await eventually(has_failed)
        shown_thread = (await admin.get(f"/threads/{thread}")).json()
        assert shown_thread["status"] == "interrupted"
        assert shown_thread["interrupts"]
        assert (await post_json(admin, f"/threads/{thread}/runs/wait", answer))["reply"] == "yes"


@pytest.mark.parametrize(
    "outcome", ["ends", "is cancelled", "is deleted with its thread", "is deleted and its thread id used again"]
)
async def test_a_webhook_sends_only_what_its_user_may_read_at_delivery(
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    rules: Any,
    thread: str,
    settings: Settings,
    graphs: Registry,
    receiver: Receiver,
    eventually: Eventually,
    outcome: str,
) -> None:
    async with running_worker(settings, graphs):
        await post_json(admin, f"/threads/{thread}/runs/wait", RUN | {"input": {"text": "secret"}})
    body = RUN if outcome == "ends" else DELAYED_RUN
    run = await post_json(ann, f"/threads/{thread}/runs", body | {"webhook": receiver.url})
    await set_members(admin, thread)
    rules.filters.pop("threads:create_run")
    if outcome == "is cancelled":
        await admin.post(f"/threads/{thread}/runs/{run['run_id']}/cancel")
    elif outcome != "ends":
        await admin.delete(f"/threads/{thread}")
    if outcome == "is deleted and its thread id used again":
        await post_json(admin, "/threads", {"thread_id": thread, "metadata": {"members": ["ann"]}})
    async with running_worker(settings, graphs):
        if outcome in ("is deleted with its thread", "is deleted and its thread id used again"):
            await eventually(lambda: receiver.bodies)
            (body,) = receiver.bodies
            assert (body["values"], body["status"]) == (None, "interrupted")
            assert b"secret" not in receiver.raw_bodies[0]
            return

        async def failed() -> bool:
            return bool((await reread(admin, run)).get("webhook_status") == "failed")

        await eventually(failed)
    assert receiver.bodies == []
    assert "may not read" in (await reread(admin, run))["webhook_problem"]


@pytest.mark.parametrize("fault", ["failing", "hanging"])
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
    if fault == "hanging":  # several users have several handler calls, so their total has its own limit
        monkeypatch.setattr(permissions, "HANDLER_TIMEOUT_S", 600)
        monkeypatch.setattr(read_permission, "AUTHORIZED_WITHIN_S", 0.2)
    run = await post_json(ann, f"/threads/{thread}/runs", RUN | {"webhook": receiver.url})
    setattr(rules, fault, {"threads:read"})
    async with running_worker(settings, graphs):

        async def webhook_waits() -> bool:
            return "auth file" in ((await reread(admin, run)).get("webhook_problem") or "")

        await eventually(webhook_waits)
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
    run = await post_json(ann, f"/threads/{thread}/runs", DELAYED_RUN | {"webhook": receiver.url})
    await admin.post(f"/threads/{thread}/runs/{run['run_id']}/cancel")
    worker_deliveries, statuses = Deliveries(services), []
    receiver.statuses = [*["503 Busy"] * 9, "200 OK"]
    for fails in (True, True, *[False] * 8, True, False, False):
        rules.failing = {"threads:read"} if fails else set()
        await pipeline.send("ZADD", keys.deliveries, 0, run["run_id"])
        for breaker in await pipeline.send("KEYS", keys.webhook_origin("*")):
            await pipeline.send("DEL", breaker)
        await worker_deliveries.run_once()
        await eventually(lambda: not worker_deliveries.tries.in_progress)
        statuses.append((await reread(admin, run))["webhook_status"])
    assert statuses == [*["pending"] * 12, "delivered"]
    assert len(receiver.bodies) == 10
