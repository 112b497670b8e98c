"""`slipway checkpoints migrate`: all checkpoints are in the target, also after a kill or a conflict."""

from __future__ import annotations

import asyncio
import copy
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import Command

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.migrate_command import migrate
from slipway.checkpoints.migration import BUSY, REPLACED, Migration, MoveResult, is_equal
from slipway.errors import ConfigError, Conflict
from slipway.processes.child_commands import slipway
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.server_pipeline import ServerPipeline
from slipway.serialization.class_allowlist import ClassAllowlist
from slipway.serialization.data_classes import imported_module
from slipway.serialization.serde import Serde
from slipway.settings import Settings
from tests.checkpoints.conftest import config_of, documents_prefix, langgraph_redis_checkpointer, put
from tests.checkpoints.sample_graphs import refund_graph, run_journal
from tests.environment import bare_environment
from tests.http.conftest import PROJECT
from tests.proxy import proxied
from tests.shards import shards_of
from tests.waiting import wait_until

DIRECTIONS = [("core", "langgraph-redis"), ("langgraph-redis", "core")]
NO_GRAPHS: Any = None
both_directions = pytest.mark.parametrize(("source", "target"), DIRECTIONS, ids=str)


@pytest.fixture
async def savers(modules_url: str, keys: Keys) -> AsyncIterator[dict[str, BaseCheckpointer]]:
    """Both checkpointers on one server."""
    pipeline = ServerPipeline(Address(modules_url), "test", patience_s=5)
    await pipeline.open()
    other = langgraph_redis_checkpointer(pipeline, keys)
    await other.asetup()
    try:
        yield {"core": CoreCheckpointer(pipeline, shards_of(keys)), "langgraph-redis": other}
    finally:
        for index in ("", "_write"):
            await pipeline.send("FT.DROPINDEX", documents_prefix(keys) + index)
        await pipeline.close()


def migration(savers: dict[str, BaseCheckpointer], source: str, target: str, **options: bool) -> Migration:
    one = savers[source]
    return Migration(one.pipeline, one.shards, one, savers[target].for_run(one.writer), **options)


async def all_checkpoints(saver: BaseCheckpointer, thread_id: str) -> list[tuple[CheckpointTuple, Any]]:
    loaded = [checkpoint async for checkpoint in saver.alist(config_of(thread_id, ns=None))]
    return [(checkpoint, await saver.stored_writes(checkpoint.config)) for checkpoint in loaded]


def command(source: str, target: str, *options: str) -> tuple[str, ...]:
    return slipway("checkpoints", "migrate", "--from", source, "--to", target, "--config", str(PROJECT), *options)


def environment(url: str, keys: Keys, **variables: str) -> dict[str, str]:
    prefixes = {"SLIPWAY_KEY_PREFIX": keys.prefix, "SLIPWAY_LANGGRAPH_REDIS_PREFIX": documents_prefix(keys)}
    return bare_environment() | {"SLIPWAY_REDIS_URL": url, **prefixes, **variables}


async def many_threads(saver: BaseCheckpointer, threads: int, checkpoints: int) -> None:
    for number in range(threads):
        parent = None
        for step in range(checkpoints):
            values = {"step": step, "note": Decimal(step), "message": HumanMessage("x", id=str(step))}
            versions: Any = dict.fromkeys(values, f"{step + 1:08x}")
            parent = await put(saver, f"t{number}", values, versions=versions, parent=parent, step=step)
            await saver.aput_writes(config_of(f"t{number}", parent), [("step", step + 1)], "task", "path")


@both_directions
async def test_a_thread_of_a_graph_continues_in_the_target(
    savers: dict[str, BaseCheckpointer], source: str, target: str
) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    await refund_graph(savers[source]).ainvoke({"amount": 5, "log": []}, config)
    moved = await migration(savers, source, target).move("t")
    assert (moved.problem, moved.checkpoints) == ("", 5)
    before, after = await all_checkpoints(savers[source], "t"), await all_checkpoints(savers[target], "t")
    assert is_equal(before, after)
    assert len(after) == 5
    done = await refund_graph(savers[target]).ainvoke(Command(resume="yes"), config)
    assert done["log"][-2:] == ["asked: yes", "paid 5"]
    assert is_equal(before, await all_checkpoints(savers[source], "t"))


