"""The names of the keys of `SLIPWAY_CHECKPOINTER=langgraph-redis`. They are those of `langgraph-checkpoint-redis`; a
test compares them.

`<d>` is the setting `langgraph_redis_prefix` (the package's own default is `checkpoint`), `<at>` is
`<thread>:<ns>:<checkpoint>`, where the root namespace is written `__empty__`. The registries of pending writes have one
name whatever the prefix, so a registry may name documents of another deployment: scripts use only those that begin
with the prefix of their own deployment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slipway.errors import InvalidRequest
from slipway.redis.keys import Keys

ROOT: Final = "__empty__"
"""How the root namespace is written, because the search index does not find empty text."""

REGISTRIES: Final = "write_keys_zset:"


@dataclass(frozen=True, slots=True)
class DocumentNames:
    """The keys under one prefix. `checkpoints`, `writes` and `pointers` are the prefixes of such keys."""

    prefix: str

    @property
    def checkpoints(self) -> str:
        """The prefix of the keys of checkpoints."""
        return f"{self.prefix}:"

    @property
    def writes(self) -> str:
        """The prefix of the keys of pending writes."""
        return f"{self.prefix}_write:"

    @property
    def pointers(self) -> str:
        """The prefix of the keys that name the latest checkpoint of a namespace."""
        return f"{self.prefix}_latest:"

    @property
    def prefixes(self) -> tuple[str, str, str, str]:
        """The prefixes that scripts receive, in this order: checkpoints, registries, writes, pointers."""
        return self.checkpoints, REGISTRIES, self.writes, self.pointers

    def checkpoint(self, at: str) -> str:
        return self.checkpoints + at

    def write(self, at: str, task_id: str, index: int) -> str:
        return f"{self.writes}{at}:{task_id}:{index}"

    def pointer(self, thread_id: str, namespace: str) -> str:
        """The key that names the latest checkpoint of a namespace."""
        return self.pointers + namespace_at(thread_id, namespace)


def registry(at: str) -> str:
    """The key that names the pending writes of a checkpoint."""
    return REGISTRIES + at


def counter(keys: Keys, thread_id: str) -> str:
    """The key that counts a thread's stored bytes."""
    return keys.document_bytes(thread_id)


def namespace_at(thread_id: str, namespace: str) -> str:
    """Returns `<thread>:<ns>`."""
    for field, text in (("thread_id", thread_id), ("checkpoint_ns", namespace)):
        if "\0" in text:
            raise InvalidRequest(field, "contains a NUL character")
    if "," in thread_id or thread_id != thread_id.strip():
        raise InvalidRequest(
            "thread_id", "has a comma, or white space at an end, which the search index does not distinguish"
        )
    return f"{thread_id}:{namespace or ROOT}"


def checkpoint_at(thread_id: str, namespace: str, checkpoint_id: str) -> str:
    """Returns `<at>`."""
    if "\0" in checkpoint_id or ":" in checkpoint_id:
        raise InvalidRequest("checkpoint_id", "contains a NUL character or a colon")
    return f"{namespace_at(thread_id, namespace)}:{checkpoint_id}"
