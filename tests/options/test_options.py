"""Every option does what its help says: for each there is a test that fails when it is ignored."""

from __future__ import annotations

import ast
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx
import orjson
import pytest
from langgraph_sdk import get_client

from slipway.errors import StoreUnavailable
from slipway.graphs.registry import Registry
from slipway.processes.child_commands import slipway
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Phase, new_id
from slipway.serialization.encryption import MARK
from slipway.services import Services, open_services
from slipway.settings import Settings
from tests.conftest import bare_environment, wait_until
from tests.crash.cluster import ROOT
from tests.http.conftest import Served, serving
from tests.http.test_sse import asked
from tests.options.conftest import PROJECT, Load
from tests.runs.servers import server
from tests.working import working

ELSEWHERE: Final = {
    "redis_tls_verify": "tests/runs/test_tls.py::test_any_certificate_is_accepted_when_the_settings_say_so",
    "redis_ca_file": "tests/runs/test_tls.py::test_one_authority_is_trusted_where_its_file_is_named",
    "config": "tests/dev/test_cli.py::test_where_things_are",
    "data_dir": "tests/dev/test_cli.py::test_the_data_directory",
    "allowed_hosts": "tests/attacks/test_foreign_hosts.py::test_a_name_that_is_allowed_is_served",
    "host": "tests/dev/test_cli.py::test_where_things_are",
    "port": "tests/dev/test_cli.py::test_a_port_in_use",
    "library_dir": "tests/graphs/test_research_assistant.py::test_an_empty_library_is_told_plainly",
    "model": "tests/graphs/test_research_assistant.py::test_a_model_words_the_answer_and_invented_marks_are_taken_out",
    "redis_max_connections": "tests/health/test_processes.py::test_a_budget_below_what_is_needed_is_refused_by_name",
    "checkpointer": "tests/dev/test_checkpointer.py::test_a_server_without_the_modules_is_one_line",
    "webhook_secret": "tests/webhooks/test_deliveries.py::test_the_signature_can_be_checked",
    "log_level": "tests/test_logs.py::test_the_environment_chooses_level_and_format",
    "log_format": "tests/test_logs.py::test_the_environment_chooses_level_and_format",
}
"""Options whose tests are where the rest of the matter is tested."""

SHOWN: dict[str, str] = {}
"""The others, and their tests in this file."""

RUN: Final = {"assistant_id": "plain", "input": {}, "if_not_exists": "create"}


