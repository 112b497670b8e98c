"""Whether every key that is left belongs to something that exists, by the catalogue of keys."""

from __future__ import annotations

from typing import Any, Final

from slipway.redis.document_keys import DocumentNames
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.catalogue.stored import kind_of

_OF_RUN: Final = {"run", "events", "checkpoint_threads", "delivery"}
_OF_THREAD: Final = {
    "thread", "thread_runs", "thread_states", "thread_crons", "checkpoints", "checkpoint_state", "checkpoint_writes",
    "document_bytes",
}  # fmt: skip
_EMPTY_WHEN_STILL: Final = {
    "queue", "suspect_queue", "running_suspects", "later_queue", "parked_queue", "group_runs", "leases",
    "thread_queue", "trash", "deliveries", "internal_deliveries",
}  # fmt: skip
_PASSING: Final = {"idempotency", "probe", "duty"}


_DOCUMENTS: Final = DocumentNames(Settings.model_fields["langgraph_redis_prefix"].default)


async def left_over(pipeline: Pipeline, keys: Keys, runs: set[str], threads: set[str]) -> list[str]:
    """What is wrong with the keys under the prefix when these are all the runs and threads there are and nothing is in
    progress."""
    problems = []
    for name in await pipeline.send("KEYS", f"{keys.prefix}:*", repeatable=True):
        declared, ident = kind_of(name.decode().removeprefix(keys.prefix))
        kind = declared and declared.name
        if declared is None:
            problems.append(f"{name!r} is of no kind that the catalogue has")
        elif kind in _EMPTY_WHEN_STILL:
            problems.append(f"{name!r} is left, though nothing is in progress")
        elif (kind in _OF_RUN and ident not in runs) or (kind in _OF_THREAD and ident not in threads):
            problems.append(f"{name!r} belongs to nothing")
        elif kind in _PASSING and await pipeline.send("PTTL", name, repeatable=True) < 0:
            problems.append(f"{name!r} lives for ever")
    return problems + await _documents(pipeline, threads) + await _dangling(pipeline, keys, runs, threads)


async def _documents(pipeline: Pipeline, threads: set[str]) -> list[str]:
    """Documents of the second checkpointer whose thread is gone. Their names do not begin with the prefix."""
    return [
        f"{name!r} belongs to nothing"
        for lead in _DOCUMENTS.leads
        for name in await pipeline.send("KEYS", f"{lead}*", repeatable=True)
        if name.decode().removeprefix(lead).partition(":")[0] not in threads
    ]


async def _dangling(pipeline: Pipeline, keys: Keys, runs: set[str], threads: set[str]) -> list[str]:
    """Members of what lasts that name something that is gone."""
    problems = []
    if gone := await _members(pipeline, keys.threads) ^ threads:
        problems.append(f"{keys.threads} and the threads differ in {gone}")
    named: set[str] = set()
    for thread_id in threads:
        named |= await _members(pipeline, keys.thread_runs(thread_id))
    if gone := named ^ runs:
        problems.append(f"the threads' runs and the runs differ in {gone}")
    return problems


async def _members(pipeline: Pipeline, key: str) -> set[str]:
    members: list[Any] = await pipeline.send("ZRANGE", key, 0, -1, repeatable=True)
    return {member.decode() for member in members}
