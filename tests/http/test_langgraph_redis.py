"""The tests of the SDK again, with the checkpointer `langgraph-redis`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.redis.connection_budget import needed
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.services import open_services
from slipway.settings import Settings
from tests.http.conftest import PING_S, PROJECT, Served
from tests.http.test_sdk_runs import (  # noqa: F401
    test_a_busy_thread_rejects_writes_and_deletions,
    test_a_cancelled_run_is_interrupted_and_cannot_be_cancelled_again,
    test_a_command_updates_the_state_and_jumps_to_a_node,
    test_a_disconnect_cancels_the_run_with_on_disconnect_cancel,
    test_a_failed_run_returns_its_error,
    test_a_fork_starts_at_an_earlier_checkpoint,
    test_a_rollback_deletes_the_run_and_restores_the_state,
    test_a_run_stops_at_a_breakpoint_and_the_next_run_continues,
    test_a_stream_begins_with_metadata_and_ends_with_the_result,
    test_an_inline_graph_returns_the_same_values_and_events,
    test_an_interrupt_is_answered_by_a_new_run,
    test_if_not_exists_create_creates_the_thread,
    test_runs_are_listed_and_deleted,
    test_wait_returns_the_last_values,
)
from tests.http.test_sdk_threads import (  # noqa: F401
    test_a_state_is_read_at_every_checkpoint,
    test_a_state_is_written_and_forked,
    test_a_thread_is_imported_superstep_by_superstep,
    test_a_thread_that_never_ran_has_an_empty_state,
    test_the_states_of_subgraphs_are_read_and_written,
    test_threads_are_created_changed_and_deleted,
)

pytestmark = pytest.mark.usefixtures("worker")


def settings_of(url: str, keys: Keys, **overrides: object) -> Settings:
    values = {
        "redis_url": url,
        "key_prefix": keys.prefix,
        "langgraph_redis_prefix": f"{keys.prefix}-documents",
        "checkpointer": "langgraph-redis",
        "config": PROJECT,
        "sse_ping_s": PING_S,
        "max_body_bytes": 64 * 1024,
    }
    return Settings.from_values(values | overrides)


@pytest.fixture
async def settings(modules_url: str, pipeline: Pipeline, keys: Keys) -> AsyncIterator[Settings]:
    """Deletes the search indexes of the checkpointer after the test."""
    settings = settings_of(modules_url, keys)
    yield settings
    for index in ("", "_write"):
        await pipeline.send("FT.DROPINDEX", f"{settings.langgraph_redis_prefix}{index}")


@pytest.fixture
def valkey_url(modules_url: str) -> str:
    """The server with the modules that `langgraph-redis` needs."""
    return modules_url


async def test_info_names_the_checkpointer_and_its_packages(client: httpx.AsyncClient, served: Served) -> None:
    checkpointer = (await client.get("/info")).json()["checkpointer"]
    assert checkpointer["kind"] == "langgraph-redis"
    assert set(checkpointer["packages"]) == {"langgraph-checkpoint-redis", "redisvl"}


async def test_the_checkpointer_shares_the_connections_of_the_process(served: Served, pipeline: Pipeline) -> None:
    clients = (await pipeline.send("CLIENT", "LIST")).decode().splitlines()
    connections = [line for line in clients if "name=slipway-web" in line]
    assert 0 < len(connections) <= needed("web")
    assert served.services.checkpointer.pipeline is served.services.pipeline


async def test_the_checkpointer_encrypts_values(
    modules_url: str, keys: Keys, graphs: Registry, settings: Settings
) -> None:
    encrypted = settings_of(modules_url, keys, encryption_key="00" * 32)
    async with open_services(encrypted, graphs, "cli") as services:
        assert services.checkpointer.serde.dumps_typed("x")[1][:1] == b"\xc1"
