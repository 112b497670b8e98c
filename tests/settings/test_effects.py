"""Every setting has the effect that its help describes: for each setting one test fails when Slipway ignores it."""

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
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import NotFoundError

from slipway.errors import StoreUnavailable
from slipway.graphs.registry import Registry
from slipway.hooks.scripts import NewDelivery
from slipway.processes.child_commands import slipway
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Phase, new_id
from slipway.serialization.encryption import MARK
from slipway.services import Services, open_services
from slipway.settings import Settings
from tests.crash.cluster import ROOT
from tests.environment import bare_environment
from tests.http.conftest import Served, serving
from tests.runs.servers import server
from tests.settings.conftest import PROJECT, Load
from tests.waiting import wait_until
from tests.worker import running_worker

TESTED_ELSEWHERE: Final = {
    "redis_tls_verify": "tests/runs/test_tls.py::test_any_certificate_is_accepted_without_redis_tls_verify",
    "redis_ca_file": "tests/runs/test_tls.py::test_the_authority_in_redis_ca_file_is_trusted",
    "shards": "tests/redis/test_deployment_shards.py::test_another_number_than_the_stored_one_ends_each_command",
    "redis_cluster": "tests/redis/test_cluster_selection.py::test_a_cluster_that_is_not_set_as_one_is_an_error",
    "arq_redis_url": "tests/arq/test_pool.py::test_beside_a_cluster_arq_needs_a_redis_of_its_own",
    "config": "tests/dev/test_cli.py::test_config_and_host_are_read_from_the_environment",
    "data_dir": "tests/dev/test_cli.py::test_the_data_directory_is_read_from_the_environment",
    "allowed_hosts": "tests/attacks/test_foreign_hosts.py::test_an_allowed_host_name_is_served",
    "require_keys": "tests/api_keys/test_start.py::test_the_setting_says_who_needs_a_key",
    "jwt_issuer": "tests/json_web_tokens/test_tokens.py::test_a_token_of_the_issuer_has_its_owner_and_scopes",
    "jwt_audience": "tests/json_web_tokens/test_tokens.py::test_a_token_that_is_not_valid_is_refused",
    "jwt_jwks_url": "tests/json_web_tokens/test_tokens.py::test_the_keys_can_be_at_another_url",
    **dict.fromkeys(
        ("jwt_owner_claim", "jwt_scopes_claim"),
        "tests/json_web_tokens/test_tokens.py::test_other_claims_can_name_the_owner_and_the_scopes",
    ),
    "host": "tests/dev/test_cli.py::test_config_and_host_are_read_from_the_environment",
    "port": "tests/dev/test_cli.py::test_a_port_in_use_is_reported",
    "library_dir": "tests/graphs/test_research_assistant.py::test_the_answer_names_an_empty_library",
    "model": "tests/models/test_runs.py::test_each_node_has_its_route",
    "model_timeout_s": "tests/models/test_config.py::test_the_setting_is_the_time_limit_of_models_without_one",
    **dict.fromkeys(
        ("breaker_failures", "breaker_window_s", "breaker_open_s"),
        "tests/circuit_breakers/test_settings.py::test_the_settings_say_when_a_breaker_opens_and_for_how_long",
    ),
    "event_loop_limit_s": "tests/event_loop/test_event_loop_watch.py::"
    "test_a_node_that_blocks_a_worker_is_reported_while_it_blocks",
    "search_max_checks": "tests/http/test_sdk_threads.py::test_a_search_that_stops_at_its_limit_says_so",
    "arq_connections": "tests/arq/test_pool.py::test_the_connections_are_limited_and_commands_wait",
    "redis_max_connections": "tests/health/test_processes.py::test_a_connection_budget_below_the_minimum_is_rejected",
    "checkpointer": "tests/dev/test_checkpointer.py::test_missing_modules_are_reported_in_one_line",
    **{
        name: f"tests/rate_limits/test_two_processes.py::{test}"
        for name, test in {
            "rate_per_key": "test_rate_per_key_is_exact_to_one_request_over_two_processes",
            "rate_per_key_writes": "test_rate_per_key_writes_limits_only_what_may_change_something",
            "rate_per_address": "test_rate_per_address_limits_guesses_of_keys_exactly_and_not_those_who_have_one",
            "rate_shadow": "test_rate_shadow_serves_requests_above_the_rate_and_says_so",
            "max_streams_per_key": "test_max_streams_per_key_counts_all_processes_and_a_killed_one_frees_its_streams",
        }.items()
    },
    **{
        name: f"tests/connections/{test}"
        for name, test in {
            "trusted_proxies": "test_client_address.py::test_an_address_is_believed_from_trusted_proxies_only",
            "proxy_header": "test_client_address.py::test_only_the_header_of_the_setting_is_read",
            "max_connections": "test_slow_clients.py::test_one_connection_above_max_connections_gets_503",
            "max_request_line_bytes": "test_bounds.py::test_max_request_line_bytes",
            "max_headers": "test_bounds.py::test_max_headers",
            "max_header_bytes": "test_bounds.py::test_max_header_bytes",
            "max_headers_bytes": "test_bounds.py::test_max_headers_bytes",
            "max_pipelined_requests": "test_bounds.py::test_pipelined_requests_are_answered_in_order_up_to_their_limit",
            "request_head_timeout_s": "test_slow_clients.py::test_a_request_must_arrive_within_request_head_timeout_s",
            "request_body_timeout_s": "test_slow_clients.py::test_a_body_must_arrive_within_request_body_timeout_s",
            "response_read_timeout_s": "test_slow_clients.py::test_a_client_that_does_not_read_its_response_is_closed",
            "keep_alive_s": "test_slow_clients.py::test_an_idle_connection_is_closed_after_keep_alive_s",
        }.items()
    },
    **{
        name: f"tests/tracing/test_settings.py::{test}"
        for name, test in {
            "traces": "test_nothing_is_stored_with_traces_off",
            "trace_sample_ratio": "test_trace_sample_ratio_says_of_how_many_traces_spans_are_stored",
            "trace_retention_s": "test_spans_are_deleted_after_trace_retention_s",
            "trace_max_bytes": "test_the_spans_of_the_oldest_runs_go_when_all_exceed_trace_max_bytes",
            "trace_content": "test_trace_content_records_inputs_and_outputs_without_secrets_up_to_8_kib",
            "trace_run_max_bytes": "test_a_trace_says_how_many_spans_did_not_fit_into_trace_run_max_bytes",
        }.items()
    },
    **{
        name: f"tests/replication/test_runs.py::{test}"
        for name, test in {
            "replicated_to": "test_replicated_to_says_how_many_replicas_confirm",
            "replicated_on": "test_a_graph_that_needs_it_does_not_start_on_a_server_without_an_append_only_file",
            "replicated_wait_s": "test_a_request_is_answered_when_the_replica_has_the_run",
        }.items()
    },
    "metrics": "tests/metrics/test_off.py::test_without_metrics_nothing_is_counted",
    "page_session_s": "tests/browser_access/test_page_sessions.py::test_a_session_ends_after_page_session_s",
    "webhook_secret": "tests/webhooks/test_deliveries.py::test_a_receiver_can_verify_the_signature",
    "webhook_concurrency": "tests/webhooks/test_targets.py::test_a_slow_target_delays_no_other",
    "webhook_disable_after_s": "tests/webhooks/test_targets.py::test_an_endpoint_that_fails_for_days_is_disabled",
    "delivered_keep_s": "tests/webhooks/test_retention.py::test_ended_deliveries_are_kept_as_long_as_the_settings_say",
    "dead_letter_keep_s": "tests/webhooks/test_retention.py::"
    "test_ended_deliveries_are_kept_as_long_as_the_settings_say",
    "log_level": "tests/logs/test_formats.py::test_the_environment_chooses_level_and_format",
    "release": "tests/registry/test_versions.py::test_an_undeclared_version_has_the_release_in_its_name",
    "log_format": "tests/logs/test_formats.py::test_the_environment_chooses_level_and_format",
}
"""Settings whose test is in the file of their feature."""

