"""The catalogue of what the checkpointer keeps. `<cp>` is `<p>:cp:<thread>`, `<ns>` a checkpoint namespace
("" is the root).

| name | type | lives | holds |
|---|---|---|---|
| `<cp>:i` | zset, all scores 0 | with its thread | `<ns>\\0<checkpoint>`: what exists, oldest first in a namespace |
| `<cp>:s` | hash | with its thread | `c<ns>\\0<checkpoint>`: the record of a checkpoint |
|  |  |  | `b<ns>\\0<channel>\\0<version>`: a channel's value, shared by all checkpoints that have this version |
|  |  |  | `n`: bytes stored for the thread, names included (the budget's counter) |
| `<cp>:w:<ns>\\0<checkpoint>` | hash | with its checkpoint | `<task>\\0<index>`: one pending write |
| `<p>:run:<run>:cp` | set of threads | until none has one | which threads hold checkpoints of the run |

A record is four bytes of length, then a head in MessagePack that the scripts read, `[[channel, version, …], parent,
run, [delta channel, …]]`, then the body, which only Python reads and which is sealed when encryption is on. Names of
channels, tasks and namespaces, and all ids, stay readable on the server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from slipway.errors import InvalidRequest
from slipway.redis.keys import Keys

BYTES_FIELD = "n"


@dataclass(frozen=True, slots=True)
class CheckpointNames:
    """The keys of one thread's checkpoints."""

    index: str
    state: str
    writes_prefix: str


def names_of(keys: Keys, thread_id: str) -> CheckpointNames:
    """The keys that hold the checkpoints of a thread."""
    index = keys.checkpoints(thread_id)
    base = index.removesuffix(":i")
    return CheckpointNames(index, f"{base}:s", f"{base}:w:")


def all_threads(keys: Keys) -> tuple[str, int, int]:
    """A glob of every thread's index, and how many characters lead and trail the thread's id in a match."""
    prefix = re.sub(r"([\\*?\[\]^])", r"\\\1", keys.prefix)
    return f"{prefix}:cp:*:i", len(keys.prefix) + 4, 2


def run_threads(keys: Keys, run_id: str) -> str:
    """The set of threads that hold checkpoints of a run."""
    return f"{keys.prefix}:run:{run_id}:cp"


def member(namespace: str, checkpoint_id: str) -> str:
    """A checkpoint within its thread. NUL parts the two, so neither may contain it."""
    if "\0" in namespace or "\0" in checkpoint_id:
        raise InvalidRequest("checkpoint_ns" if "\0" in namespace else "checkpoint_id", "contains a NUL character")
    return f"{namespace}\0{checkpoint_id}"


def blob_field(namespace: str, channel: str, version: str | int | float) -> str:
    """Where a channel's value lies. The scripts build the same name from a record's head."""
    return f"b{namespace}\0{channel}\0{version if isinstance(version, str) else format(version, '.17g')}"
