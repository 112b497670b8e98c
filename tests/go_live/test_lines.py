"""Each line of the checklist in red and in green, on a real server with a real project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.store import ApiKeyStore
from slipway.clock import Clock, microseconds_of
from slipway.go_live.checklist import ACCEPT, CODES, PARTS
from slipway.go_live.evidence import EvidenceStore, new_evidence
from slipway.go_live.line import Outcome
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.go_live.conftest import GRAPH, Deployment, worst
from tests.waiting import wait_until

Prepare = Callable[[Pipeline, Keys], Awaitable[Any]]

LOOP = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict):
    text: str

def think(state: State) -> dict:
    return {}

graph = (
    StateGraph(State).add_node("think", think).add_edge(START, "think")
    .add_conditional_edges("think", lambda state: "think", ["think"]).compile()
)
"""

RETRIES = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

class State(TypedDict):
    text: str

def fetch(state: State) -> dict:
    return {}

graph = (
    StateGraph(State).add_node("fetch", fetch, retry_policy=RetryPolicy(max_attempts=50))
    .add_edge(START, "fetch").compile()
)
"""

ASKS = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

class State(TypedDict):
    text: str

def ask(state: State) -> dict:
    return {"text": interrupt("really?")}

graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
"""

ASKS_IN_A_SUBGRAPH = ASKS.replace(
    'graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()',
    """inner = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile(checkpointer=CHECKPOINTER)
graph = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile()
""",
)

TOOLS = (
    GRAPH
    + """
from slipway.tools import tool

@tool(access="read")
def look(order: str) -> str:
    return order
"""
)
WRITES = TOOLS.replace('access="read"', 'access="write"')
UNTYPED = TOOLS.replace("order: str", "order")