def shows(*options: str) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """The test fails when one of these options is ignored."""

    def noted(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        SHOWN.update(dict.fromkeys(options, test.__name__))
        return test

    return noted


def test_every_option_has_a_test() -> None:
    assert {*SHOWN, *ELSEWHERE} == set(Settings.model_fields)
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        tests = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
        assert name in tests, place


async def waiting(served: Served) -> str:
    """A run that no worker executes."""
    async with httpx.AsyncClient(base_url=served.url) as client:
        return str((await client.post(f"/threads/{new_id()}/runs", json=RUN)).json()["run_id"])


async def phase(services: Services, run_id: str) -> Phase:
    return (await services.runs.find(run_id)).phase


async def different(read: Callable[[], Awaitable[float | None]], count: int = 4) -> list[float]:
    """The first values of something that changes, one after the other."""
    found: list[float] = []

    async def enough() -> bool:
        now = await read()
        if now is not None and now not in found:
            found.append(now)
        return len(found) >= count

    await wait_until(enough)
    return found


def shortest(times_ms: list[float]) -> float:
    """The least time between two of them, in seconds."""
    return min(after - before for before, after in pairwise(times_ms)) / 1000


# where things are


@shows("redis_url", "key_prefix")
async def test_the_server_and_the_names_on_it(load: Load, graphs: Registry, keys: Keys, pipeline: Pipeline) -> None:
    async with open_services(load(), graphs, "cli") as services:
        thread, _ = await services.threads.create_or_get(new_id(), {})
    assert await pipeline.send("EXISTS", keys.thread(thread.thread_id)) == 1


# web


@shows("max_body_bytes")
async def test_a_body_that_is_too_large(load: Load, graphs: Registry) -> None:
    async with serving(load(max_body_bytes=2000), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        for size, status in ((1000, 200), (3000, 413)):
            assert (await client.post("/threads", json={"metadata": {"a": "x" * size}})).status_code == status


@shows("sse_ping_s")
async def test_comments_on_an_idle_stream(load: Load, graphs: Registry) -> None:
    """By default three of them take 15 s."""
    async with serving(load(sse_ping_s=0.1), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        began, beats = time.monotonic(), 0
        async with client.stream("POST", f"/threads/{new_id()}/runs/stream", json=RUN) as answer:
            async for line in answer.aiter_lines():
                beats += line.startswith(":")
                if beats == 3:
                    break
        assert time.monotonic() - began < 12


@shows("sse_buffer_events")
async def test_how_far_a_client_may_fall_behind(load: Load, graphs: Registry) -> None:
    """What happens to a client that is too far behind is tested where streams are (`tests/http/test_sse.py`)."""
    async with serving(load(sse_buffer_events=10), graphs) as served:
        body = orjson.dumps(RUN)
        async with asked(served.url, f"/threads/{new_id()}/runs/stream", body):
            await wait_until(served.app.state.open_responses.__len__)
            (buffer,) = served.app.state.open_responses
            buffer.put([b": event\r\n"] * 10, 10)
            assert not buffer.is_full
            buffer.put([b": event\r\n"])
            assert buffer.is_full


@shows("inline_budget_s")
async def test_the_budget_of_graphs_that_have_none_of_their_own(load: Load, graphs: Registry) -> None:
    """The other graph's own budget is longer than this one, and shorter than the default."""
    async with (
        serving(load(inline_budget_s=0.05, drain_s=0.1), graphs) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        executions = served.services.executions
        assert executions is not None
        for graph_id in ("briefly_here", "here"):
            body = RUN | {"assistant_id": graph_id, "input": {"gate": True}}
            assert (await client.post(f"/threads/{new_id()}/runs", json=body)).status_code == 200
        drained = {execution.run.graph_id: execution for execution in executions.current}
        await wait_until(lambda: drained["briefly_here"].drain_requested)
        assert drained["here"].drain_requested


# workers


@pytest.mark.processes
@shows("worker_processes")
async def test_the_processes_of_a_worker(keys: Keys, pipeline: Pipeline, valkey_url: str, tmp_path: Path) -> None:
    env = {
        "SLIPWAY_REDIS_URL": valkey_url,
        "SLIPWAY_KEY_PREFIX": keys.prefix,
        "SLIPWAY_CONFIG": str(PROJECT),
        "SLIPWAY_WORKER_PROCESSES": "2",
    }
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(slipway("worker"), env=bare_environment() | env, stdout=log, stderr=log)

    async def both() -> bool:
        return int(await pipeline.send("ZCARD", keys.workers)) == 2

    try:
        await wait_until(both)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)


@shows("max_runs_per_worker")
async def test_the_runs_of_one_worker(load: Load, graphs: Registry, project: ModuleType) -> None:
    await one_waits_for_the_other(load(max_runs_per_worker=1), graphs, project)


@shows("max_runs_per_owner")
@pytest.mark.parametrize("body", [{"metadata": {"owner": "ann"}}, {"config": {"metadata": {"owner": "ann"}}}])
async def test_the_runs_of_one_owner(load: Load, graphs: Registry, project: ModuleType, body: dict[str, Any]) -> None:
    await one_waits_for_the_other(load(max_runs_per_owner=1), graphs, project, **body)


async def one_waits_for_the_other(settings: Settings, graphs: Registry, project: ModuleType, **body: Any) -> None:
    """Of two runs that are there when the worker starts."""
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        runs = []
        for _ in range(2):
            asked = RUN | {"input": {"gate": True}} | body
            runs.append((await client.post(f"/threads/{new_id()}/runs", json=asked)).json())
        first, second = runs
        async with working(settings, graphs) as (_, services):

            async def begun() -> bool:
                return await phase(services, first["run_id"]) is Phase.RUNNING

            await wait_until(begun)
            assert await phase(services, second["run_id"]) is Phase.QUEUED
            for run in runs:
                project.gates[run["thread_id"]].set()

            async def over() -> bool:
                return await phase(services, second["run_id"]) is Phase.COMPLETED

            await wait_until(over)


@shows("lease_s")
async def test_the_lease_of_a_run(load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys) -> None:
    settings = load(lease_s=200)
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        body = RUN | {"input": {"gate": True}}
        run = (await client.post(f"/threads/{new_id()}/runs", json=body)).json()
        async with working(settings, graphs):

            async def ends_ms() -> float | None:
                score = await pipeline.send("ZSCORE", keys.leases, run["run_id"])
                return None if score is None else float(score)

            (end_ms,) = await different(ends_ms, 1)
            assert end_ms / 1000 - time.time() > 100


@shows("heartbeat_s")
async def test_the_pause_between_heartbeats(load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys) -> None:
    async with working(load(heartbeat_s=0.1), graphs):

        async def beat_ms() -> float | None:
            held = await pipeline.send("ZRANGE", keys.workers, 0, 0, "WITHSCORES")
            return float(held[1]) if held else None

        assert shortest(await different(beat_ms)) < 1


@shows("reap_every_s")
async def test_the_pause_between_looks_for_dead_workers(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys
) -> None:
    async with working(load(reap_every_s=0.1, heartbeat_s=100, lease_s=300), graphs):

        async def look_ms() -> float | None:
            seen = await pipeline.send("HGET", f"{keys.prefix}:outage_watch", "last_contact_ms")
            return None if seen is None else float(seen)

        assert shortest(await different(look_ms)) < 0.7


@shows("reconcile_every_s")
async def test_the_pause_between_looks_for_stuck_runs(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys
) -> None:
    """A worker takes the duty for two rounds."""
    async with working(load(reconcile_every_s=0.5), graphs):

        async def kept_ms() -> float | None:
            left = int(await pipeline.send("PTTL", keys.duty("reconcile")))
            return left if left > 0 else None

        (left_ms,) = await different(kept_ms, 1)
        assert left_ms <= 1000


@shows("drain_s")
async def test_how_long_a_process_that_stops_waits_for_its_runs(load: Load, graphs: Registry) -> None:
    """By default that is 25 s."""
    async with serving(load(drain_s=0.1), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        body = RUN | {"assistant_id": "here", "input": {"gate": True}}
        assert (await client.post(f"/threads/{new_id()}/runs", json=body)).status_code == 200
        began = time.monotonic()
    assert time.monotonic() - began < 20


# redis


@pytest.mark.slow
@shows("redis_patience_web_s", "redis_patience_worker_s")
@pytest.mark.parametrize(("process", "web_s", "worker_s"), [("web", 3, 90), ("worker", 0.1, 3)])
async def test_how_long_a_redis_that_is_away_is_waited_for(
    load: Load, graphs: Registry, process: Any, web_s: float, worker_s: float
) -> None:
    """By default that is 2 s and 90 s."""
    patience = {"redis_patience_web_s": web_s, "redis_patience_worker_s": worker_s}
    async with (
        server("--maxmemory-policy", "noeviction") as valkey,
        open_services(load(redis_url=valkey.url, **patience), graphs, process) as services,
    ):
        await valkey.kill()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await services.pipeline.send("PING", repeatable=True)
        assert 2.9 < time.monotonic() - began < 60


@shows("redis_high_water")
async def test_how_full_redis_may_be(load: Load, graphs: Registry) -> None:
    async with server("--maxmemory", "1gb", "--maxmemory-policy", "noeviction") as valkey:
        for mark, status in ((0.85, 200), (0.0001, 503)):
            settings = load(redis_url=valkey.url, redis_high_water=mark)
            async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
                assert (await client.post(f"/threads/{new_id()}/runs", json=RUN)).status_code == status


@shows("max_store_item_bytes")
async def test_an_item_that_is_too_large(load: Load, graphs: Registry) -> None:
    settings = load(max_store_item_bytes=2000)
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        for size, status in ((1000, 204), (3000, 413)):
            item = {"namespace": ["a"], "key": "k", "value": {"text": "x" * size}}
            assert (await client.put("/store/items", json=item)).status_code == status


@shows("event_ttl_s")
async def test_how_long_events_are_kept(load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys) -> None:
    settings = load(event_ttl_s=600)
    async with serving(settings, graphs) as served, working(settings, graphs), get_client(url=served.url) as client:
        thread_id = (await client.threads.create())["thread_id"]
        await client.runs.wait(thread_id, "plain", input={})
        (run,) = await client.runs.list(thread_id)
        assert 0 < await pipeline.send("TTL", keys.events(run["run_id"])) <= 600


@shows("encryption_key")
async def test_states_are_sealed(load: Load, graphs: Registry) -> None:
    async with open_services(load(encryption_key="00" * 32), graphs, "cli") as services:
        assert services.checkpointer.serde.dumps_typed("x")[1][:1] == MARK


@shows("langgraph_redis_prefix")
async def test_the_names_of_documents(load: Load, graphs: Registry, modules_url: str, keys: Keys) -> None:
    prefix = f"{keys.prefix}-documents"
    settings = load(redis_url=modules_url, checkpointer="langgraph-redis", langgraph_redis_prefix=prefix)
    async with open_services(settings, graphs, "cli") as services:
        indexes = {name.decode() for name in await services.pipeline.send("FT._LIST")}
        assert {prefix, f"{prefix}_write"} <= indexes
        for name in (prefix, f"{prefix}_write"):
            await services.pipeline.send("FT.DROPINDEX", name)


# ceilings


@shows("max_steps", "max_node_visits", "max_retries", "max_active_s", "max_step_s")
@shows("max_state_bytes", "max_event_bytes")
@pytest.mark.parametrize(
    ("option", "value", "given", "code"),
    [
        ("max_steps", 3, {"upto": 9}, "ceiling.steps"),
        ("max_node_visits", 3, {"upto": 9}, "ceiling.node_visits"),
        ("max_retries", 3, {"fails": 9}, "ceiling.retries"),
        ("max_active_s", 0.3, {"gate": True}, "ceiling.time"),
        ("max_step_s", 0.3, {"gate": True}, "ceiling.step_time"),
        ("max_state_bytes", 65_536, {"upto": 9, "size": 20_000}, "ceiling.state_bytes"),
        ("max_event_bytes", 65_536, {"upto": 9, "size": 20_000}, "ceiling.event_bytes"),
    ],
)
async def test_a_ceiling(
    load: Load, graphs: Registry, option: str, value: float, given: dict[str, Any], code: str
) -> None:
    settings = load(max_body_bytes=60_000, **{option: value})
    async with serving(settings, graphs) as served, working(settings, graphs) as (_, services):
        async with get_client(url=served.url) as client:
            thread_id = (await client.threads.create())["thread_id"]
            await client.runs.wait(thread_id, "plain", input=given, raise_error=False)
            (run,) = await client.runs.list(thread_id)
        error = (await services.runs.find(run["run_id"])).error
        assert error is not None
        assert (error["code"], error["limit"]) == (code, value)


@shows("max_attempts")
async def test_the_ceiling_of_attempts(load: Load, graphs: Registry) -> None:
    async with serving(load(max_attempts=2), graphs) as served:
        run_id, scripts, attempts = await waiting(served), served.services.scripts, 0
        while await phase(served.services, run_id) is Phase.QUEUED:
            _, claimed = await scripts.run_claim("worker", 1, 60_000)
            attempts += len(claimed)
            await scripts.run_reap(event_ttl_s=60, pause_ms=0, worker="worker")
        assert attempts == 2
        assert await phase(served.services, run_id) is Phase.FAILED


@pytest.mark.parametrize("name", ["max_tool_calls", "max_tokens", "max_cost_usd"])
async def test_a_ceiling_that_is_not_counted_is_refused(load: Load, graphs: Registry, name: str) -> None:
    async with serving(load(), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        body = RUN | {"config": {"configurable": {"ceilings": {name: 5}}}}
        refused = await client.post(f"/threads/{new_id()}/runs", json=body)
        assert refused.status_code == 422
        assert f"config.configurable.ceilings.{name}" in refused.text
        assert "cannot be enforced" in refused.text
        run = (await client.post(f"/threads/{new_id()}/runs", json=RUN)).json()
        assert name not in run["ceilings"]
