"""The shards of a deployment: which keys live together, so that one script can change them.

A shard has a key prefix of its own, so a script that receives this prefix uses keys of that shard only. On a Redis
Cluster the prefix has a hash tag, `slipway{7}`, so all keys of a shard are in one slot. The threads, with everything
that must agree with them, are divided among `count` shards. Records of other kinds (assistants, crons, …) have one
shard for each kind: `slipway{crons}`.

A deployment with one shard has no tags: all kinds have the key prefix itself. A cluster needs several shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from slipway.errors import Conflict
from slipway.redis.catalogue.declarations import Shard
from slipway.redis.catalogue.key_kinds import SHARDS
from slipway.redis.keys import Keys
from slipway.redis.shard_ids import hash_in_run_id, ids_like, thread_hash

_NAMED_BY_THREAD: Final = frozenset(
    name
    for name in SHARDS
    if name.startswith(("thread_", "checkpoint")) and name not in ("checkpoint_threads", "thread_crons")
) | {"thread"}
_NAMED_BY_RUN: Final = frozenset({"run", "events", "events_copy", "checkpoint_threads"}) | {
    name for name in SHARDS if name.startswith("run_")
}
_NAMED_AFTER_RUN: Final = frozenset({"review", "delivery", "delivery_tries"})
"""Kinds whose ids begin with the id of a run, before a colon or an at sign, or end as it does."""


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards under one key prefix. `count` is the number of shards of threads."""

    prefix: str
    count: int = 1
    threads: tuple[Keys, ...] = field(init=False, compare=False, repr=False)
    """The keys of each shard of threads, by its number."""
    records: Keys = field(init=False, compare=False, repr=False)
    """The names of keys that belong to one thread, run, review or delivery, whose id says the shard. It has no other
    names, and no key prefix for scripts."""

    def __post_init__(self) -> None:
        numbered = (self._tagged(str(number), Shard.THREAD) for number in range(self.count))
        object.__setattr__(self, "threads", tuple(numbered))
        object.__setattr__(self, "records", RecordKeys(self) if self.tagged else self.threads[0])

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

    def id_beside(self, thread_id: str, seed: str) -> str:
        """The id of another thread in the shard of `thread_id`: the UUID `seed`, whose last digits may differ. The same
        seed and thread give the same id."""
        number = self.number_of_thread(thread_id)
        return next(each for each in ids_like(seed) if self.number_of_thread(each) == number)

    def check_copy(self, source: str, thread_id: str) -> None:
        """Raises `Conflict` unless a copy of the thread `source` can have this id: both must be in one shard, so that
        one script copies it (`id_beside`)."""
        if self.number_of_thread(source) != self.number_of_thread(thread_id):
            raise Conflict(
                f"a copy of thread {source} cannot have the id {thread_id}, which belongs to another shard: "
                "`POST /threads/THREAD/copy` chooses an id"
            )

    def of_delivery(self, delivery_id: str) -> Keys:
        """The keys of the shard of a delivery: that of the run in its id, or of the run whose last digits it has."""
        return self.threads[self.number_of_delivery(delivery_id)]

    def number_of_delivery(self, delivery_id: str) -> int:
        """The number of the shard of a delivery."""
        return self.number_of_run(delivery_id.partition("@")[0])

    def of_kind(self, kind: Shard) -> Keys:
        """The keys of a kind of records that has one shard."""
        assert kind is not Shard.THREAD, "threads have several shards"
        return self._tagged(kind.value, kind)

    @property
    def assistants(self) -> Keys:
        return self.of_kind(Shard.ASSISTANTS)

    @property
    def crons(self) -> Keys:
        return self.of_kind(Shard.CRONS)

    @property
    def store(self) -> Keys:
        return self.of_kind(Shard.STORE)

    @property
    def access(self) -> Keys:
        return self.of_kind(Shard.ACCESS)

    @property
    def hooks(self) -> Keys:
        return self.of_kind(Shard.HOOKS)

    @property
    def processes(self) -> Keys:
        return self.of_kind(Shard.PROCESSES)

    @property
    def clients(self) -> Keys:
        return self.of_kind(Shard.CLIENTS)

    @property
    def limits(self) -> Keys:
        return self.of_kind(Shard.LIMITS)

    @property
    def targets(self) -> Keys:
        return self.of_kind(Shard.TARGETS)

    @property
    def encryption(self) -> Keys:
        return self.of_kind(Shard.ENCRYPTION)

    @property
    def migration(self) -> Keys:
        return self.of_kind(Shard.MIGRATION)

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
        return self.threads[0]


@dataclass(frozen=True, slots=True)
class RecordKeys(Keys):
    """See `Shards.records`."""

    shards: Shards = field(default_factory=lambda: Shards(""))

    def __init__(self, shards: Shards) -> None:
        object.__setattr__(self, "prefix", shards.prefix)
        object.__setattr__(self, "shard", Shard.THREAD)
        object.__setattr__(self, "shards", shards)

    def pattern(self, kind: str) -> str:
        """A glob that matches every key of a kind in every shard."""
        return super(RecordKeys, self).pattern(kind).replace(":", "{*}:", 1)

    def _of(self, kind: str, *ids: str) -> str:
        return self._shard_of(kind, *ids).named(kind, *ids)

    def _shard_of(self, kind: str, *ids: str) -> Keys:
        if kind in _NAMED_BY_THREAD:
            return self.shards.of_thread(ids[0])
        if kind in _NAMED_BY_RUN:
            return self.shards.of_run(ids[0])
        assert kind in _NAMED_AFTER_RUN, f"the id of {kind} does not say its shard"
        return self.shards.of_run(ids[0].partition(":")[0].partition("@")[0])
