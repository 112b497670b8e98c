"""Internal webhooks: paths of the host app and of Slipway's API, which a web process calls without a network."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from slipway.api.application import create_app
from slipway.api.host_app.extensions import Extensions
from slipway.clock import Clock
from slipway.errors import ConfigError, InvalidRequest
from slipway.graphs.official_sections import UrlSection, WebhooksSection
from slipway.graphs.registry import Registry
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.redis.keys import Keys
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import Announcements, RolloutStore
from slipway.runs.delivery_queues import INTERNAL
from slipway.services import Services
from slipway.settings import Settings
from slipway.webhooks.urls import UrlPolicy
from slipway_workers.duties.deliveries import Deliveries
from tests.http.conftest import Served
from tests.waiting import Eventually
from tests.webhooks.conftest import GRAPHS

HOST_APP = """
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

received = []
statuses = []


@asynccontextmanager
async def lifespan(app):
    yield {"opened": "by the lifespan"}


async def hook(request):
    details = {"headers": dict(request.headers), "opened": request.state.opened, "query": dict(request.query_params)}
    received.append({"body": await request.json(), **details})
    return Response(status_code=statuses.pop(0) if statuses else 204)


async def received_requests(request):
    return JSONResponse(received)


async def redirect(request):
    return RedirectResponse("http://10.0.0.1/", 307)


app = Starlette(
    routes=[
        Route("/own/hook", hook, methods=["POST"]),
        Route("/own/received", received_requests),
        Route("/own/redirect", redirect, methods=["POST"]),
    ],
    lifespan=lifespan,
)
"""

AUTH = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization):
    if not authorization:
        raise Auth.exceptions.HTTPException(401, "no credentials")
    return authorization.removeprefix("Bearer ")


@auth.on.threads
async def owned(ctx, value):
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A langgraph.json that allows webhooks on loopback, with a host app and an auth file."""
    folder = tmp_path_factory.mktemp("internal-webhooks")
    shutil.copy(GRAPHS, folder / "webhook_graphs.py")
    (folder / "host_app.py").write_text(HOST_APP)
    (folder / "auth.py").write_text(AUTH)
    document = {
        "graphs": {name: f"./webhook_graphs.py:{name}" for name in ("steps", "hold")},
        "http": {"app": "./host_app.py:app"},
        "auth": {"path": "./auth.py:auth"},
        "webhooks": {
            "url": {"disable_loopback": False, "require_https": True, "allowed_domains": []},
            "headers": {"x-from": "the file"},
        },
    }
    (folder / "langgraph.json").write_text(json.dumps(document))
    return folder / "langgraph.json"


@pytest.fixture(scope="session")
def graphs(project: Path) -> Registry:
    return asyncio.run(Registry.load(project))


@pytest.fixture
async def ann(served: Served) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=served.url, api_key=None, headers={"authorization": "Bearer ann"}) as client:
        yield client


@pytest.fixture
async def bob(served: Served) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=served.url, api_key=None, headers={"authorization": "Bearer bob"}) as client:
        yield client


async def has_ended(served: Served, run_id: str) -> bool:
    """Whether the delivery has ended: delivered or failed."""
    return (await served.services.runs.find(run_id)).webhook_status in ("delivered", "failed")


async def has_failed(served: Served, run_id: str) -> bool:
    """Whether a try has failed."""
    return (await served.services.runs.find(run_id)).webhook_problem is not None


async def cancelled_run(client: LangGraphClient, webhook: str) -> str:
    """A run that was cancelled before it started."""
    thread = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, "steps", input={}, webhook=webhook, after_seconds=3600)
    await client.runs.cancel(thread, run["run_id"])
    return run["run_id"]


