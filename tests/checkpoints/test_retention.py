"""Which checkpoints are kept, and their deletion in steps."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig

from slipway import failpoints
from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.retention import RetainedHead, kept
from slipway.checkpoints.scripts import CheckpointScripts
from slipway.processes.child_commands import slipway
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.checkpoints.conftest import config_of, listed_ids, put
from tests.environment import PYTHON_PATH, bare_environment
from tests.shards import run_on, shards_of

THREAD = "t"
CREATED_US = "1"
ALL: RunnableConfig = {"configurable": {"thread_id": THREAD}}
PROJECT = Path(__file__).parent.parent / "runs" / "project" / "langgraph.json"
Heads = dict[CheckpointKey, RetainedHead]


@st.composite
def threads(draw: st.DrawFn) -> Heads:
    """Threads with forks, interrupts, delta channels, a subgraph with its own state, and calls of subgraphs."""
    heads: Heads = {}
    for namespace in ("", "own", "call:1", "call:2"):
        for number in range(draw(st.integers(0, 7))):
            deltas = draw(st.frozensets(st.sampled_from("ab")))
            heads[CheckpointKey(namespace, str(number))] = RetainedHead(
                parent_id=str(draw(st.integers(max(0, number - 3), number - 1))) if number else "",
                source=draw(st.sampled_from(("loop", "loop", "loop", "input", "update", "fork"))),
                has_interrupt=draw(st.integers(0, 5)) == 0,
                deltas=deltas,
                stored_deltas=draw(st.frozensets(st.sampled_from(sorted(deltas)))) if deltas else frozenset(),
                parents={"": str(draw(st.integers(0, 6)))} if ":" in namespace and draw(st.booleans()) else {},
            )
    return heads


def model(heads: Mapping[CheckpointKey, RetainedHead], keep: int) -> set[CheckpointKey]:
    """The same choice, by asking each checkpoint for a reason."""

    def has_reason(key: CheckpointKey, among: set[CheckpointKey]) -> bool:
        own = [each for each in among if each.namespace == key.namespace]
        children = [each for each in own if heads[each].parent_id == key.checkpoint_id]
        siblings = [each for each in own if heads[each].parent_id == heads[key].parent_id]
        parent = CheckpointKey(key.namespace, heads[key].parent_id)
        return (
            len([each for each in own if each > key]) < keep
            or heads[key].has_interrupt
            or heads[key].source in ("update", "fork")
            or any(heads[child].source in ("update", "fork") for child in children)
            or len(children) > 1
            or (len(siblings) > 1 and parent in among)
        )

    def needed(key: CheckpointKey) -> set[CheckpointKey]:
        found = set()
        for channel in heads[key].deltas:
            at = key
            while channel not in heads[at].stored_deltas:
                at = CheckpointKey(key.namespace, heads[at].parent_id)
                if at not in heads:
                    break
                found.add(at)
        return found

    roots = {key for key in heads if ":" not in key.namespace}
    result = {key for key in roots if has_reason(key, roots)}
    result |= {each for key in result for each in needed(key)}
    calls = {
        key
        for key in heads
        if key not in roots and ("" not in heads[key].parents or CheckpointKey("", heads[key].parents[""]) in result)
    }
    chosen = {key for key in calls if has_reason(key, calls)}
    return result | chosen | {each for key in chosen for each in needed(key)}


@settings(max_examples=60, deadline=None)
@given(threads(), st.integers(1, 4))
def test_the_choice_is_that_of_a_model_which_asks_each_checkpoint(heads: Heads, keep: int) -> None:
    assert kept(heads, keep) == model(heads, keep)


@settings(max_examples=60, deadline=None)
@given(threads(), st.integers(1, 4), st.data())
def test_the_choice_is_the_same_after_a_deletion_that_stopped(heads: Heads, keep: int, data: st.DataObject) -> None:
    chosen = kept(heads, keep)
    others = sorted(heads.keys() - chosen)
    deleted = data.draw(st.sets(st.sampled_from(others))) if others else set()
    assert kept({key: head for key, head in heads.items() if key not in deleted}, keep) == chosen


@pytest.mark.parametrize(
    "reason", [{"has_interrupt": True}, {"source": "update"}, {"source": "fork"}], ids=lambda reason: next(iter(reason))
)
def test_an_old_checkpoint_is_kept_for_a_reason(reason: dict[str, Any]) -> None:
    heads = {CheckpointKey("", str(n)): RetainedHead(parent_id=str(n - 1) if n else "") for n in range(6)}
    assert sorted(key.checkpoint_id for key in kept(heads, 2)) == ["4", "5"]
    heads[CheckpointKey("", "2")] = replace(heads[CheckpointKey("", "2")], **reason)
    assert CheckpointKey("", "2") in kept(heads, 2)


async def chain(saver: CoreCheckpointer, pipeline: Pipeline, keys: Keys, length: int = 65) -> list[str]:
    """Stores an idle thread with a long chain of checkpoints. The value of `kept` never changes, that of `n` always."""
    await pipeline.send("HSET", keys.thread(THREAD), "created_us", CREATED_US, "status", "idle")
    ids: list[str] = []
    for n in range(length):
        versions: dict[str, str | int | float] = {"kept": "00000001", "n": f"{n + 1:08x}"}
        new = versions if n == 0 else {"n": versions["n"]}
        parent = ids[-1] if ids else None
        values = {"kept": "k" * 100, "n": n}
        ids.append(await put(saver, THREAD, values, versions=versions, new=new, parent=parent, run=f"r{n // 10}"))
        await saver.aput_writes(config_of(THREAD, ids[-1]), [("n", n + 1)], f"task{n}")
    return ids


async def test_a_dry_run_counts_what_is_then_deleted_and_the_others_stay_complete(
    core: CoreCheckpointer, pipeline: Pipeline, keys: Keys
) -> None:
    ids = await chain(core, pipeline, keys)
    await core.aput_writes(config_of(THREAD, ids[3]), [("__interrupt__", ("asked",))], "asks")
    before = await core.thread_bytes(THREAD)
    expected = await core.retain(THREAD, 4, dry_run=True)
    assert expected is not None
    assert (expected.count, len(await listed_ids(core, ALL))) == (60, 65)
    assert await core.retain(THREAD, 4) == expected
    assert await listed_ids(core, ALL) == [*reversed(ids[-4:]), ids[3]]
    assert before - await core.thread_bytes(THREAD) == expected.size
    for n in (3, 61, 64):
        found = await core.aget_tuple(config_of(THREAD, ids[n]))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"kept": "k" * 100, "n": n}
        assert found.pending_writes
    assert await core.aget_tuple(config_of(THREAD, ids[10])) is None
    assert await pipeline.send("EXISTS", *(keys.checkpoint_threads(run_on(THREAD, name)) for name in ("r2", "r6"))) == 1
    await core.adelete_thread(THREAD)
    assert await pipeline.send("KEYS", f"{keys.prefix}*:cp:*") == []


async def test_a_busy_or_changed_thread_is_left_alone(core: CoreCheckpointer, pipeline: Pipeline, keys: Keys) -> None:
    ids = await chain(core, pipeline, keys, 5)
    await pipeline.send("HSET", keys.thread(THREAD), "status", "busy")
    assert await core.retain(THREAD, 1) is None
    await pipeline.send("HSET", keys.thread(THREAD), "status", "idle")
    assert await core.retain(THREAD, 1, "2") is None, "another thread with the same id"
    assert await core.retain("unknown", 1) is None
    assert (
        await CheckpointScripts(pipeline, shards_of(keys)).retain(
            THREAD, CREATED_US, 4, [f"\0{ids[0]}"], [], [], dry_run=False
        )
        is None
    )
    assert len(await listed_ids(core, ALL)) == 5


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.one_shard("the command that it kills has one shard")
async def test_a_killed_command_is_repeated(
    core: CoreCheckpointer, pipeline: Pipeline, keys: Keys, valkey_url: str
) -> None:
    ids = await chain(core, pipeline, keys)
    environment = {
        **bare_environment(),
        "PYTHONPATH": PYTHON_PATH,
        "SLIPWAY_REDIS_URL": valkey_url,
        "SLIPWAY_KEY_PREFIX": keys.prefix,
        "PATH": os.environ["PATH"],
    }

    async def prune(**more: str) -> tuple[int | None, str]:
        command = slipway("checkpoints", "prune", "--keep", "2", "--config", str(PROJECT))
        process = await asyncio.create_subprocess_exec(*command, env=environment | more, stdout=-1)
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    killed, _ = await prune(**{failpoints.VARIABLE: "checkpoints_pruned"})
    assert killed == -signal.SIGKILL
    assert 2 < len(await listed_ids(core, ALL)) < 65
    code, output = await prune()
    assert (code, await listed_ids(core, ALL)) == (0, [*reversed(ids[-2:])])
    assert "checkpoints with" in output


def test_a_fork_point_is_kept_with_the_first_checkpoint_of_each_branch() -> None:
    parents = {"0": "", "1": "0", "2": "1", "3": "2", "4": "1", "5": "4", "6": "5"}
    heads = {CheckpointKey("", name): RetainedHead(parent_id=parent) for name, parent in parents.items()}
    assert {key.checkpoint_id for key in kept(heads, 1)} == {"1", "2", "4", "6"}