TESTED_HERE: dict[str, str] = {}
"""All other settings, to the name of their test in this file; `covers` fills it."""

RUN: Final = {"assistant_id": "plain", "input": {}, "if_not_exists": "create"}


def covers(*settings: str) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """Declares that the test fails when Slipway ignores one of these settings."""

    def register(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        TESTED_HERE.update(dict.fromkeys(settings, test.__name__))
        return test

    return register


def test_every_setting_has_a_test() -> None:
    assert {*TESTED_HERE, *TESTED_ELSEWHERE} == set(Settings.model_fields)
    for test_id in TESTED_ELSEWHERE.values():
        file, _, name = test_id.partition("::")
        tests = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
        assert name in tests, test_id


async def submit_run(served: Served) -> str:
    """Submits a run of a graph that only workers execute, and returns the run's id."""
    async with httpx.AsyncClient(base_url=served.url) as client:
        return str((await client.post(f"/threads/{new_id()}/runs", json=RUN)).json()["run_id"])


async def phase_of(services: Services, run_id: str) -> Phase:
    return (await services.runs.find(run_id)).phase


async def distinct_values(read: Callable[[], Awaitable[float | None]], count: int = 4) -> list[float]:
    """Polls `read` until it returned `count` distinct_values values other than None, and returns these in order."""
    values: list[float] = []

    async def has_enough() -> bool:
        value = await read()
        if value is not None and value not in values:
            values.append(value)
        return len(values) >= count

    await wait_until(has_enough)
    return values


def shortest_interval_s(times_ms: list[float]) -> float:
    return min(after - before for before, after in pairwise(times_ms)) / 1000


# locations


@covers("redis_url", "key_prefix")
async def test_records_are_stored_at_this_address_under_this_prefix(
    load: Load, graphs: Registry, keys: Keys, pipeline: Pipeline
) -> None:
    async with open_services(load(), graphs, "cli") as services:
        thread, _ = await services.threads.create_or_get(new_id(), {})
    assert await pipeline.send("EXISTS", keys.thread(thread.thread_id)) == 1


# web


@covers("max_body_bytes")
async def test_a_body_above_max_body_bytes_is_rejected(load: Load, graphs: Registry) -> None:
    async with serving(load(max_body_bytes=2000), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        for size, status in ((1000, 200), (3000, 413)):
            assert (await client.post("/threads", json={"metadata": {"a": "x" * size}})).status_code == status


@covers("sse_ping_s")
async def test_an_idle_stream_gets_a_comment_every_sse_ping_s(load: Load, graphs: Registry) -> None:
    """With the default interval three comments take 15 s."""
    async with serving(load(sse_ping_s=0.1), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        started_at, comments = time.monotonic(), 0
        async with client.stream("POST", f"/threads/{new_id()}/runs/stream", json=RUN) as response:
            async for line in response.aiter_lines():
                comments += line.startswith(":")
                if comments == 3:
                    break
        assert time.monotonic() - started_at < 12


@covers("inline_budget_s")
async def test_inline_budget_s_applies_to_graphs_without_an_own_budget(load: Load, graphs: Registry) -> None:
    """The own budget of the first graph is longer than the deployment's, and shorter than the default."""
    async with (
        serving(load(inline_budget_s=0.05, drain_s=0.1), graphs) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        executions = served.services.executions
        assert executions is not None
        for graph_id in ("inline_with_budget", "inline"):
            body = RUN | {"assistant_id": graph_id, "input": {"gate": True}}
            assert (await client.post(f"/threads/{new_id()}/runs", json=body)).status_code == 200
        by_graph = {execution.run.graph_id: execution for execution in executions.current}
        await wait_until(lambda: by_graph["inline_with_budget"].drain_requested)
        assert by_graph["inline"].drain_requested


# workers


@pytest.mark.processes
@covers("worker_processes")
async def test_a_worker_command_starts_worker_processes(
    keys: Keys, pipeline: Pipeline, valkey_url: str, tmp_path: Path
) -> None:
    env = {
        "SLIPWAY_REDIS_URL": valkey_url,
        "SLIPWAY_KEY_PREFIX": keys.prefix,
        "SLIPWAY_CONFIG": str(PROJECT),
        "SLIPWAY_WORKER_PROCESSES": "2",
    }
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(slipway("worker"), env=bare_environment() | env, stdout=log, stderr=log)

    async def has_two_workers() -> bool:
        return int(await pipeline.send("ZCARD", keys.workers)) == 2

    try:
        await wait_until(has_two_workers)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)


@covers("max_runs_per_worker")
async def test_max_runs_per_worker_limits_the_runs_of_one_worker(
    load: Load, graphs: Registry, project: ModuleType
) -> None:
    await check_second_run_waits_for_first(load(max_runs_per_worker=1), graphs, project)


@covers("max_runs_per_owner")
@pytest.mark.parametrize("body", [{"metadata": {"owner": "ann"}}, {"config": {"metadata": {"owner": "ann"}}}])
async def test_max_runs_per_owner_limits_the_runs_of_one_owner(
    load: Load, graphs: Registry, project: ModuleType, body: dict[str, Any]
) -> None:
    await check_second_run_waits_for_first(load(max_runs_per_owner=1), graphs, project, **body)


async def check_second_run_waits_for_first(
    settings: Settings, graphs: Registry, project: ModuleType, **body: Any
) -> None:
    """Submits two runs, starts a worker, and checks that the second run waits until the first one ended."""
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        runs = []
        for _ in range(2):
            run_body = RUN | {"input": {"gate": True}} | body
            runs.append((await client.post(f"/threads/{new_id()}/runs", json=run_body)).json())
        first, second = runs
        async with running_worker(settings, graphs) as (_, services):

            async def first_is_running() -> bool:
                return await phase_of(services, first["run_id"]) is Phase.RUNNING

            await wait_until(first_is_running)
            assert await phase_of(services, second["run_id"]) is Phase.QUEUED
            for run in runs:
                project.gates[run["thread_id"]].set()

            async def second_is_completed() -> bool:
                return await phase_of(services, second["run_id"]) is Phase.COMPLETED

            await wait_until(second_is_completed)


@covers("lease_s")
async def test_a_lease_expires_after_lease_s(load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys) -> None:
    settings = load(lease_s=200)
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        body = RUN | {"input": {"gate": True}}
        run = (await client.post(f"/threads/{new_id()}/runs", json=body)).json()
        async with running_worker(settings, graphs):

            async def lease_end_ms() -> float | None:
                score = await pipeline.send("ZSCORE", keys.leases, run["run_id"])
                return None if score is None else float(score)

            (end_ms,) = await distinct_values(lease_end_ms, 1)
            assert end_ms / 1000 - time.time() > 100


@covers("heartbeat_s")
async def test_heartbeats_are_sent_every_heartbeat_s(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys
) -> None:
    async with running_worker(load(heartbeat_s=0.1), graphs):

        async def last_heartbeat_ms() -> float | None:
            worker_and_score = await pipeline.send("ZRANGE", keys.workers, 0, 0, "WITHSCORES")
            return float(worker_and_score[1]) if worker_and_score else None

        assert shortest_interval_s(await distinct_values(last_heartbeat_ms)) < 1


@covers("reap_every_s")
async def test_the_reaper_runs_every_reap_every_s(load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys) -> None:
    async with running_worker(load(reap_every_s=0.1, heartbeat_s=100, lease_s=300), graphs):

        async def last_round_ms() -> float | None:
            contact_ms = await pipeline.send("HGET", keys.outage_watch, "last_contact_ms")
            return None if contact_ms is None else float(contact_ms)

        assert shortest_interval_s(await distinct_values(last_round_ms)) < 0.7


@covers("reconcile_every_s")
async def test_the_reconciler_runs_every_reconcile_every_s(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys
) -> None:
    """A worker holds the duty for two rounds."""
    async with running_worker(load(reconcile_every_s=0.5), graphs):

        async def remaining_ms() -> float | None:
            ttl_ms = int(await pipeline.send("PTTL", keys.duty("reconciler")))
            return ttl_ms if ttl_ms > 0 else None

        (ttl_ms,) = await distinct_values(remaining_ms, 1)
        assert ttl_ms <= 1000


@covers("drain_s")
async def test_a_stopping_process_waits_drain_s_for_its_runs(load: Load, graphs: Registry) -> None:
    """The default is 25 s."""
    async with serving(load(drain_s=0.1), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        body = RUN | {"assistant_id": "inline", "input": {"gate": True}}
        assert (await client.post(f"/threads/{new_id()}/runs", json=body)).status_code == 200
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < 20


# redis


@pytest.mark.slow
@covers("redis_patience_web_s", "redis_patience_worker_s")
@pytest.mark.parametrize(("process", "web_s", "worker_s"), [("web", 3, 90), ("worker", 0.1, 3)])
async def test_a_command_fails_when_redis_is_unavailable_for_its_patience(
    load: Load, graphs: Registry, process: Any, web_s: float, worker_s: float
) -> None:
    """The defaults are 2 s for web processes and 90 s for workers."""
    patience = {"redis_patience_web_s": web_s, "redis_patience_worker_s": worker_s}
    async with (
        server("--maxmemory-policy", "noeviction") as valkey,
        open_services(load(redis_url=valkey.url, **patience), graphs, process) as services,
    ):
        await valkey.kill()
        sent_at = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await services.pipeline.send("PING", repeatable=True)
        assert 2.9 < time.monotonic() - sent_at < 60


@covers("redis_high_water")
async def test_runs_are_rejected_when_redis_is_above_redis_high_water(load: Load, graphs: Registry) -> None:
    async with server("--maxmemory", "1gb", "--maxmemory-policy", "noeviction") as valkey:
        for mark, status in ((0.85, 200), (0.0001, 503)):
            settings = load(redis_url=valkey.url, redis_high_water=mark)
            async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:

                async def has_status(client: httpx.AsyncClient = client, status: int = status) -> bool:
                    return (await client.post(f"/threads/{new_id()}/runs", json=RUN)).status_code == status

                await wait_until(has_status)  # the room that was measured for the other mark is used for half a second


@covers("max_store_item_bytes")
async def test_an_item_above_max_store_item_bytes_is_rejected(load: Load, graphs: Registry) -> None:
    settings = load(max_store_item_bytes=2000)
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        for size, status in ((1000, 204), (3000, 413)):
            item = {"namespace": ["a"], "key": "k", "value": {"text": "x" * size}}
            assert (await client.put("/store/items", json=item)).status_code == status


@covers("keep_checkpoints")
async def test_only_the_last_checkpoints_are_kept_when_a_run_has_ended(load: Load, graphs: Registry) -> None:
    settings = load(keep_checkpoints=2)
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        get_client(url=served.url) as client,
    ):
        thread_id = (await client.threads.create())["thread_id"]
        for _ in range(3):
            await client.runs.wait(thread_id, "plain", input={})

        async def is_pruned() -> bool:
            return len(await client.threads.get_history(thread_id, limit=50)) == 2

        await wait_until(is_pruned)
        newest, older = await client.threads.get_history(thread_id)
        assert newest["parent_checkpoint"] == older["checkpoint"]
        assert (await client.threads.get_state(thread_id, checkpoint=older["checkpoint"]))["values"] is not None
        assert older["parent_checkpoint"] is not None
        with pytest.raises(NotFoundError):
            await client.runs.create(thread_id, "plain", checkpoint=older["parent_checkpoint"])


@covers("event_ttl_s")
async def test_events_expire_after_event_ttl_s(load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys) -> None:
    settings = load(event_ttl_s=600)
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        get_client(url=served.url) as client,
    ):
        thread_id = (await client.threads.create())["thread_id"]
        await client.runs.wait(thread_id, "plain", input={})
        (run,) = await client.runs.list(thread_id)
        assert 0 < await pipeline.send("TTL", keys.events(run["run_id"])) <= 600


@covers("hook_retention_s")
async def test_deliveries_to_hooks_expire_after_hook_retention_s(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys
) -> None:
    async with open_services(load(hook_retention_s=600), graphs, "cli") as services:
        fields = {"hook": "h", "delivery_id": '"d"', "kept_headers": "{}", "digest": '""', "size": "0"}
        await services.hook_scripts.receive(NewDelivery("d", "h", fields, b"", new_id(), new_id(), None))
        assert 0 < await pipeline.send("TTL", keys.hook_delivery("d")) <= 600


@covers("encryption_key")
async def test_values_are_encrypted_with_encryption_key(load: Load, graphs: Registry) -> None:
    async with open_services(load(encryption_key="00" * 32), graphs, "cli") as services:
        assert services.checkpointer.serde.dumps_typed("x")[1][:1] == MARK


@covers("langgraph_redis_prefix")
async def test_langgraph_redis_indexes_have_the_prefix(
    load: Load, graphs: Registry, modules_url: str, keys: Keys
) -> None:
    prefix = f"{keys.prefix}-documents"
    settings = load(redis_url=modules_url, checkpointer="langgraph-redis", langgraph_redis_prefix=prefix)
    async with open_services(settings, graphs, "cli") as services:
        indexes = {name.decode() for name in await services.pipeline.send("FT._LIST")}
        assert {prefix, f"{prefix}_write"} <= indexes
        for name in (prefix, f"{prefix}_write"):
            await services.pipeline.send("FT.DROPINDEX", name)


# ceilings


@covers("max_steps", "max_node_visits", "max_retries", "max_active_s", "max_step_s")
@covers("max_state_bytes", "max_event_bytes", "max_tool_calls", "max_tokens", "max_cost_usd", "prices")
@covers("model_output_tokens")
@pytest.mark.parametrize(
    ("setting", "value", "exceeding_input", "code"),
    [
        ("max_steps", 3, {"upto": 9}, "ceiling.steps"),
        ("max_node_visits", 3, {"upto": 9}, "ceiling.node_visits"),
        ("max_retries", 3, {"fails": 9}, "ceiling.retries"),
        ("max_active_s", 0.3, {"gate": True}, "ceiling.time"),
        ("max_step_s", 0.3, {"gate": True}, "ceiling.step_time"),
        ("max_state_bytes", 65_536, {"upto": 9, "size": 20_000}, "ceiling.state_bytes"),
        ("max_event_bytes", 65_536, {"upto": 9, "size": 20_000}, "ceiling.event_bytes"),
        ("max_tool_calls", 3, {"tool_calls": 9}, "ceiling.tool_calls"),
        ("max_tokens", 1000, {"model_calls": 9}, "ceiling.tokens"),
        ("max_cost_usd", 0.005, {"model_calls": 9}, "ceiling.cost"),
    ],
)
async def test_the_ceilings_of_the_deployment_are_enforced(
    load: Load, graphs: Registry, setting: str, value: float, exceeding_input: dict[str, Any], code: str
) -> None:
    prices = '{"generic-fake-chat-model": {"input": 1, "output": 10}}'
    settings = load(max_body_bytes=60_000, prices=prices, model_output_tokens=300, **{setting: value})
    async with serving(settings, graphs) as served, running_worker(settings, graphs) as (_, services):
        async with get_client(url=served.url) as client:
            thread_id = (await client.threads.create())["thread_id"]
            await client.runs.wait(thread_id, "plain", input=exceeding_input, raise_error=False)
            (run,) = await client.runs.list(thread_id)
        error = (await services.runs.find(run["run_id"])).error
        assert error is not None
        assert (error["code"], error["limit"]) == (code, value)


@covers("max_attempts")
async def test_a_run_fails_after_max_attempts(load: Load, graphs: Registry) -> None:
    async with serving(load(max_attempts=2), graphs) as served:
        run_id, queues, attempts = await submit_run(served), served.services.queues, 0
        while await phase_of(served.services, run_id) is Phase.QUEUED:
            _, claimed, *_ = await queues[0].run_claim("worker", 1, 60_000)
            attempts += len(claimed)
            await queues[0].run_reap(event_ttl_s=60, pause_ms=0, worker="worker")
        assert attempts == 2
        assert await phase_of(served.services, run_id) is Phase.FAILED
