"""Although a deployment includes every header, by name and by wildcard, no credential reaches a graph, a record or the
log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_client
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from slipway.credential_headers import is_credential
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.attacks.rows import COMMANDS, ROUTES, create_one_of_each, send, short_sample_of
from tests.http.conftest import Served, client, sdk, served, serving, worker

__all__ = ["client", "sdk", "served", "worker"]

MARK = "hush-hush"
CREDENTIALS = [
    *("authorization", "proxy-authorization", "cookie", "x-api-key", "x-tenant-id", "x-service-key", "api-key"),
    *(
        "x-amz-security-token",
        "x-csrf-token",
        "x-csrftoken",
        "x-xsrf-token",
        "x-auth-token",
        "x-access-token",
        "private-token",
    ),
    *("x-forwarded-access-token", "x-amzn-oidc-data", "x-amzn-oidc-accesstoken", "x-goog-iap-jwt-assertion"),
    *("x-rapidapi-key", "ocp-apim-subscription-key", "x-functions-key", "x-auth-key", "x-authtoken", "x-sessiontoken"),
    *("x-clientsecret", "x-userpassword", "x-passphrase", "x-auth", "authentication", "x-bearer", "dpop", "x-otp"),
    *("x-goog-api-key", "cf-access-jwt-assertion", "x-vault-token", "x-client-secret", "set-cookie"),
]
OTHER_HEADERS = [
    "x-tour-id",
    "user-agent",
    "x-request-id",
    "x-forwarded-for",
    "accept-language",
    "x-tokenizer",
    "x-user-id",
]
OTHER_HEADERS += ["idempotency-key", "x-partition-key", "x-auth-request-email", "x-keyboard", "x-compass", "x-author"]
SERVER_CONFIGURABLE = [
    "priority",
    "ceilings",
    "thread_ts",
    "checkpoint_map",
    "__pregel_checkpointer",
    "langgraph_auth_scheme",
]
"""Names in `configurable` that the server or LangGraph reads."""
GRAPHS = """
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    received: dict[str, Any]


def read_configurable(state: State, config: RunnableConfig) -> State:
    return {"received": {name: str(value) for name, value in config["configurable"].items()}}


echo = StateGraph(State).add_node("read", read_configurable).add_edge(START, "read").compile()
"""


def test_credential_headers_are_recognised_by_name() -> None:
    assert [name for name in CREDENTIALS if not is_credential(name)] == []
    assert [name for name in OTHER_HEADERS if is_credential(name)] == []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A langgraph.json that includes every header."""
    folder = tmp_path_factory.mktemp("credentials")
    (folder / "graphs.py").write_text(GRAPHS)
    everything = {"includes": ["*", "x-*", *CREDENTIALS, "Cookie"]}
    document = {
        "graphs": dict.fromkeys(("echo", "greet"), "./graphs.py:echo"),
        "http": {"configurable_headers": everything, "logging_headers": everything},
    }
    (folder / "langgraph.json").write_text(json.dumps(document))
    return folder / "langgraph.json"


@pytest.fixture(scope="module")
def graphs(project: Path) -> Registry:
    return asyncio.run(Registry.load(project))


@pytest.fixture
def settings(valkey_url: str, keys: Keys, project: Path) -> Settings:
    return Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": project})


async def everything_stored(pipeline: Pipeline, keys: Keys) -> bytes:
    """The content of all keys of the deployment. Unlike DUMP, it has short strings uncompressed."""
    contents = []
    for key in await pipeline.send("KEYS", f"{keys.prefix}*"):
        kind = (await pipeline.send("TYPE", key)).decode()
        command = {
            "string": ("GET", key),
            "hash": ("HGETALL", key),
            "list": ("LRANGE", key, 0, -1),
            "set": ("SMEMBERS", key),
            "zset": ("ZRANGE", key, 0, -1, "WITHSCORES"),
            "stream": ("XRANGE", key, "-", "+"),
        }[kind]
        contents.append(repr(await pipeline.send(*command)).encode())
    assert contents
    return b"".join(contents)


