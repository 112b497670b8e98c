"""One object for each shard of threads: usually the stubs of scripts, or of reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from slipway.redis.keys import Keys
from slipway.redis.shards import Shards

T = TypeVar("T")


class PerShard(Generic[T]):
    """What `make` returns for the keys of each shard, in the order of the shards."""

    __slots__ = ("_each", "shards")

    def __init__(self, shards: Shards, make: Callable[[Keys], T]) -> None:
        self.shards = shards
        self._each = tuple(map(make, shards.threads))

    def of_thread(self, thread_id: str) -> T:
        """The object of the shard of a thread."""
        return self._each[self.shards.number_of_thread(thread_id)]

    def of_run(self, run_id: str) -> T:
        """The object of the shard of a run."""
        return self._each[self.shards.number_of_run(run_id)]

    def __getitem__(self, number: int) -> T:
        return self._each[number]

    def __iter__(self) -> Iterator[T]:
        return iter(self._each)

    def __len__(self) -> int:
        return len(self._each)
