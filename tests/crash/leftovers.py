"""Checks by the catalogue of keys that each stored key belongs to an existing run or thread."""

from __future__ import annotations

from typing import Any, Final

from slipway.redis.document_keys import DocumentNames
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.settings import Settings
from tests.catalogue.stored import kind_of

_OF_RUN: Final = {"run", "events", "checkpoint_threads", "delivery"}
_OF_THREAD: Final = {
    "thread", "thread_runs", "thread_states", "checkpoints", "checkpoint_state", "checkpoint_writes",
    "document_bytes",
}  # fmt: skip
_EMPTY_WHEN_IDLE: Final = {
    "queue", "suspect_queue", "running_suspects", "later_queue", "parked_queue", "group_runs", "leases",
    "thread_queue", "trash", "deliveries", "internal_deliveries",
}  # fmt: skip
_EXPIRING: Final = {"idempotency", "probe", "duty", "handled_due_time"}


_DOCUMENTS: Final = DocumentNames(Settings.model_fields["langgraph_redis_prefix"].default)


async def leftover_problems(pipeline: Pipeline, shards: Shards, runs: set[str], threads: set[str]) -> list[str]:
    """Problems of the keys under the prefix, for a deployment that has exactly these runs and threads and is idle."""
    problems = []
    for name in await _names(pipeline, f"{shards.prefix}*"):
        in_shard = name.decode().removeprefix(shards.prefix)
        declared, record_id = kind_of(in_shard[in_shard.find("}") + 1 :] if shards.tagged else in_shard)
        kind = declared and declared.name
        if declared is None:
            problems.append(f"{name!r} has no key kind in the catalogue")
        elif kind in _EMPTY_WHEN_IDLE:
            problems.append(f"{name!r} exists although nothing is in progress")
        elif (kind in _OF_RUN and record_id not in runs) or (kind in _OF_THREAD and record_id not in threads):
            problems.append(f"{name!r} belongs to no run or thread")
        elif kind in _EXPIRING and await pipeline.send("PTTL", name, repeatable=True) < 0:
            problems.append(f"{name!r} never expires")
    return problems + await _documents(pipeline, threads) + await _dangling(pipeline, shards, runs, threads)


async def _documents(pipeline: Pipeline, threads: set[str]) -> list[str]:
    """Documents of the checkpointer `langgraph-redis` whose thread does not exist. Their names do not begin with the
    key prefix."""
    return [
        f"{name!r} belongs to no thread"
        for prefix in _DOCUMENTS.prefixes
        for name in await _names(pipeline, f"{prefix}*")
        if name.decode().removeprefix(prefix).partition(":")[0] not in threads
    ]


async def _dangling(pipeline: Pipeline, shards: Shards, runs: set[str], threads: set[str]) -> list[str]:
    """Members of permanent keys that name a run or thread that does not exist."""
    problems = []
    listed_threads: set[str] = set()
    for keys in shards.threads:
        listed_threads |= await _members(pipeline, keys.threads)
    if differing := listed_threads ^ threads:
        problems.append(f"the listed threads and the threads differ in {differing}")
    listed_runs: set[str] = set()
    for thread_id in threads:
        listed_runs |= await _members(pipeline, shards.records.thread_runs(thread_id))
    if differing := listed_runs ^ runs:
        problems.append(f"the threads' runs and the runs differ in {differing}")
    return problems


async def _members(pipeline: Pipeline, key: str) -> set[str]:
    members: list[Any] = await pipeline.send("ZRANGE", key, 0, -1, repeatable=True)
    return {member.decode() for member in members}


async def _names(pipeline: Pipeline, pattern: str) -> list[bytes]:
    """The names of all keys, of all servers, that match."""
    return [
        name
        for server in pipeline.servers.values()
        for name in await server.send("KEYS", pattern, repeatable=True)
    ]
