"""What a project's code raises may hold what it was configured with: connection strings, keys, addresses, paths. None
of it is in an answer, whoever asks; the log has all of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from slipway.api.endpoints import Endpoint
from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from slipway.api.ui import site
from slipway.graphs.registry import Registry
from slipway.health.health import REDIS_UNAVAILABLE
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.auth.conftest import Client, as_user
from tests.auth.samples import NEW, Sample, samples
from tests.auth.test_every_route import ask
from tests.auth.test_http_section import Desk
from tests.conftest import Eventually, embedded_valkey
from tests.http.conftest import Served, serving
from tests.working import working

MARK = "hush"
"""In every secret."""
ROOT = str(Path(__file__).parents[2])
ENV = {"DATABASE_URL": f"postgres://app:{MARK}-env@db-7.inside/app", "PROVIDER_KEY": f"sk-{MARK}-key"}
LEAKY = """
import os

from typing import TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    text: str


def make(config):
    raise ValueError(f"no database at {os.environ['DATABASE_URL']}")


def say(state):
    raise ConnectionError(f"cannot reach {os.environ['DATABASE_URL']}")


def embed(texts):
    raise ValueError(f"refused with the key {os.environ['PROVIDER_KEY']}")


leaky = StateGraph(State).add_node("say", say).add_edge(START, "say").compile()
"""
BROKEN = "import os\n\nraise ValueError(f\"cannot connect to {os.environ['DATABASE_URL']} from {__file__}\")\n"
AUTH = f"""
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization):
    if authorization == "Bearer broken-token":
        raise ConnectionError("ldap://admin:{MARK}-directory@10.0.0.9")
    if not authorization:
        raise Auth.exceptions.HTTPException(401, "who are you?")
    return authorization.removeprefix("Bearer ").removesuffix("-token")


@auth.on
async def own(ctx, value):
    if ctx.user.identity == "dan":
        raise ConnectionError("ldap://admin:{MARK}-directory@10.0.0.9")
    value.setdefault("metadata", {{}})["owner"] = ctx.user.identity
    return {{"owner": ctx.user.identity}}


@auth.on.assistants
async def assistants(ctx, value):
    return await own(ctx, value) and None


@auth.on.store
async def store(ctx, value):
    await own(ctx, value)
