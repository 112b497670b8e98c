"""Exceptions of a project may have its configuration in their text: connection strings, keys, addresses, paths. No
response has it, whoever the user is; the log has all of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from slipway.api.endpoints import Endpoint
from slipway.graphs.registry import Registry
from slipway.health.health import REDIS_UNAVAILABLE
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.attacks.rows import ROUTES, send
from tests.auth.conftest import Client, as_user
from tests.auth.samples import NEW, Sample, samples
from tests.auth.test_http_section import Desk
from tests.embedded_valkey import embedded_valkey
from tests.http.conftest import Served, serving
from tests.waiting import Eventually
from tests.worker import running_worker

MARK = "hush"
"""A part of every secret."""
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
    raise ValueError(f"rejected with the key {os.environ['PROVIDER_KEY']}")


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
    "factory": "./leaky.py:make",
    "leaky": "./leaky.py:leaky",
}
MODES = ["values", "updates", "tasks", "checkpoints", "debug", "custom", "lifecycle"]


@asynccontextmanager
async def leaking(folder: Path, url: str, keys: Keys) -> AsyncIterator[tuple[Served, Settings, Registry]]:
    """Serve a project in which every part that can fail raises an exception with a secret in its text."""
    desk = Desk(folder, url, keys)
    for name, text in (("leaky.py", LEAKY), ("broken.py", BROKEN), ("leaky_auth.py", AUTH)):
        (folder / name).write_text(text)
    store = {"index": {"dims": 3, "embed": "./leaky.py:embed", "fields": ["text"]}}
    file = desk.file(graphs=GRAPHS, env=ENV, store=store, auth={"path": "./leaky_auth.py:auth"})
    settings = Settings.from_values(
        {"redis_url": url, "key_prefix": keys.prefix, "config": file, "redis_patience_web_s": 1}
    )
    registry = await Registry.load(file)
    async with serving(settings, registry) as served:
        yield served, settings, registry


class Leaks:
    """The responses with a secret text."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = (MARK, "db-7.inside", "10.0.0.9", ROOT, sys.prefix, "site-packages", "Traceback", *secrets)
        self.found: dict[str, str] = {}
        self.checked = 0

    def check(self, request: str, response: httpx.Response) -> None:
        """Check headers and text of a response that was read."""
        self.checked += 1
        text = f"{response.headers} {response.text if response.is_stream_consumed else ''}"
        if leaked := [secret for secret in self._secrets if secret in text]:
            self.found[f"{request} {response.status_code}"] = f"{leaked}: {text[:500]}"


async def test_no_response_has_the_text_of_an_exception(tmp_path: Path, valkey_url: str, keys: Keys) -> None:
    leaks = Leaks(str(tmp_path), valkey_url.removeprefix("unix://"))
    with capture_logs() as lines:
        async with AsyncExitStack() as stack:
            served, settings, registry = await stack.enter_async_context(leaking(tmp_path, valkey_url, keys))
            await stack.enter_async_context(running_worker(settings, registry))
            ann = await stack.enter_async_context(as_user(served.url, "ann"))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=served.url, timeout=30))
            ids = await run_failures(ann, client, leaks)
            await call_every_route(client, ids, leaks)
    assert leaks.found == {}
    assert leaks.checked > 3 * len(ROUTES)
    for secret in (f"{MARK}-env", f"{MARK}-key"):
        assert secret in str(lines), f"the log lacks {secret}"
    events = {
        "graph.unavailable",
        "graph.factory_failed",
        "run.raised",
        "store.embedding_failed",
        "http.request_failed",
    }
    assert events <= {line["event"] for line in lines}


