"""The shards of a deployment: which keys live together, so that one script can change them.

A shard has a key prefix of its own, so a script that receives this prefix uses keys of that shard only. On a Redis
Cluster the prefix has a hash tag, `slipway{7}`, so all keys of a shard are in one slot. The threads, with everything
that must agree with them, are divided among `count` shards. Records of other kinds (assistants, crons, …) have one
shard for each kind: `slipway{crons}`.

A deployment with one shard has no tags: all kinds have the key prefix itself. A cluster needs several shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slipway.redis.catalogue.declarations import Shard
from slipway.redis.keys import Keys
from slipway.redis.shard_ids import hash_in_run_id, thread_hash


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards under one key prefix. `count` is the number of shards of threads."""

    prefix: str
    count: int = 1
    threads: tuple[Keys, ...] = field(init=False)
    """The keys of each shard of threads, by its number."""

    def __post_init__(self) -> None:
        numbered = (self._tagged(str(number), Shard.THREAD) for number in range(self.count))
        object.__setattr__(self, "threads", tuple(numbered))

    @property
    def tagged(self) -> bool:
        """Whether names have hash tags."""
        return self.count > 1

    def _tagged(self, name: str, kind: Shard) -> Keys:
        return Keys(f"{self.prefix}{{{name}}}", kind) if self.tagged else Keys(self.prefix)

    def of_thread(self, thread_id: str) -> Keys:
        """The keys of the shard of a thread."""
        return self.threads[self.number_of_thread(thread_id)]

    def of_run(self, run_id: str) -> Keys:
        """The keys of the shard of a run."""
        return self.threads[self.number_of_run(run_id)]

    def number_of_thread(self, thread_id: str) -> int:
        """The number of the shard of a thread."""
        return 0 if self.count == 1 else thread_hash(thread_id) % self.count

    def number_of_run(self, run_id: str) -> int:
        """The number of the shard of a run."""
        return 0 if self.count == 1 else hash_in_run_id(run_id) % self.count

    def of_kind(self, kind: Shard) -> Keys:
        """The keys of a kind of records that has one shard."""
        assert kind is not Shard.THREAD, "threads have several shards"
        return self._tagged(kind.value, kind)

    @property
    def home(self) -> Keys:
        """The keys of the first shard of threads, which decides about records that all shards have a copy of."""
        return self.threads[0]

    @property
    def layout(self) -> Keys:
        """The keys of the layout record, which is read before the number of shards is known: its name has no tag."""
        return Keys(self.prefix, Shard.LAYOUT if self.tagged else None)

    @property
    def idempotency(self) -> Keys:
        """The keys of idempotency keys. Each stands alone, so they have no tag, and are spread over all slots."""
        return Keys(self.prefix, Shard.IDEMPOTENCY if self.tagged else None)

    @property
    def every(self) -> tuple[Keys, ...]:
        """The keys of every shard, of threads and of other kinds."""
        if not self.tagged:
            return self.threads
        untagged = (Shard.THREAD, Shard.LAYOUT, Shard.IDEMPOTENCY)
        return (*self.threads, *(self.of_kind(kind) for kind in Shard if kind not in untagged))

    @property
    def only(self) -> Keys:
        """The keys of all records, if there is one shard without tags."""
        assert not self.tagged, "this deployment has several shards"
        return self.threads[0]