@both_directions
async def test_delta_channels_and_unchanged_values_are_moved(
    savers: dict[str, BaseCheckpointer], source: str, target: str
) -> None:
    graph, config = await run_journal(savers[source], 4)
    before = [state.values async for state in graph.aget_state_history(config)]
    counted = await savers[source].thread_bytes("t")
    for _ in range(2):
        assert (await migration(savers, source, target).move("t")).problem == ""
    graph.checkpointer = savers[target]
    assert [state.values async for state in graph.aget_state_history(config)] == before
    back = migration(savers, target, source)
    await savers[source].adelete_thread("t")
    assert (await back.move("t")).problem == ""
    assert await savers[source].thread_bytes("t") == counted


@both_directions
async def test_leftovers_of_a_deleted_thread_are_not_moved(
    savers: dict[str, BaseCheckpointer], source: str, target: str
) -> None:
    moving = migration(savers, source, target)
    await put(savers[source], "t", {"a": 1})
    await moving.pipeline.send("ZADD", moving.shards.records.trash, 1, "t")
    assert await moving.move("t") == MoveResult("t", 0, "")
    assert await all_checkpoints(savers[target], "t") == []


@both_directions
async def test_a_thread_deleted_while_it_is_moved_is_not_in_the_target(
    savers: dict[str, BaseCheckpointer], source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = migration(savers, source, target)
    thread = moving.shards.records.thread("t")
    await moving.pipeline.send("HSET", thread, "created_us", 1)
    first = await put(savers[source], "t", {"a": 1})
    await put(savers[source], "t", {"a": 2}, parent=first)
    listed = savers[source].alist

    async def removing(*args: Any, **options: Any) -> Any:
        async for loaded in listed(*args, **options):
            yield loaded
            await moving.pipeline.send("DEL", thread)

    monkeypatch.setattr(savers[source], "alist", removing)
    moved = await moving.move("t")
    assert (moved.checkpoints, "not found" in moved.problem) == (0, True)
    assert await all_checkpoints(savers[target], "t") == []


@pytest.mark.parametrize("deleted_from", ["core", "langgraph-redis"])
async def test_a_thread_deleted_after_it_was_copied_is_not_moved_again(
    savers: dict[str, BaseCheckpointer], deleted_from: str
) -> None:
    """The deletion removed the thread from one of the checkpointers, the one that was in use."""
    moving = migration(savers, "core", "langgraph-redis")
    thread = moving.shards.records.thread("t")
    await moving.pipeline.send("HSET", thread, "created_us", 1)
    await put(savers["core"], "t", {"a": 1})
    for _ in range(2):
        assert await moving.move("t") == MoveResult("t", 1, "")
    await moving.pipeline.send("DEL", thread)
    await savers[deleted_from].remove_leftovers("t")
    assert await moving.thread_ids() == ["t"]
    assert await moving.move("t") == MoveResult("t", 0, "")
    for saver in savers.values():
        assert await all_checkpoints(saver, "t") == []
    assert await moving.thread_ids() == []


async def test_a_thread_recreated_with_the_id_of_a_copied_one_is_reported(savers: dict[str, BaseCheckpointer]) -> None:
    moving = migration(savers, "core", "langgraph-redis", delete_source=True)
    thread = moving.shards.records.thread("t")
    await moving.pipeline.send("HSET", thread, "created_us", 1)
    await put(savers["core"], "t", {"secret": "old"})
    await moving.copy_thread("t", "1")
    await moving.pipeline.send("HSET", thread, "created_us", 2)
    await savers["langgraph-redis"].adelete_thread("t")
    assert await moving.move("t") == MoveResult("t", 0, REPLACED)
    assert await all_checkpoints(savers["langgraph-redis"], "t") == []
    assert await savers["core"].latest("t")
    await moving.pipeline.send("HSET", thread, "created_us", 1)
    assert await moving.move("t") == MoveResult("t", 1, "")
    assert await moving.thread_ids() == []


async def test_pending_writes_are_moved_with_their_paths_and_order(savers: dict[str, BaseCheckpointer]) -> None:
    checkpoint_id = await put(savers["core"], "t", ns="sub:1")
    where = config_of("t", checkpoint_id, "sub:1")
    await savers["core"].aput_writes(where, [("a", 1), ("b", (1, 2)), ("__error__", "e")], "one", "~__pregel_pull, a")
    await savers["core"].aput_writes(where, [("a", 2)], "two", "odd")
    assert (await migration(savers, "core", "langgraph-redis").move("t")).problem == ""
    stored = await savers["langgraph-redis"].stored_writes(where)
    assert stored == await savers["core"].stored_writes(where)
    assert {write.task_path for write in stored} == {"~__pregel_pull, a", "odd"}


async def test_the_user_in_metadata_is_neither_loaded_nor_moved(
    savers: dict[str, BaseCheckpointer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`langgraph-checkpoint-redis` stores all configurable values with each checkpoint, also the user."""
    source, target = savers["langgraph-redis"], savers["core"]
    with monkeypatch.context() as patch:
        function = "slipway.checkpoints.langgraph_redis.checkpointer.checkpoint_metadata"
        patch.setattr(function, lambda config, metadata: dict(metadata))
        checkpoint_id = await put(source, "t", {"a": 1}, langgraph_auth_user_id="ann", tour="north")
    assert (await migration(savers, "langgraph-redis", "core").move("t")).problem == ""
    for saver in (source, target):
        loaded = await saver.aget_tuple(config_of("t", checkpoint_id))
        assert loaded is not None
        assert loaded.metadata == {"source": "loop", "step": 0, "parents": {}, "tour": "north"}


@both_directions
async def test_newer_checkpoints_in_the_target_are_kept(
    savers: dict[str, BaseCheckpointer], source: str, target: str
) -> None:
    first = await put(savers[source], "t", {"a": 1})
    later = await put(savers[target], "t", {"a": 2}, parent=first)
    assert (await migration(savers, source, target).move("t")).problem == ""
    latest = await savers[target].latest("t")
    assert latest is not None
    assert latest.checkpoint["id"] == later
    assert await savers[target].aget_tuple(config_of("t", first))


@both_directions
async def test_a_thread_with_different_writes_in_the_target_is_a_problem(
    savers: dict[str, BaseCheckpointer], source: str, target: str
) -> None:
    for thread_id, other in (("t", ("a", 2)), ("u", ("b", 1))):
        checkpoint_id = await put(savers[source], thread_id, {"a": 1})
        await savers[source].aput_writes(config_of(thread_id, checkpoint_id), [("a", 1)], "task")
        await savers[target].aput_writes(config_of(thread_id, checkpoint_id), [other], "task")
        moved = await migration(savers, source, target, delete_source=True).move(thread_id)
        assert "has other pending writes" in moved.problem
        assert await savers[source].latest(thread_id)


async def test_values_without_a_version_are_a_problem(savers: dict[str, BaseCheckpointer]) -> None:
    await put(savers["langgraph-redis"], "t", {"a": 1}, versions={})
    moved = await migration(savers, "langgraph-redis", "core").move("t")
    assert "has other channel_values" in moved.problem


@pytest.mark.processes
async def test_a_busy_thread_is_not_moved_and_is_reported(
    savers: dict[str, BaseCheckpointer], modules_url: str, keys: Keys
) -> None:
    pipeline = savers["core"].pipeline
    for thread in ("busy", "idle"):
        await put(savers["core"], thread, {"a": 1})
    await pipeline.send("HSET", keys.thread("busy"), "status", "busy")
    result = await asyncio.to_thread(
        subprocess.run,
        command("core", "langgraph-redis"),
        env=environment(modules_url, keys),
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert result.returncode == 1, result.stderr
    assert f"not moved: thread busy: {BUSY}" in result.stdout
    assert "1 of 2 threads moved from core to langgraph-redis, 1 checkpoints compared" in result.stdout
    assert await savers["langgraph-redis"].latest("busy") is None
    assert await savers["langgraph-redis"].latest("idle")
    await pipeline.send("DEL", keys.thread("busy"))


async def test_a_run_that_starts_while_its_thread_is_copied_stops_the_copy(
    savers: dict[str, BaseCheckpointer], keys: Keys
) -> None:
    """The guard of each write checks the status of the thread; a check before the copy would be too early."""
    await put(savers["core"], "t", {"a": 1})
    moving = migration(savers, "core", "langgraph-redis")
    await moving.pipeline.send("HSET", keys.thread("t"), "status", "busy")
    with pytest.raises(Conflict):
        await moving.copy_thread("t", "")
    assert await savers["langgraph-redis"].latest("t") is None
    await moving.pipeline.send("DEL", keys.thread("t"))


@pytest.mark.processes
@pytest.mark.timeout(150)
@both_directions
async def test_a_killed_migration_continues(
    savers: dict[str, BaseCheckpointer], modules_url: str, keys: Keys, source: str, target: str
) -> None:
    await many_threads(savers[source], threads=100, checkpoints=6)
    async with proxied(
        modules_url
    ) as proxy:  # in this process, so the migration cannot continue while the test is paused
        proxy.delay_s = 0.001
        process = subprocess.Popen(
            command(source, target), env=environment(proxy.url, keys), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

        async def some_are_moved() -> bool:
            assert process.poll() is None, process.communicate()
            return bool(await savers[target].thread_ids())

        await wait_until(some_are_moved, 50)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    moved = len(await savers[target].thread_ids())
    assert moved < 100, "the migration ended before it was killed"

    result = await asyncio.to_thread(
        subprocess.run,
        command(source, target, "--delete-source"),
        env=environment(modules_url, keys, SLIPWAY_CHECKPOINTER=target),
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert result.returncode == 0, result
    assert f"100 of 100 threads moved from {source} to {target}, 600 checkpoints compared" in result.stdout
    assert "100/100" in result.stderr
    assert await savers[source].thread_ids() == []
    for number in range(100):
        latest = await savers[target].latest(f"t{number}")
        assert latest is not None
        assert latest.checkpoint["channel_values"]["step"] == 5
    for thread in ("t0", "t99"):
        checkpoints = await all_checkpoints(savers[target], thread)
        notes = [loaded.checkpoint["channel_values"]["note"] for loaded, _ in checkpoints]
        assert notes == [Decimal(number) for number in range(5, -1, -1)]
        assert [writes[0].value for _, writes in checkpoints] == list(range(6, 0, -1))


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("core", "core"), "nothing to move"), (("core", "langgraph-redis", "--delete-source"), "would delete the data")],
)
def test_invalid_arguments_are_reported_in_one_line(modules_url: str, keys: Keys, arguments: Any, reason: str) -> None:
    result = subprocess.run(
        command(*arguments),
        env=environment(modules_url, keys),
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert result.returncode == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.processes
async def test_the_data_of_the_configured_checkpointer_is_not_deleted(modules_url: str, keys: Keys) -> None:
    settings = Settings.from_values({"redis_url": modules_url, "key_prefix": keys.prefix, "checkpointer": "core"})
    with pytest.raises(ConfigError, match="would delete the data that SLIPWAY_CHECKPOINTER=core uses"):
        await migrate(settings, NO_GRAPHS, "core", "langgraph-redis", delete_source=True)


def test_values_of_different_types_are_not_equal() -> None:
    assert is_equal({"a": [1, (2.0, float("nan"))]}, {"a": [1, (2.0, float("nan"))]})
    assert not is_equal((1, 2), [1, 2])
    assert not is_equal({"a": 1}, {"a": True})
    assert not is_equal({"a": 1}, {"b": 1})


@both_directions
async def test_objects_of_unknown_classes_are_moved_unchanged(
    savers: dict[str, BaseCheckpointer], source: str, target: str
) -> None:
    values = {"loose": [Unknown("a"), {Unknown("b")}], "deep": {"er": (Unknown("c"),)}}
    checkpoint_id = await put(savers[source], "t", values)
    await savers[source].aput_writes(config_of("t", checkpoint_id), [("loose", Unknown("d"))], "task", "path")
    copying = {name: copy.copy(one) for name, one in savers.items()}
    for one in copying.values():
        _use_serde(one, Serde(preserve_unknown=True))
    moved = await migration(copying, source, target).move("t")
    assert (moved.problem, moved.checkpoints) == ("", 1)
    _use_serde(savers[target], Serde(ClassAllowlist(modules=imported_module)))
    loaded = await savers[target].latest("t")
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == values
    assert loaded.pending_writes == [("task", "loose", Unknown("d"))]


@dataclass(frozen=True)
class Unknown:
    name: str


def _use_serde(saver: BaseCheckpointer, serde: Serde) -> None:
    """Replace the serializer of a checkpointer."""
    if isinstance(saver, CoreCheckpointer):
        made: BaseCheckpointer = CoreCheckpointer(saver.pipeline, saver.shards, serde=serde)
    else:
        made = langgraph_redis_checkpointer(saver.pipeline, saver.keys, serde=serde)
    saver.__dict__.update(vars(made))
