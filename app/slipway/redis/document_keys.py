"""The catalogue of what `SLIPWAY_CHECKPOINTER=langgraph-redis` keeps: the key names of `langgraph-checkpoint-redis`, to
which a test holds this. `<d>` is the setting `langgraph_redis_prefix` (that package's own is `checkpoint`), `<at>` is
`<thread>:<ns>:<checkpoint>`, where the root namespace is written `__empty__`.

| name | type | lives | holds |
|---|---|---|---|
| `<d>:<at>` | JSON, in the search index `<d>` | with its thread | a checkpoint with all its channel values |
| `<d>_write:<at>:<task>:<index>` | JSON, in the search index `<d>_write` | with its checkpoint | one pending write |
| `write_keys_zset:<at>` | zset | with its checkpoint | the names of its pending writes |
| `<d>_latest:<thread>:<ns>` | string | with its thread | the name of the latest checkpoint |
| `<p>:documents:<thread>` | string | with its thread | bytes stored for the thread (the budget's counter) |

All but the last are that package's. Its registries of pending writes have one name whatever the prefix, so a registry
may name documents of another deployment: the scripts look at those under our prefix alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slipway.errors import InvalidRequest
from slipway.redis.keys import Keys

ROOT: Final = "__empty__"
"""How the root namespace is written: the search index does not find empty text."""

REGISTRIES: Final = "write_keys_zset:"


@dataclass(frozen=True, slots=True)
class DocumentNames:
    """The keys under one prefix; each of the first three lacks `<at>`."""

    prefix: str

    @property
    def checkpoints(self) -> str:
        """Leads the name of every checkpoint."""
        return f"{self.prefix}:"

    @property
    def writes(self) -> str:
        """Leads the name of every pending write."""
        return f"{self.prefix}_write:"

    @property
    def pointers(self) -> str:
        """Leads the name of every pointer to a latest checkpoint."""
        return f"{self.prefix}_latest:"

    @property
    def leads(self) -> tuple[str, str, str, str]:
        """What the scripts make names of, in their order."""
        return self.checkpoints, REGISTRIES, self.writes, self.pointers

    def checkpoint(self, at: str) -> str:
        """A checkpoint's document."""
        return self.checkpoints + at

    def write(self, at: str, task_id: str, index: int) -> str:
        """A pending write's document."""
        return f"{self.writes}{at}:{task_id}:{index}"

    def pointer(self, thread_id: str, namespace: str) -> str:
        """Names the latest checkpoint of a namespace."""
        return self.pointers + namespace_at(thread_id, namespace)


def registry(at: str) -> str:
    """Names the pending writes of a checkpoint."""
    return REGISTRIES + at


def counter(keys: Keys, thread_id: str) -> str:
    """Counts a thread's bytes."""
    return f"{keys.prefix}:documents:{thread_id}"


def namespace_at(thread_id: str, namespace: str) -> str:
    """`<thread>:<ns>`."""
    for field, text in (("thread_id", thread_id), ("checkpoint_ns", namespace)):
        if "\0" in text:
            raise InvalidRequest(field, "contains a NUL character")
    if "," in thread_id or thread_id != thread_id.strip():
        raise InvalidRequest("thread_id", "has a comma, or white space at an end, which the search index cannot tell")
    return f"{thread_id}:{namespace or ROOT}"


def checkpoint_at(thread_id: str, namespace: str, checkpoint_id: str) -> str:
    """`<at>`."""
    if "\0" in checkpoint_id or ":" in checkpoint_id:
        raise InvalidRequest("checkpoint_id", "contains a NUL character or a colon")
    return f"{namespace_at(thread_id, namespace)}:{checkpoint_id}"