@pytest.mark.usefixtures("worker")
async def test_no_credential_reaches_a_graph_a_record_or_the_log(
    client: httpx.AsyncClient, served: Served, pipeline: Pipeline, keys: Keys
) -> None:
    headers = dict.fromkeys(CREDENTIALS, MARK) | {"x-tour-id": "tour-7"}
    run = {"assistant_id": "echo", "input": {}}
    with capture_logs() as lines:
        thread = (await client.post("/threads", json={}, headers=headers)).json()["thread_id"]
        waited = await client.post(f"/threads/{thread}/runs/wait", json=run, headers=headers)
        cron = {"assistant_id": "echo", "schedule": "0 0 1 1 *", "input": {}}
        responses = [
            waited,
            await client.post("/runs/stream", json=run, headers=headers),
            await client.post("/runs/batch", json=[run], headers=headers),
            await client.post("/runs/crons", json=cron, headers=headers),
            await client.post(f"/threads/{thread}/runs/crons", json=cron, headers=headers),
            await client.get(f"/threads/{thread}/runs", headers=headers),
            await client.get(f"/threads/{thread}/state", headers=headers),
            await client.get("/nowhere", headers=headers),
        ]
    assert waited.json()["received"]["x-tour-id"] == "tour-7"
    assert not set(CREDENTIALS) & waited.json()["received"].keys()
    assert [response.request.url.path for response in responses if MARK in response.text] == []
    (line,) = [line for line in lines if line["event"] == "http.request"]
    assert line["headers"]["x-tour-id"] == "tour-7"
    assert MARK not in str(lines)
    stored = await everything_stored(pipeline, keys)
    assert b"tour-7" in stored
    assert MARK.encode() not in stored


@pytest.mark.usefixtures("worker")
async def test_tokens_in_websocket_subprotocols_reach_no_graph(client: httpx.AsyncClient) -> None:
    headers = {"sec-websocket-protocol": MARK, "x-tour-id": "tour-7"}
    response = await client.post("/runs/wait", json={"assistant_id": "echo", "input": {}}, headers=headers)
    assert response.json()["received"]["x-tour-id"] == "tour-7"
    assert MARK not in response.text


@pytest.mark.usefixtures("worker")
async def test_a_header_never_replaces_a_configurable_of_the_server(client: httpx.AsyncClient) -> None:
    run = {"assistant_id": "echo", "input": {}, "config": {"configurable": {"priority": "high"}}}
    headers = dict.fromkeys(SERVER_CONFIGURABLE, "u=1") | {"x-tour-id": "tour-7"}
    configurable = (await client.post("/runs/wait", json=run, headers=headers)).json()["received"]
    assert (configurable["priority"], configurable["x-tour-id"]) == ("high", "tour-7")
    assert "u=1" not in configurable.values()


async def test_including_a_credential_header_logs_a_warning(settings: Settings, graphs: Registry) -> None:
    with capture_logs() as lines:
        async with serving(settings, graphs):
            pass
    warned = {
        (line["member"], line["header"]) for line in lines if line["event"] == "langgraph_json.credential_not_passed"
    }
    assert {name for key, name in warned if key == "http.configurable_headers.includes"} == set(CREDENTIALS)
    assert {name for key, name in warned if key == "http.logging_headers.includes"} == set(CREDENTIALS)


async def test_no_route_or_command_stores_or_returns_a_credential(
    client: httpx.AsyncClient, served: Served, pipeline: Pipeline, keys: Keys
) -> None:
    """Neither in a response, nor in the log, nor in Redis."""
    headers = dict.fromkeys(CREDENTIALS, MARK) | {"content-type": "application/json"}
    leaks = []
    async with get_client(url=served.url, api_key=None) as owner:
        with capture_logs() as lines:
            for name in ROUTES:
                sample, ids = short_sample_of(name, await create_one_of_each(owner))
                response = await send(client, name, ids, sample=sample, headers=headers)
                assert response.status_code < 500, name
                if MARK in str(response.headers) or (response.is_stream_consumed and MARK in response.text):
                    leaks.append(name)
            ids = await create_one_of_each(owner)
            for method, command in COMMANDS.items():
                path, frame = f"/threads/{ids['thread_id']}/commands", command.frame(ids)
                if MARK in (await client.post(path, json=frame, headers=headers)).text:
                    leaks.append(method)
            url = f"{served.url.replace('http', 'ws', 1)}/threads/{ids['thread_id']}/stream/events"
            async with connect(url, additional_headers=dict.fromkeys(CREDENTIALS, MARK)) as socket:
                await socket.send(json.dumps(COMMANDS["run.start"].frame(ids)))
                assert MARK not in str(await asyncio.wait_for(socket.recv(), 30))
    assert leaks == []
    assert MARK not in str(lines)
    assert MARK.encode() not in await everything_stored(pipeline, keys)
