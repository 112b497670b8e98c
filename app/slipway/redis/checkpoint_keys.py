"""How the core checkpointer names its keys and fields. `<ns>` is a checkpoint namespace ("" is the root).

A checkpoint is `<ns>\\0<checkpoint>` in the index of its thread. A record is four bytes of length, then a head in
MessagePack that the scripts read, `[[channel, version, …], parent, run, [delta channel, …]]`, then the body, which only
Python reads and which is encrypted when encryption at rest is on. Names of channels, tasks and namespaces, and all ids,
stay readable on the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from slipway.errors import InvalidRequest
from slipway.redis.catalogue.key_kinds import TEMPLATES
from slipway.redis.keys import Keys

BYTES_FIELD = "n"
"""The field of the state that counts a thread's stored bytes."""


DICTIONARY_FIELD = "dictionary"
"""The field of the pending writes that names the values with which the joined ones are compressed, as a MessagePack
list."""


@dataclass(frozen=True, slots=True)
class CheckpointNames:
    """The keys of one thread's checkpoints."""

    index: str
    state: str
    writes_prefix: str


@lru_cache(maxsize=256)
def names_of(keys: Keys, thread_id: str) -> CheckpointNames:
    """The keys that hold the checkpoints of a thread."""
    return CheckpointNames(
        keys.checkpoints(thread_id), keys.checkpoint_state(thread_id), keys.checkpoint_writes(thread_id, "")
    )


def thread_of_index(name: str) -> str:
    """The thread of an index, from the name of the key."""
    before, after = TEMPLATES["checkpoints"].split("%s")
    return name.partition(before)[2].removesuffix(after)


def run_threads(keys: Keys, run_id: str) -> str:
    """The set of threads that hold checkpoints of a run."""
    return keys.checkpoint_threads(run_id)


def thread_record(keys: Keys, thread_id: str) -> str:
    """The record of the thread: scripts check it before they change checkpoints."""
    return keys.thread(thread_id)


def member(namespace: str, checkpoint_id: str) -> str:
    """A checkpoint within its thread. NUL separates the two, so neither may contain it."""
    if "\0" in namespace or "\0" in checkpoint_id:
        raise InvalidRequest("checkpoint_ns" if "\0" in namespace else "checkpoint_id", "contains a NUL character")
    return f"{namespace}\0{checkpoint_id}"


def record_field(member_name: str) -> str:
    """The field of a checkpoint's record. `member_name` is the checkpoint within its thread: see `member`."""
    return f"c{member_name}"


def blob_field(namespace: str, channel: str, version: str | int | float) -> str:
    """The field of a channel's value. The scripts build the same name from a record's head."""
    return f"b{namespace}\0{channel}\0{version if isinstance(version, str) else format(version, '.17g')}"


def write_field(task_id: str, position: int) -> str:
    """The field of one pending write."""
    return f"{task_id}\0{position}"


def joined_field(count: int) -> str:
    """The field of the pending writes of a superstep that has ended. The scripts read the number of writes from it."""
    return f"joined {count}"