@pytest.mark.usefixtures("worker")
async def test_a_path_of_the_host_app_is_called_in_the_web_process(
    ann: LangGraphClient, client: httpx.AsyncClient, served: Served, eventually: Eventually
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    run = await ann.runs.create(thread, "steps", input={"value": 1}, webhook="/own/hook?case=7")
    await eventually(lambda: has_ended(served, run["run_id"]))
    requests = (await client.get("/own/received")).json()
    (received,) = [each for each in requests if each["body"]["run_id"] == run["run_id"]]
    assert (received["body"]["status"], received["body"]["values"]["value"]) == ("success", 4)
    assert (received["query"], received["opened"]) == ({"case": "7"}, "by the lifespan")
    assert received["headers"]["x-from"] == "the file"
    assert received["headers"]["webhook-id"] == run["run_id"]
    assert "authorization" not in received["headers"]


async def test_a_rollout_is_announced_to_a_path_of_the_host_app(
    client: httpx.AsyncClient, served: Served, eventually: Eventually
) -> None:
    """`slipway.rollouts.webhook` is named by the project, and no client."""

    async def find_versions(graph_id: str) -> GraphVersions:
        return GraphVersions(graph_id, ["1", "2"], default="1")

    async def is_needed(graph_id: str, version: str) -> bool:
        return True

    scripts = RolloutScripts(served.services.pipeline, served.services.shards)
    announced = Announcements("/own/hook?from=rollout", INTERNAL)
    store = RolloutStore(scripts, Clock(), find_versions, is_needed, RolloutsSection(), announced)
    await store.set_weights("desk", {"2": 1000}, by="ann", reason=None)

    async def has_arrived() -> bool:
        requests = (await client.get("/own/received")).json()
        return any(each["query"] == {"from": "rollout"} for each in requests)

    await eventually(has_arrived)


@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_a_failing_call_is_tried_again(
    ann: LangGraphClient, served: Served, keys: Keys, graphs: Registry, eventually: Eventually
) -> None:
    statuses: list[int] = graphs.load_object("./host_app.py:statuses")  # type: ignore[assignment]
    statuses.append(503)
    run_id, pipeline = await cancelled_run(ann, "/own/hook"), served.services.pipeline

    async def delivered() -> bool:
        await pipeline.send("ZADD", keys.internal_deliveries, "XX", 0, run_id)
        return await has_ended(served, run_id)

    await eventually(delivered)
    assert (await served.services.runs.find(run_id)).webhook_status == "delivered"
    assert statuses == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [("/own/unknown", "HTTP 404"), ("/own/redirect", "HTTP 307 (redirects are not followed)")],
)
async def test_any_status_but_success_is_a_failure(
    ann: LangGraphClient, served: Served, eventually: Eventually, path: str, problem: str
) -> None:
    run_id = await cancelled_run(ann, path)
    await eventually(lambda: has_failed(served, run_id))
    run = await served.services.runs.find(run_id)
    assert (run.webhook_status, run.webhook_problem) == ("pending", problem)


async def test_a_call_has_the_permissions_of_the_runs_user(
    ann: LangGraphClient, bob: LangGraphClient, served: Served, eventually: Eventually
) -> None:
    """Bob's webhooks cancel a run: that of ann, which is not found, and his own."""
    for owner, status, problem in ((ann, "pending", "HTTP 404"), (bob, "interrupted", None)):
        thread = (await owner.threads.create())["thread_id"]
        other = (await owner.runs.create(thread, "hold", input={}, after_seconds=3600))["run_id"]
        run_id = await cancelled_run(bob, f"/threads/{thread}/runs/{other}/cancel")
        ended = has_failed if problem else has_ended
        await eventually(lambda run_id=run_id, ended=ended: ended(served, run_id))  # type: ignore[misc]
        assert (await served.services.runs.find(run_id)).webhook_problem == problem
        assert (await owner.runs.get(thread, other))["status"] == status


@pytest.mark.parametrize("url", ["//evil.example/hook", "/\\evil.example", "/a b", "relative", "/" + "a" * 70_000])
async def test_an_invalid_path_is_rejected(client: httpx.AsyncClient, url: str) -> None:
    response = await client.post(
        "/runs", json={"assistant_id": "steps", "webhook": url}, headers={"authorization": "Bearer ann"}
    )
    assert (response.status_code, response.json()["field"]) == (422, "webhook")


def test_the_error_about_a_path_names_the_setting_that_forbids_it() -> None:
    with pytest.raises(InvalidRequest, match="disable_loopback"):
        UrlPolicy(UrlSection()).check("/own/hook")


async def test_a_worker_rejects_a_path_that_became_forbidden(
    ann: LangGraphClient, served: Served, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = served.services
    thread = (await ann.threads.create())["thread_id"]
    run = await ann.runs.create(thread, "steps", input={}, webhook="/own/hook", after_seconds=3600)
    monkeypatch.setattr(services.webhook_urls, "section", UrlSection())
    deliveries = Deliveries(services)
    await ann.runs.cancel(thread, run["run_id"])

    async def failed() -> bool:
        await deliveries.run_once()
        return await has_ended(served, run["run_id"])

    await eventually(failed)
    assert "disable_loopback" in str((await services.runs.find(run["run_id"])).webhook_problem)


async def test_a_web_process_does_not_start_without_the_variable_of_a_header(
    served: Served, settings: Settings
) -> None:
    url = UrlSection(disable_loopback=False, allowed_domains=[])
    section = WebhooksSection(headers={"x": "${{ env.LG_WEBHOOK_MISSING }}"}, url=url)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        yield replace(served.services, config=replace(served.services.config, webhooks=section))

    app = create_app(opened, settings, Extensions())
    with pytest.raises(ConfigError, match="LG_WEBHOOK_MISSING"):
        async with app.router.lifespan_context(app):
            pass
    assert isinstance(app.state.startup_error, ConfigError), "`slipway web` shows it and exits with its exit code"