async def run_failures(ann: Client, client: httpx.AsyncClient, leaks: Leaks) -> dict[str, str]:
    """Create runs that fail in each way, and read each by every route. Returns the ids of the last one."""
    headers = {"authorization": "Bearer ann-token"}
    last: dict[str, str] = {}
    for graph in ("broken", "factory", "leaky"):
        thread = (await ann.threads.create())["thread_id"]
        body = {"assistant_id": graph, "input": {"text": "hi"}, "stream_mode": MODES}
        for path in ("/runs", f"/threads/{thread}/runs"):
            for suffix in ("/wait", "/stream"):
                response = await client.post(f"{path}{suffix}", json=body, headers=headers)
                leaks.check(f"{graph} {path}{suffix}", response)
        created = await client.post(f"/threads/{thread}/runs", json=body | {"stream_resumable": True}, headers=headers)
        leaks.check(graph, created)
        if created.status_code == 200:
            last = {"thread_id": thread, "run_id": created.json()["run_id"]}
            for suffix in ("join", "stream", ""):
                response = await client.get(
                    f"/threads/{thread}/runs/{last['run_id']}/{suffix}".rstrip("/"), headers=headers
                )
                leaks.check(f"{graph} {suffix}", response)
        for path in (f"/threads/{thread}", f"/threads/{thread}/state", f"/threads/{thread}/runs"):
            leaks.check(f"{graph} {path}", await client.get(path, headers=headers))
        for path in ("", "/graph", "/schemas", "/subgraphs", "/versions"):
            leaks.check(f"{graph} {path}", await client.get(f"/assistants/{graph}{path}", headers=headers))
        for page in (f"/ui/graphs/{graph}", f"/ui/threads/{thread}"):
            leaks.check(page, await client.get(page, headers=headers | {"accept": "text/html"}))
    cron = await ann.crons.create("greet", schedule="0 0 1 1 *", input={})
    return last | {"cron_id": cron["cron_id"], "namespace": "n", "assistant_id": "leaky", "graph_id": "leaky"}


async def call_every_route(client: httpx.AsyncClient, ids: dict[str, str], leaks: Leaks) -> None:
    """Without a token, as ann, as dan, for whom the authorize handler raises, and with a token for which the
    authenticate handler raises."""
    all_samples = samples(ids | {"assistant_id": "broken"})
    ids = ids | {"checkpoint_id": NEW, "hook": "github"}
    for name in ROUTES:
        for user in ("", "ann", "dan", "broken"):
            sample = all_samples.get(name, Sample())
            if "runs" in name and sample.body is not None:
                sample = replace(sample, body=json.loads(json.dumps(sample.body).replace("greet", "broken")))
            leaks.check(f"{user} {name}", await send(client, name, ids, user, sample))
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
        leaks.check(path, await client.get(path, headers={"accept": "text/html"}))


async def test_no_response_has_the_address_of_redis(
    tmp_path: Path, keys: Keys, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(_stoppable_valkey())
        path = valkey.url.removeprefix("unix://")
        leaks = Leaks(str(tmp_path), path, Path(path).parent.name)
        served, _, _ = await stack.enter_async_context(leaking(tmp_path, valkey.url, keys))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=served.url, timeout=30))
        valkey.stop()
        await eventually(lambda: any(each.code == REDIS_UNAVAILABLE for each in served.services.health.latest.findings))
        ids = dict.fromkeys(("thread_id", "run_id", "assistant_id", "cron_id", "checkpoint_id"), NEW)
        ids |= {"graph_id": "greet", "namespace": "n", "hook": "github"}
        statuses: dict[str, int] = {}

        async def check(name: str, endpoint: Endpoint) -> None:
            response = await send(client, name, ids, "ann", Sample({}) if endpoint.method != "GET" else Sample())
            statuses[name] = response.status_code
            leaks.check(name, response)

        await asyncio.gather(*(check(*route) for route in ROUTES.items()))
    assert leaks.found == {}
    assert statuses["GET /threads/{thread_id}"] == 503
    assert statuses["GET /info"] == 200


@dataclass(frozen=True, slots=True)
class _Valkey:
    url: str
    stop: Callable[[], None]


@contextmanager
def _stoppable_valkey() -> Iterator[_Valkey]:
    """A Valkey that the test may stop before the end."""
    with ExitStack() as stack:
        yield _Valkey(stack.enter_context(embedded_valkey()), stack.close)
