"""Hooks in deployments with an auth file, a host app, a mount prefix, encryption, and inline graphs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.hooks.conftest import PROJECT, deliver, project_with, stored_bytes
from tests.hooks.senders import PUSH, encoded, github
from tests.http.conftest import Served, serving
from tests.waiting import wait_until
from tests.worker import running_worker

HOOK: dict[str, Any] = {
    "assistant": "notes",
    "verify": {"scheme": "github", "secret_env": "HOOKS_GITHUB_SECRET"},
    "thread": "body.repository.full_name",
    "input": {"repo": "body.repository.full_name"},
}

ANSWER = {"assistant_id": "asks", "command": {"resume": "no"}}

Serve = Callable[..., AbstractAsyncContextManager[tuple[httpx.AsyncClient, Served]]]


@pytest.fixture
def serve(tmp_path: Path, valkey_url: str, keys: Keys) -> Serve:
    """Serves a project with these hooks and members of langgraph.json, with a worker."""

    @asynccontextmanager
    async def served(
        hooks: dict[str, Any], settings: dict[str, Any] | None = None, **members: Any
    ) -> AsyncIterator[tuple[httpx.AsyncClient, Served]]:
        for name in ("auth.py", "webapp.py"):
            shutil.copy(PROJECT.with_name(name), tmp_path / name)
        config = project_with(tmp_path, hooks, **members)
        values = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": config} | (settings or {})
        loaded, graphs = Settings.from_values(values), await Registry.load(config)
        async with (
            serving(loaded, graphs) as running,
            running_worker(loaded, graphs),
            httpx.AsyncClient(base_url=running.url, timeout=10) as client,
        ):
            yield client, running

    return served


async def _ended(served: Served, run_id: str) -> None:
    async def has_ended() -> bool:
        return (await served.services.runs.find(run_id)).phase.value in ("completed", "failed")

    await wait_until(has_ended)


async def test_an_auth_file_authorizes_the_user_of_the_hook(serve: Serve) -> None:
    hooks = {"github": HOOK, "banned": HOOK, "acme": HOOK | {"owner": "acme"}}
    async with serve(hooks, auth={"path": "./auth.py:auth"}) as (client, served):
        answer = await deliver(client, "github", PUSH)  # without any token
        assert answer.status_code == 202, answer.text
        await _ended(served, answer.json()["run_id"])
        path = answer.json()["status_url"]
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers={"authorization": "Bearer ann"})).status_code == 404
        run = (await client.get(path, headers={"authorization": "Bearer hook:github"})).json()
        assert (run["status"], run["metadata"]["by"]) == ("success", "hook:github")
        banned = await deliver(client, "banned", PUSH)
        assert (banned.status_code, banned.json()["code"]) == (403, "access.refused")
        owned = await deliver(client, "acme", PUSH)
        assert owned.status_code == 202, owned.text
        await _ended(served, owned.json()["run_id"])
        run = (await client.get(owned.json()["status_url"], headers={"authorization": "Bearer hook:acme"})).json()
        assert (run["status"], run["metadata"]["owner"]) == ("success", "acme")
        threads = {answer.json()["thread_id"], owned.json()["thread_id"]}
        assert len(threads) == 2
        assert (await client.get("/ops/hooks")).status_code == 401
        listed = await client.get("/ops/hooks", headers={"authorization": "Bearer ann"})
        assert [each["hook"] for each in listed.json()["hooks"]] == ["acme", "banned", "github"]


async def test_a_route_of_the_host_app_has_precedence_and_its_rules(
    serve: Serve, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    foreign = {"host": "hooks.example.com"}
    async with serve({"own": HOOK, "github": HOOK}, http={"app": "./webapp.py:app"}) as (client, _):
        body = encoded(PUSH)
        assert (await client.post("/hooks/own", content=body)).text == "of the host app"
        assert (await client.post("/hooks/own", content=body, headers=foreign)).status_code == 421
        assert (await client.post("/hooks/github", content=body, headers=github(body) | foreign)).status_code == 202
    assert "hooks.path_taken" in "".join(capsys.readouterr()) + caplog.text


@pytest.mark.parametrize("order", ["auth_first", "middleware_first"])
async def test_a_host_app_with_an_auth_file_lets_deliveries_pass(serve: Serve, order: str) -> None:
    http = {"app": "./webapp.py:app", "middleware_order": order}
    async with serve({"github": HOOK}, http=http, auth={"path": "./auth.py:auth"}) as (client, _):
        assert (await deliver(client, "github", PUSH)).status_code == 202
        assert (await client.get("/ops/hooks")).status_code == 401


async def test_hooks_are_below_the_mount_prefix(serve: Serve) -> None:
    async with serve({"github": HOOK}, http={"mount_prefix": "/agents"}) as (client, _):
        body = encoded(PUSH)
        headers = github(body) | {"host": "hooks.example.com", "content-type": "application/x-www-form-urlencoded"}
        assert (await client.post("/hooks/github", content=body, headers=headers)).status_code in (404, 421)
        answer = await client.post("/agents/hooks/github", content=body, headers=github(body))
        assert answer.status_code == 202
        assert answer.json()["status_url"].startswith("/agents/threads/")
        assert (await client.get(answer.json()["status_url"])).status_code == 200
        form = await client.post("/agents/hooks/github", content=b"a=1", headers=github(b"a=1") | headers)
        assert form.status_code == 401  # not 415 or 421: the signature of the other body was checked


async def test_what_is_stored_of_a_delivery_is_encrypted(serve: Serve, pipeline: Pipeline, keys: Keys) -> None:
    canary = "canary-in-the-body"
    push = PUSH | {"commits": [{"message": canary}], "repository": {"full_name": canary}}
    async with serve({"github": HOOK}, {"encryption_key": "00" * 32}) as (client, _):
        answer = await deliver(client, "github", push)
        assert answer.status_code == 202
        assert (await deliver(client, "github", push)).content == answer.content
        assert canary.encode() not in await stored_bytes(pipeline, keys)
        delivery = answer.json()["delivery"]
        shown = (await client.get(f"/ops/hooks/github/deliveries/{delivery}")).json()
        assert (shown["body"].encode(), shown["answer"]) == (encoded(push), answer.json())
        assert (await client.post(f"/ops/hooks/github/deliveries/{delivery}/replay")).status_code == 202


async def test_a_hook_starts_an_inline_run(serve: Serve) -> None:
    slipway = {"graphs": {"notes": {"execution": "inline"}}}
    async with serve({"github": HOOK}, slipway=slipway) as (client, served):
        answer = (await deliver(client, "github", PUSH)).json()
        await _ended(served, answer["run_id"])


async def test_a_switched_off_graph_is_409_and_the_sender_may_repeat(serve: Serve) -> None:
    async with serve({"github": HOOK}) as (client, _):
        await client.put("/ops/graphs/notes", json={"reason": "repair"})
        off = await deliver(client, "github", PUSH)
        assert (off.status_code, off.json()["code"]) == (409, "switch.off")
        await client.delete("/ops/graphs/notes")
        assert (await deliver(client, "github", PUSH)).status_code == 202


async def test_an_assistant_that_does_not_exist_is_404(serve: Serve) -> None:
    missing = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
    async with serve({"github": HOOK | {"assistant": missing}}) as (client, _):
        answer = await deliver(client, "github", PUSH)
        assert (answer.status_code, answer.json()["kind"], answer.json()["id"]) == (404, "assistant", missing)


async def test_rates_count_refused_requests_by_address_and_deliveries_by_hook(serve: Serve) -> None:
    rates = {"rate_per_address": "2/min", "rate_per_key": "3/min"}
    async with serve({"github": HOOK}, rates, auth={"path": "./auth.py:auth"}) as (client, _):
        deliveries = [await deliver(client, "github", PUSH | {"after": str(number)}) for number in range(5)]
        assert [each.status_code for each in deliveries] == [202, 202, 202, 429, 429]
        assert int(deliveries[-1].headers["retry-after"]) > 0
        refused = [await deliver(client, "github", PUSH, secret="wrong") for _ in range(4)]
        assert [each.status_code for each in refused] == [401, 401, 429, 429]


async def test_a_hook_with_an_owner_does_not_find_runs_and_reviews_of_others(serve: Serve) -> None:
    """The error is that for records that do not exist, and names nothing of the other owner."""
    verify = HOOK["verify"]
    hooks = {
        "by-run": {"verify": verify, "owner": "acme", "run_id": "body.run", "resume": "'yes'"},
        "by-thread": {"verify": verify, "owner": "acme", "thread_id": "body.thread", "resume": "'yes'"},
        "decide": {
            "verify": verify,
            "owner": "acme",
            "decide": {"review": "body.review", "decision": {"kind": "'answer'", "value": "'yes'"}},
        },
    }
    async with serve(hooks) as (client, served):
        for owner, status in (("globex", 404), ("acme", 202)):
            thread_id = (await client.post("/threads", json={"metadata": {"owner": owner}})).json()["thread_id"]

            async def ask(thread_id: str = thread_id) -> dict[str, str]:
                """A waiting run of this thread, and the ids of its records."""
                body = {"assistant_id": "asks", "input": {}, "multitask_strategy": "reject"}
                run = (await client.post(f"/threads/{thread_id}/runs", json=body)).json()

                async def waits() -> bool:
                    return (await served.services.runs.find(run["run_id"])).phase.value == "waiting_for_approval"

                await wait_until(waits)
                (review,) = (await client.get("/ops/reviews?state=open")).json()["reviews"]
                return {"run": run["run_id"], "thread": thread_id, "review": review["review_id"]}

            for hook, kind in (("by-run", "run"), ("by-thread", "thread"), ("decide", "review")):
                ids = await ask()
                answer = await deliver(client, hook, ids)
                assert answer.status_code == status, (hook, answer.text)
                if status == 404:
                    assert (answer.json()["kind"], answer.json()["id"]) == (kind, ids[kind])
                    assert not any(ids[other] in answer.json()["detail"] for other in {"thread"} - {kind})
                    await client.post(f"/threads/{thread_id}/runs/wait", json=ANSWER)
                else:
                    resumed = answer.json().get("resumed_by") or answer.json()["run_id"]
                    await _ended(served, resumed)