TOOL_NODE = """
from langchain_core.tools import tool as langchain_tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from slipway.tools import tool

@langchain_tool
def mail(to: str) -> str:
    "Sends a mail."
    return to

@tool(access="read")
def look(order: str) -> str:
    return order

REGISTER
graph = StateGraph(MessagesState).add_node("tools", ToolNode([mail])).add_edge(START, "tools").compile()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What differs from a deployment with one small graph."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    code: str = GRAPH
    slipway: Mapping[str, Any] = field(default_factory=dict)
    """The section of langgraph.json."""
    members: Mapping[str, Any] = field(default_factory=dict)
    """Other members of langgraph.json."""
    config: Mapping[str, str] = field(default_factory=dict)
    """CONFIG SET, until the end of the check."""
    prepare: Prepare | None = None


NOTHING = World()


@dataclass(frozen=True, slots=True)
class Case:
    """One line in red and in green. `found` is in the red line."""

    code: str
    red: World
    outcome: Outcome
    found: str
    green: World = NOTHING


def of_graph(**members: Any) -> dict[str, Any]:
    return {"graphs": {"desk": members}}


def ceilings(**limits: float) -> dict[str, Any]:
    return of_graph(ceilings=limits)


def key(expires: str | None) -> Prepare:
    async def create(pipeline: Pipeline, keys: Keys) -> None:
        store = ApiKeyStore(ApiKeyScripts(pipeline, keys))
        await store.create(scopes=["operate"], owner=None, expires=expires, name="ci", by="test")

    return create


def recorded(kind: str, days_ago: float) -> Prepare:
    async def record(pipeline: Pipeline, keys: Keys) -> None:
        now_us = microseconds_of(Clock().now())
        at_us = now_us - int(days_ago * 86_400 * 1_000_000)
        await EvidenceStore(pipeline, keys).record(new_evidence(kind, at_us, "ann", "300 runs/s", now_us))

    return record


def evidence(kind: str, old_days: float) -> list[Case]:
    code = f"evidence.{kind.replace('-', '_')}"
    green = World(prepare=recorded(kind, 0.5))
    return [
        Case(code, NOTHING, Outcome.WARN, "none on file", green),
        Case(code, World(prepare=recorded(kind, old_days)), Outcome.WARN, "too old", green),
    ]


POLICY = {"groups": ["finance"], "due_s": 3600, "remind_s": 600}
GRANT = {"effect": "permit", "graph": "desk", "nodes": ["answer"], "tools": ["look"]}
HOOK = {
    "hooks": {
        "gh": {
            "assistant": "desk",
            "input": {"text": "body.x"},
            "verify": {"scheme": "github", "secret_env": "GH"},
        }
    }
}
KEY = "A" * 43 + "="
WARN, FAIL = Outcome.WARN, Outcome.FAIL

CASES = (
    # Redis
    Case("redis.eviction", World(config={"maxmemory-policy": "allkeys-lru"}), FAIL, "evicts runs and checkpoints"),
    Case("redis.persistence", World(config={"appendonly": "no", "save": ""}), FAIL, "loses everything"),
    Case("redis.persistence", World(config={"appendonly": "no", "save": "60 1"}), WARN, "last snapshot"),
    Case("redis.persistence", World(config={"appendfsync": "no"}), WARN, "appendfsync no"),
    Case("redis.memory", World(config={"maxmemory": "0"}), WARN, "maxmemory is not set"),
    Case("redis.memory", World(config={"maxmemory": "1mb"}), FAIL, "new runs are rejected"),
    Case("redis.connections", World(config={"maxclients": "3"}), WARN, "rolling deploy"),
    # ceilings
    Case("project.graphs", World(code="raise ImportError('no such wheel')"), FAIL, "no such wheel"),
    Case(
        "ceilings.loops", World(code=LOOP, slipway=ceilings(max_steps=9000)), WARN, "9000 supersteps", World(code=LOOP)
    ),
    Case(
        "ceilings.loops",
        World(code=LOOP + "graph = graph.with_config(recursion_limit=25)"),
        WARN,
        "recursion_limit of the graph (with_config) is 25, below max_steps 500",
        World(code=LOOP + "graph = graph.with_config(recursion_limit=25)", slipway=ceilings(max_steps=25)),
    ),
    Case("ceilings.retries", World(slipway=ceilings(max_attempts=50)), WARN, "tried 50 times"),
    Case("ceilings.retries", World(slipway=ceilings(max_retries=500)), WARN, "retried 500 times"),
    Case(
        "ceilings.retries",
        World(code=RETRIES),
        WARN,
        "permits 49 retries, and max_retries 20",
        World(code=RETRIES, slipway=ceilings(max_retries=49)),
    ),
    Case("ceilings.time", World(slipway=ceilings(max_active_s=200_000)), WARN, "55.5556 hours"),
    Case("ceilings.time", World(slipway=ceilings(max_active_s=60)), WARN, "max_step_s 600 is above max_active_s 60"),
    Case(
        "ceilings.spend",
        World(slipway={"models": {"writer": ["openai:gpt-5"]}}),
        WARN,
        "nothing limits what models cost",
        World(slipway={"models": {"writer": ["openai:gpt-5"]}} | ceilings(max_tokens=1000)),
    ),
    Case(
        "ceilings.spend",
        World(settings={"model": "openai:gpt-5"}),
        WARN,
        "SLIPWAY_MODEL is set",
        World(settings={"model": "openai:gpt-5"}, slipway={"budgets": {"graph": {"day": {"cost_usd": 5}}}}),
    ),
    Case("ceilings.spend", World(slipway=ceilings(max_tool_calls=5000)), WARN, "5000 calls of tools"),
    # tools
    Case("tools.load", World(slipway={"tools": {"look": {}}}), FAIL, "no code declares this tool", World(code=TOOLS)),
    Case(
        "tools.schemas",
        World(code=UNTYPED),
        WARN,
        "nothing validates order",
        World(code=UNTYPED, slipway={"tools": {"look": {"args_schema": {"type": "object"}}}, "grants": [GRANT]}),
    ),
    Case("tools.schemas", World(code=UNTYPED.replace('"read"', '"write"')), FAIL, "nothing validates order"),
    Case("tools.pinned", World(slipway={"mcp": {"crm": {"url": "http://127.0.0.1:1/mcp"}}}), FAIL, "not pinned"),
    Case(
        "tools.registered",
        World(code=TOOL_NODE.replace("REGISTER", "")),
        WARN,
        "pass no gateway: mail",
        World(code=TOOL_NODE.replace("REGISTER", 'tool(access="read")(mail)')),
    ),
    Case(
        "tools.approval",
        World(code=WRITES),
        WARN,
        "nobody is asked",
        World(code=WRITES, slipway={"tools": {"look": {"approval": "always"}}, "grants": [GRANT]}),
    ),
    Case("tools.grants", World(code=TOOLS), WARN, "every node", World(code=TOOLS, slipway={"grants": [GRANT]})),
    Case(
        "tools.grants",
        World(code=TOOLS, slipway={"grants": [{"effect": "permit", "graph": "desk", "tools": ["look"]}]}),
        WARN,
        "all nodes of a graph may call: look",
        World(code=TOOLS, slipway={"grants": [GRANT]}),
    ),
    # questions
    Case(
        "interrupts.checkpointer",
        World(code=ASKS_IN_A_SUBGRAPH.replace("CHECKPOINTER", "False")),
        WARN,
        "checkpointer=False",
        World(code=ASKS_IN_A_SUBGRAPH.replace("CHECKPOINTER", "None")),
    ),
    *(
        Case(code, World(code=ASKS), WARN, found, World(code=ASKS, slipway={"reviews": {"desk": POLICY}}))
        for code, found in (
            ("reviews.policy", "alone"),
            ("reviews.due", "waits for ever"),
            ("reviews.escalation", "nobody is reminded"),
        )
    ),
    Case(
        "reviews.due",
        World(slipway={"approval_policies": {"boss": {"quorum": 2}}}),
        WARN,
        "waits for ever",
        World(slipway={"approval_policies": {"boss": POLICY}}),
    ),
    # observation
    Case("metrics.counted", World(settings={"metrics": False}), WARN, "nothing is counted"),
    Case("traces.kept", World(settings={"traces": False}), WARN, "no trace of a run is stored"),
    Case("traces.kept", World(settings={"trace_sample_ratio": 0.01}), WARN, "1% of the traces"),
    Case("logs.format", World(settings={"log_format": "text"}), WARN, "text for people"),
    Case("logs.format", World(settings={"log_level": "error"}), WARN, "hides"),
    Case(
        "traces.exported",
        World(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}),
        WARN,
        "cannot be reached",
    ),
    Case(
        "traces.exported",
        World(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "none"}),
        FAIL,
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    # access
    Case(
        "access.required",
        World(settings={"host": "0.0.0.0", "require_keys": False}),
        FAIL,
        "everybody who reaches 0.0.0.0",
        World(settings={"host": "0.0.0.0"}, prepare=key(None)),
    ),
    Case(
        "access.required",
        World(settings={"host": "0.0.0.0"}),
        FAIL,
        "there is none",
        World(members={"auth": {"path": "./DESK.py:auth"}}),
    ),
    Case(
        "access.required",
        NOTHING,
        WARN,
        "this machine",
        World(settings={"jwt_issuer": "https://a.example", "jwt_audience": "b"}),
    ),
    Case("access.keys", World(prepare=key(None)), WARN, "never expire: ci", World(prepare=key("90d"))),
    Case(
        "access.secrets",
        World(environment={"SLIPWAY_ENCRYPTION_KEY": KEY}),
        WARN,
        "variable of the environment",
        World(environment={"SLIPWAY_ENCRYPTION_KEY_FILE": "/run/secrets/key"}),
    ),
    Case(
        "access.secrets", World(members={"env": {"SLIPWAY_WEBHOOK_SECRET": "a long and secret text"}}), FAIL, "wherever"
    ),
    Case("access.secrets", World(environment={"REDIS_URL": "redis://:pass@h:1"}), WARN, "variable of the environment"),
    Case("encryption.at_rest", NOTHING, WARN, "stored as they are", World(settings={"encryption_key": KEY})),
    *(
        Case("access.secrets", World(members={"env": {name: value}}), FAIL, "wherever the code is")
        for name, value in (
            ("OPENAI_API_KEY", "sk-1234567890"),
            ("REDIS_URL", "redis://:pass@h:1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer x"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=Bearer x"),
            ("DATABASE_URL", "postgres://ann:pass@db/main"),
        )
    ),
    Case("access.secrets", World(members={"env": {"GH": "a secret"}}, slipway=HOOK), FAIL, "wherever the code is"),
    Case(
        "access.secrets",
        World(environment={"ANTHROPIC_API_KEY": "sk-1"}),
        WARN,
        "variable of the environment",
        World(environment={"MAX_TOKENS": "5", "TOKEN_FILE": "/run/x", "REDIS_URL": "redis://h:1", "API_KEY": ""}),
    ),
    # webhooks
    Case("webhooks.signed", NOTHING, WARN, "not signed", World(settings={"webhook_secret": "a long secret text"})),
    Case("webhooks.signed", NOTHING, WARN, "not signed", World(members={"http": {"disable_webhooks": True}})),
    Case(
        "hooks.signed",
        World(slipway=HOOK),
        FAIL,
        "GH",
        World(
            slipway=HOOK,
            environment={"GH": "a secret of GitHub"},
        ),
    ),
    # retention
    Case("retention.threads", NOTHING, WARN, "for ever", World(members={"checkpointer": {"ttl": {"default_ttl": 60}}})),
    Case(
        "retention.threads",
        World(settings={"keep_checkpoints": 5}),
        WARN,
        "last checkpoints only",
        World(members={"checkpointer": {"ttl": {"default_ttl": 60}}}),
    ),
    Case("retention.events", World(settings={"event_ttl_s": 90 * 86_400}), WARN, "90 days"),
    Case("retention.traces", World(settings={"trace_retention_s": 365 * 86_400}), WARN, "365 days"),
    Case("retention.traces", World(settings={"trace_retention_s": 3600}), WARN, "in the morning"),
    Case("retention.deliveries", World(settings={"delivered_keep_s": 366 * 86_400}), WARN, "366 days"),
    Case("retention.deliveries", World(settings={"dead_letter_keep_s": 60}), WARN, "before somebody can replay"),
    # evidence
    *evidence("load-test", 200),
    *evidence("failure-test", 200),
    *evidence("restore-test", 200),
    *evidence("backup", 2),
)

PART_OF = {part.name: part.codes for part in PARTS}

ELSEWHERE = {
    "health": "test_server.py::test_the_findings_of_readyz_are_lines",
    "redis.version": "test_server.py::test_what_a_managed_server_forbids_is_a_warning",
    "redis.failover": "test_server.py::test_a_replica_is_counted_and_is_not_written_to",
    "redis.tls": "test_server.py::test_how_redis_is_reached",
    "redis.clock": "test_server.py::test_a_clock_that_is_wrong",
    "records.consistent": "test_command.py::test_problems_of_records_fail_until_they_are_repaired",
    "workers.alive": "test_workers.py::test_live_workers_serve_every_version",
    "versions.served": "test_workers.py::test_live_workers_serve_every_version",
    "workers.mixed": "test_workers.py::test_workers_of_two_releases_are_a_warning",
    "durability.runs": "test_workers.py::test_runs_that_store_nothing_are_a_warning",
    "reviews.overdue": "test_workers.py::test_an_overdue_review_is_a_warning",
    "threads.resume": "test_workers.py::test_threads_that_could_not_continue_fail",
    "webhooks.endpoints": "test_server.py::test_disabled_endpoints_are_a_warning",
    "webhooks.dead_letters": "test_server.py::test_webhooks_that_nobody_accepts_are_a_warning",
    ACCEPT: "test_command.py::test_accepted_warnings",
}
"""Where the lines are tested that need more than one deployment with one change."""


@asynccontextmanager
async def configured(pipeline: Pipeline, config: Mapping[str, str]) -> AsyncIterator[None]:
    before = {name: (await pipeline.send("CONFIG", "GET", name))[1].decode() for name in config}
    for name, value in config.items():
        await pipeline.send("CONFIG", "SET", name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            await pipeline.send("CONFIG", "SET", name, value)
        if "appendonly" in before:  # until then the server rejects SIGTERM
            await wait_until(lambda: _is_written(pipeline))


async def _is_written(pipeline: Pipeline) -> bool:
    """Whether the append-only file is complete."""
    info = await pipeline.send("INFO", "persistence")
    return b"aof_rewrite_in_progress:0" in info and b"aof_rewrite_scheduled:0" in info


@pytest.mark.parametrize("colour", ["red", "green"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}: {case.found[:24]}")
async def test_each_line_is_red_and_green(case: Case, colour: str, deployment: Deployment, pipeline: Pipeline) -> None:
    world = case.red if colour == "red" else case.green
    config = deployment.project(world.code, slipway=dict(world.slipway), **world.members)
    if world.prepare is not None:
        await world.prepare(pipeline, deployment.keys)
    part = next(name for name in PART_OF if case.code in PART_OF[name])
    async with configured(pipeline, world.config):
        checklist = await deployment.check(config, part, environment=world.environment, **world.settings)
    line = worst(checklist.lines, case.code)
    if colour == "green":
        assert line.outcome is Outcome.PASS, line
        return
    assert (line.outcome, case.found in line.found) == (case.outcome, True), line
    assert line.fix, "each warning and each failure has a fix"


def test_every_code_is_tested_in_red_and_green() -> None:
    assert {case.code for case in CASES} | ELSEWHERE.keys() == CODES.keys()
    assert not {case.code for case in CASES} & ELSEWHERE.keys()
