"""The Redis commands that store a checkpoint and its pending writes as documents. A `CheckpointWriter` executes them in
one script. `<at>` is `<thread>:<ns>:<checkpoint>`.

Each function also returns the most bytes that the commands add to the thread.
"""

from __future__ import annotations

from collections.abc import Iterable

from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.redis.connection import Arg
from slipway.redis.document_keys import DocumentNames, checkpoint_at, counter, registry
from slipway.redis.keys import Keys
from slipway.redis.redis_commands import RedisCommand


def store_checkpoint(
    keys: Keys, names: DocumentNames, thread_id: str, key: CheckpointKey, document: bytes, *, is_latest: bool
) -> tuple[list[RedisCommand], int]:
    """Stores the document of a checkpoint. With `is_latest` the pointer of the namespace names it afterwards."""
    name = names.checkpoint(checkpoint_at(thread_id, *key))
    commands: list[RedisCommand] = [
        ("JSON.SET", name, "$", document),
        ("INCRBY", counter(keys, thread_id), len(document)),
    ]
    if is_latest:
        commands.append(("SET", names.pointer(thread_id, key.namespace), name))
    return commands, len(document)


def store_writes(
    keys: Keys, names: DocumentNames, thread_id: str, key: CheckpointKey, writes: Iterable[tuple[str, int, bytes]]
) -> tuple[list[RedisCommand], int]:
    """Stores pending writes of a checkpoint, each as task, position and document, registers them, and counts their
    bytes. A write with a position below 0 replaces the stored one."""
    at = checkpoint_at(thread_id, *key)
    store: list[Arg] = ["STORE_DOCUMENTS", counter(keys, thread_id)]
    register: list[Arg] = ["ZADD", registry(at)]
    size = 0
    for task_id, position, document in writes:
        name = names.write(at, task_id, position)
        store += ("once" if position >= 0 else "replace", name, document)
        register += (position, name)
        size += len(document)
    return [tuple(store), tuple(register)], size
