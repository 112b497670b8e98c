"""The Redis commands that store a checkpoint and its pending writes in the layout of the core checkpointer. A
`CheckpointWriter` executes them in one script, together with what else is to be stored at once.

Each function also returns the most bytes that the commands add to the thread, with the names of fields. The number is
negative if they free more than they add.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

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
)
from slipway.redis.connection import Arg
from slipway.redis.keys import Keys
from slipway.redis.redis_commands import RedisCommand


class PackedWrite(NamedTuple):
    """A pending write as it is stored. A write with a position below 0 replaces the stored one, and for any other the
    stored one stays. `is_first`: none can be stored at this position."""

    field: str
    position: int
    data: bytes
    is_first: bool = False


def store_checkpoint(
    keys: Keys,
    thread_id: str,
    key: CheckpointKey,
    record: bytes,
    values: Iterable[tuple[str, str | int | float, bytes]],
) -> tuple[list[RedisCommand], int]:
    """Stores the record of a checkpoint, and new channel values, each as channel, version and value."""
    where, names = member(*key), names_of(keys, thread_id)
    fields: list[Arg] = [record_field(where), record]
    size = 1 + 2 * len(where) + len(record)
    for channel, version, value in values:
        field = blob_field(key.namespace, channel, version)
        fields += (field, value)
        size += len(field) + len(value)
    commands: list[RedisCommand] = [
        ("ADD_FIELDS", names.state, *fields),
        ("ADD_TO_INDEX", names.index, where),
        ("COUNT_BYTES", names.state, BYTES_FIELD, size),
    ]
    return commands, size


def register_run(keys: Keys, run_id: str, thread_id: str) -> RedisCommand:
    """Stores that a thread has checkpoints of a run."""
    return ("ADD_TO_SET", run_threads(keys, run_id), thread_id)


def store_writes(
    keys: Keys, thread_id: str, key: CheckpointKey, writes: Iterable[PackedWrite]
) -> tuple[list[RedisCommand], int]:
    """Stores pending writes of a checkpoint, and counts their bytes."""
    where, names = member(*key), names_of(keys, thread_id)
    pending, counter = names.writes_prefix + where, (names.state, BYTES_FIELD)
    first: list[Arg] = []
    others: list[Arg] = []
    first_size, others_size = 0, 0
    for field, position, data, is_first in writes:
        size = len(field) + len(data)
        if is_first:
            first += (field, data)
            first_size += size
        else:
            others += ("once" if position >= 0 else "replace", field, data)
            others_size += size
    commands: list[RedisCommand] = [("ADD_TO_INDEX", names.index, where)]
    if first:
        commands += [("ADD_FIELDS", pending, *first), ("COUNT_BYTES", *counter, first_size)]
    if others:
        commands.append(("STORE_FIELDS", pending, *counter, *others))
    return commands, first_size + others_size


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
    size = sum(len(part) for part in stored if isinstance(part, str | bytes)) - freed_bytes
    return [
        ("HDEL", pending, *fields),
        ("ADD_FIELDS", pending, *stored),
        ("COUNT_BYTES", names.state, BYTES_FIELD, size),
    ], size