"""
GRAPHS = {
    "greet": "./graphs.py:greet",
    "broken": "./broken.py:graph",
    "made": "./leaky.py:make",
    "leaky": "./leaky.py:leaky",
}
MODES = ["values", "updates", "tasks", "checkpoints", "debug", "custom", "lifecycle"]
ROUTES: dict[str, Endpoint] = {f"{each.method} {plain_path(each.path)}": each for each in (*ENDPOINTS, *site.ENDPOINTS)}


@asynccontextmanager
async def leaking(folder: Path, url: str, keys: Keys) -> AsyncIterator[tuple[Served, Settings, Registry]]:
    """A project whose every part that can fail does, with a secret in what it raises."""
    desk = Desk(folder, url, keys)
    for name, text in (("leaky.py", LEAKY), ("broken.py", BROKEN), ("leaky_auth.py", AUTH)):
        (folder / name).write_text(text)
    store = {"index": {"dims": 3, "embed": "./leaky.py:embed", "fields": ["text"]}}
    file = desk.file(graphs=GRAPHS, env=ENV, store=store, auth={"path": "./leaky_auth.py:auth"})
    settings = Settings.of({"redis_url": url, "key_prefix": keys.prefix, "config": file, "redis_patience_web_s": 1})
    registry = await Registry.load(file)
    async with serving(settings, registry) as served:
        yield served, settings, registry


class Leaks:
    """The answers that have what no answer may have."""

    def __init__(self, *places: str) -> None:
        self._places = (MARK, "db-7.inside", "10.0.0.9", ROOT, sys.prefix, "site-packages", "Traceback", *places)
        self.found: dict[str, str] = {}
        self.looked = 0

    def look(self, what: str, answer: httpx.Response) -> None:
        """At all of an answer that was read."""
        self.looked += 1
        text = f"{answer.headers} {answer.text if answer.is_stream_consumed else ''}"
        if told := [place for place in self._places if place in text]:
            self.found[f"{what} {answer.status_code}"] = f"{told}: {text[:500]}"


async def test_no_response_has_the_text_of_an_exception(tmp_path: Path, valkey_url: str, keys: Keys) -> None:
    leaks = Leaks(str(tmp_path), valkey_url.removeprefix("unix://"))
    with capture_logs() as lines:
        async with AsyncExitStack() as stack:
            served, settings, registry = await stack.enter_async_context(leaking(tmp_path, valkey_url, keys))
            await stack.enter_async_context(working(settings, registry))
            ann = await stack.enter_async_context(as_user(served.url, "ann"))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=served.url, timeout=30))
            ids = await anns_and_failures(ann, client, leaks)
            await every_route(client, ids, leaks)
    assert leaks.found == {}
    assert leaks.looked > 3 * len(ROUTES)
    for secret in (f"{MARK}-env", f"{MARK}-key"):
        assert secret in str(lines), f"the log does not say why: {secret}"
    told = {"graph.unavailable", "graph.factory_failed", "run.raised", "store.embedding_failed", "http.request_failed"}
    assert told <= {line["event"] for line in lines}


async def anns_and_failures(ann: Client, client: httpx.AsyncClient, leaks: Leaks) -> dict[str, str]:
    """Runs that fail, of every kind and by every way to watch one; the ids of the last, for paths."""
    headers = {"authorization": "Bearer ann-token"}
    last: dict[str, str] = {}
    for graph in ("broken", "made", "leaky"):
        thread = (await ann.threads.create())["thread_id"]
        body = {"assistant_id": graph, "input": {"text": "hi"}, "stream_mode": MODES}
        for path in ("/runs", f"/threads/{thread}/runs"):
            for way in ("/wait", "/stream"):
                answer = await client.post(f"{path}{way}", json=body, headers=headers)
                leaks.look(f"{graph} {path}{way}", answer)
        made = await client.post(f"/threads/{thread}/runs", json=body | {"stream_resumable": True}, headers=headers)
        leaks.look(graph, made)
        if made.status_code == 200:
            last = {"thread_id": thread, "run_id": made.json()["run_id"]}
            for way in ("join", "stream", ""):
                answer = await client.get(f"/threads/{thread}/runs/{last['run_id']}/{way}".rstrip("/"), headers=headers)
                leaks.look(f"{graph} {way}", answer)
        for path in (f"/threads/{thread}", f"/threads/{thread}/state", f"/threads/{thread}/runs"):
            leaks.look(f"{graph} {path}", await client.get(path, headers=headers))
        for path in ("", "/graph", "/schemas", "/subgraphs", "/versions"):
            leaks.look(f"{graph} {path}", await client.get(f"/assistants/{graph}{path}", headers=headers))
        for page in (f"/ui/graphs/{graph}", f"/ui/threads/{thread}"):
            leaks.look(page, await client.get(page, headers=headers | {"accept": "text/html"}))
    cron = await ann.crons.create("greet", schedule="0 0 1 1 *", input={})
    return last | {"cron_id": cron["cron_id"], "namespace": "n", "assistant_id": "leaky", "graph_id": "leaky"}


async def every_route(client: httpx.AsyncClient, ids: dict[str, str], leaks: Leaks) -> None:
    """By nobody, by ann, by dan, about whom the auth file breaks, and by one whom it breaks on at once."""
    known = samples(ids | {"assistant_id": "broken"})
    ids = ids | {"checkpoint_id": NEW}
    for name, endpoint in ROUTES.items():
        for who in ("", "ann", "dan", "broken"):
            sample = known.get(name, Sample())
            if "runs" in name and sample.body is not None:
                sample = replace(sample, body=json.loads(json.dumps(sample.body).replace("greet", "broken")))
            answer = await ask(client, endpoint, ids, sample, who)
            leaks.look(f"{who} {name}", answer)
    for path in (
        "/nowhere",
        "/threads/",
        "/docs",
        "/openapi.json",
        "/info",
        "/metrics",
        "/readyz",
        "/ok?check_db=1",
        "/",
    ):
        leaks.look(path, await client.get(path, headers={"accept": "text/html"}))


async def test_no_response_has_the_address_of_redis(
    tmp_path: Path, keys: Keys, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(_embedded())
        path = valkey.url.removeprefix("unix://")
        leaks = Leaks(str(tmp_path), path, Path(path).parent.name)
        served, _, _ = await stack.enter_async_context(leaking(tmp_path, valkey.url, keys))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=served.url, timeout=30))
        valkey.stop()
        await eventually(lambda: any(each.code == REDIS_UNAVAILABLE for each in served.services.health.latest.findings))
        ids = dict.fromkeys(("thread_id", "run_id", "assistant_id", "cron_id", "checkpoint_id"), NEW)
        ids |= {"graph_id": "greet", "namespace": "n"}
        statuses: dict[str, int] = {}

        async def asked(name: str, endpoint: Endpoint) -> None:
            answer = await ask(client, endpoint, ids, Sample({}) if endpoint.method != "GET" else Sample(), "ann")
            statuses[name] = answer.status_code
            leaks.look(name, answer)

        await asyncio.gather(*(asked(*route) for route in ROUTES.items()))
    assert leaks.found == {}
    assert statuses["GET /threads/{thread_id}"] == 503
    assert statuses["GET /info"] == 200


class _Valkey:
    """One that a test may stop."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._server = embedded_valkey()
        self.url = self._server.__enter__()
        self._runs = True

    def stop(self) -> None:
        if self._runs:
            self._runs = False
            self._server.__exit__(None, None, None)


@asynccontextmanager
async def _embedded() -> AsyncIterator[Any]:
    valkey = _Valkey(AsyncExitStack())
    try:
        yield valkey
    finally:
        valkey.stop()
