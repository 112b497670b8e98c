"""Webhooks that are a path of this server's own: they reach the project's app, and our routes, in the web process."""

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

from slipway.api.host_app.extensions import Extensions
from slipway.api.server import create_app
from slipway.errors import ConfigError, InvalidRequest
from slipway.graphs.official_sections import UrlSection, WebhooksSection
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.services import Services
from slipway.settings import Settings
from slipway.webhooks.urls import UrlPolicy
from slipway_workers.duties.deliveries import Deliveries
from tests.conftest import Eventually
from tests.http.conftest import Served
from tests.webhooks.conftest import GRAPHS

OWN_APP = """
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

told = []
answers = []


@asynccontextmanager
async def lifespan(app):
    yield {"opened": "by the lifespan"}


async def hook(request):
    facts = {"headers": dict(request.headers), "opened": request.state.opened, "query": dict(request.query_params)}
    told.append({"body": await request.json(), **facts})
    return Response(status_code=answers.pop(0) if answers else 204)


async def told_so_far(request):
    return JSONResponse(told)


async def away(request):
    return RedirectResponse("http://10.0.0.1/", 307)


app = Starlette(
    routes=[
        Route("/own/hook", hook, methods=["POST"]),
        Route("/own/told", told_so_far),
        Route("/own/away", away, methods=["POST"]),
    ],
    lifespan=lifespan,
)
"""

AWAY = "a redirect leads to another server, or from https to http: name the URL that it leads to"

AUTH = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization):
    if not authorization:
        raise Auth.exceptions.HTTPException(401, "who are you?")
    return authorization.removeprefix("Bearer ")


@auth.on.threads
async def owned(ctx, value):
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A langgraph.json that lets webhooks go to this machine, with an app and an auth file of its own."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(GRAPHS, folder / "hooked.py")
    (folder / "own_app.py").write_text(OWN_APP)
    (folder / "own_auth.py").write_text(AUTH)
    document = {
        "graphs": {name: f"./hooked.py:{name}" for name in ("steps", "hold")},
        "http": {"app": "./own_app.py:app"},
        "auth": {"path": "./own_auth.py:auth"},
        "webhooks": {
            "url": {"disable_loopback": False, "require_https": True, "allowed_domains": []},
            "headers": {"x-from": "the file"},
        },
    }
    (folder / "langgraph.json").write_text(json.dumps(document))
    return folder / "langgraph.json"


@pytest.fixture(scope="session")
def graphs(project: Path) -> Registry:
    """Loaded once."""
    return asyncio.run(Registry.load(project))


@pytest.fixture
async def ann(served: Served) -> AsyncIterator[LangGraphClient]:
    """Somebody."""
    async with get_client(url=served.url, api_key=None, headers={"authorization": "Bearer ann"}) as client:
        yield client


@pytest.fixture
async def bob(served: Served) -> AsyncIterator[LangGraphClient]:
    """Somebody else."""
    async with get_client(url=served.url, api_key=None, headers={"authorization": "Bearer bob"}) as client:
        yield client


async def done(served: Served, run_id: str) -> bool:
    """Whether the webhook was called for the last time."""
    return (await served.services.runs.find(run_id)).webhook_status in ("delivered", "failed")


async def over(client: LangGraphClient, webhook: str) -> str:
    """A run that ended before it began."""
    thread = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, "steps", input={}, webhook=webhook, after_seconds=3600)
    await client.runs.cancel(thread, run["run_id"])
    return run["run_id"]


@pytest.mark.usefixtures("worker")
async def test_the_projects_app_is_called_where_it_serves(
    ann: LangGraphClient, client: httpx.AsyncClient, served: Served, eventually: Eventually
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    run = await ann.runs.create(thread, "steps", input={"value": 1}, webhook="/own/hook?case=7")
    await eventually(lambda: done(served, run["run_id"]))
    (told,) = [each for each in (await client.get("/own/told")).json() if each["body"]["run_id"] == run["run_id"]]
    assert (told["body"]["status"], told["body"]["values"]["value"]) == ("success", 4)
    assert (told["query"], told["opened"]) == ({"case": "7"}, "by the lifespan")
    assert told["headers"]["x-from"] == "the file"
    assert told["headers"]["webhook-id"] == run["run_id"]
    assert "authorization" not in told["headers"]


async def test_it_is_tried_again(
    ann: LangGraphClient, served: Served, keys: Keys, graphs: Registry, eventually: Eventually
) -> None:
    answers: list[int] = graphs.attribute("./own_app.py:answers")  # type: ignore[assignment]
    answers.append(503)
    run_id, pipeline = await over(ann, "/own/hook"), served.services.pipeline

    async def delivered() -> bool:
        await pipeline.send("ZADD", keys.internal_deliveries, "XX", 0, run_id)
        return await done(served, run_id)

    await eventually(delivered)
    assert (await served.services.runs.find(run_id)).webhook_status == "delivered"
    assert answers == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [("/own/nowhere", "HTTP 404"), ("/own/away", AWAY)],
)
async def test_what_it_refuses_is_final(
    ann: LangGraphClient, served: Served, eventually: Eventually, path: str, problem: str
) -> None:
    run_id = await over(ann, path)
    await eventually(lambda: done(served, run_id))
    run = await served.services.runs.find(run_id)
    assert (run.webhook_status, run.webhook_problem) == ("failed", problem)


async def test_a_call_may_do_what_its_user_may(
    ann: LangGraphClient, bob: LangGraphClient, served: Served, eventually: Eventually
) -> None:
    """A webhook that cancels a run: bob's own, and then, in vain, ann's."""
    for owner, status, problem in ((ann, "pending", "HTTP 404"), (bob, "interrupted", None)):
        thread = (await owner.threads.create())["thread_id"]
        other = (await owner.runs.create(thread, "hold", input={}, after_seconds=3600))["run_id"]
        run_id = await over(bob, f"/threads/{thread}/runs/{other}/cancel")
        await eventually(lambda run_id=run_id: done(served, run_id))  # type: ignore[misc]
        assert (await served.services.runs.find(run_id)).webhook_problem == problem
        assert (await owner.runs.get(thread, other))["status"] == status


@pytest.mark.parametrize("url", ["//evil.example/hook", "/\\evil.example", "/a b", "relative", "/" + "a" * 70_000])
async def test_what_is_no_path_is_refused(client: httpx.AsyncClient, url: str) -> None:
    answer = await client.post(
        "/runs", json={"assistant_id": "steps", "webhook": url}, headers={"authorization": "Bearer ann"}
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "webhook")


def test_a_path_says_which_setting_forbids_it() -> None:
    with pytest.raises(InvalidRequest, match="disable_loopback"):
        UrlPolicy(UrlSection()).check("/own/hook")


async def test_where_paths_are_forbidden_by_now_a_worker_says_so(
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
        return await done(served, run["run_id"])

    await eventually(failed)
    assert "disable_loopback" in str((await services.runs.find(run["run_id"])).webhook_problem)


async def test_a_header_without_its_variable_stops_the_web_process(served: Served, settings: Settings) -> None:
    url = UrlSection(disable_loopback=False, allowed_domains=[])
    section = WebhooksSection(headers={"x": "${{ env.LG_WEBHOOK_GONE }}"}, url=url)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        yield replace(served.services, config=replace(served.services.config, webhooks=section))

    app = create_app(opened, settings, Extensions())
    with pytest.raises(ConfigError, match="LG_WEBHOOK_GONE"):
        async with app.router.lifespan_context(app):
            pass
    assert isinstance(app.state.startup_error, ConfigError), "which `slipway web` shows, and ends with its exit code"
