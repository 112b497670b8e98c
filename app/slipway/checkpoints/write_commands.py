"""The Redis commands that store a checkpoint and its pending writes in the layout of the core checkpointer. A
`CheckpointWriter` executes them in one script, together with what else is to be stored at once.

Each function also returns the most bytes that the commands add to the thread, with the names of fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.redis.checkpoint_keys import (
    BYTES_FIELD,
    DICTIONARY_FIELD,
    blob_field,
    joined_field,
    member,
    names_of,
    record_field,
    run_threads,
    write_field,
)
from slipway.redis.connection import Arg
from slipway.redis.keys import Keys
from slipway.redis.redis_commands import RedisCommand

_MAX_ARGUMENTS: Final = 2000
"""The most arguments of one command; even, so that a field and its value are not separated."""


def store_checkpoint(
    keys: Keys,
    thread_id: str,
    key: CheckpointKey,
    record: bytes,
    values: Iterable[tuple[str, str | int | float, bytes]],
    *,
    run_id: str,
) -> tuple[list[RedisCommand], int]:
    """Stores the record of a checkpoint, and new channel values, each as channel, version and value. `run_id` is the
    run that created the checkpoint, "" for none."""
    where, names = member(*key), names_of(keys, thread_id)
    hset: list[Arg] = ["HSET", names.state, record_field(where), record]
    size = 1 + 2 * len(where) + len(record)
    for channel, version, value in values:
        field = blob_field(key.namespace, channel, version)
        hset += (field, value)
        size += len(field) + len(value)
    commands: list[RedisCommand] = [
        *_split_hset(hset),
        ("ADD_TO_INDEX", names.index, where),
        ("COUNT_BYTES", names.state, BYTES_FIELD, size),
    ]
    if run_id:
        commands.append(("ADD_TO_SET", run_threads(keys, run_id), thread_id))
    return commands, size


def store_writes(
    keys: Keys, thread_id: str, key: CheckpointKey, writes: Iterable[tuple[str, int, bytes]]
) -> tuple[list[RedisCommand], int]:
    """Stores pending writes of a checkpoint, each as task, position and write, and counts their bytes. A write with a
    position below 0 replaces the stored one."""
    where, names = member(*key), names_of(keys, thread_id)
    store: list[Arg] = ["STORE_FIELDS", names.writes_prefix + where, names.state, BYTES_FIELD]
    size = 0
    for task_id, position, data in writes:
        field = write_field(task_id, position)
        store += ("once" if position >= 0 else "replace", field, data)
        size += len(field) + len(data)
    return [tuple(store), ("ADD_TO_INDEX", names.index, where)], size


def join_writes(
    keys: Keys,
    thread_id: str,
    key: CheckpointKey,
    fields: Sequence[str],
    freed_bytes: int,
    joined: bytes,
    dictionary: bytes,
) -> tuple[list[RedisCommand], int]:
    """Replaces fields with pending writes of a checkpoint, which need `freed_bytes`, by one field with all of them, and
    one with the names of the values that are its dictionary, if there are any."""
    where, names = member(*key), names_of(keys, thread_id)
    pending = names.writes_prefix + where
    stored: list[Arg] = [joined_field(len(fields)), joined]
    if dictionary:
        stored += (DICTIONARY_FIELD, dictionary)
    size = sum(len(part) for part in stored if isinstance(part, str | bytes))
    removed: list[RedisCommand] = [
        ("HDEL", pending, *fields[at : at + _MAX_ARGUMENTS]) for at in range(0, len(fields), _MAX_ARGUMENTS)
    ]
    counted = ("HINCRBY", names.state, BYTES_FIELD, size - freed_bytes)
    return [*removed, ("HSET", pending, *stored), counted], size


def _split_hset(hset: list[Arg]) -> list[RedisCommand]:
    """Splits a command with too many arguments: scripts pass a command to Lua's `unpack`, which is limited to
    thousands."""
    if len(hset) <= _MAX_ARGUMENTS:
        return [tuple(hset)]
    lead, pairs = hset[:2], hset[2:]
    return [tuple(lead + pairs[at : at + _MAX_ARGUMENTS]) for at in range(0, len(pairs), _MAX_ARGUMENTS)]
