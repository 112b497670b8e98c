"""From which shards a worker claims next. Shards that may have jobs take turns, and share its free slots."""

from __future__ import annotations


class ClaimTurns:
    """The shards that may have due jobs, in the order of their turns. At first all of them may."""

    def __init__(self, shards: int) -> None:
        self._pending = dict.fromkeys(range(shards))
        self._passable: set[int] = set()

    @property
    def pending(self) -> tuple[int, ...]:
        """The numbers of these shards."""
        return tuple(self._pending)

    def add(self, shard: int) -> None:
        """A shard may have due jobs. Its turn comes after those of all others."""
        self._pending.setdefault(shard)

    def woken(self, shard: int, *, others_wait: bool) -> None:
        """This worker was woken for jobs of a shard. If `others_wait`, another worker can be woken instead."""
        self.add(shard)
        if others_wait:
            self._passable.add(shard)

    def take(self, free: int) -> list[tuple[int, int]]:
        """The shards whose turn it is, and how many runs to claim from each: `free` in all. They are pending no
        longer."""
        shards = self.pending[:free]
        for shard in shards:
            del self._pending[shard]
            self._passable.discard(shard)
        return [(shard, len(range(turn, free, len(shards)))) for turn, shard in enumerate(shards)]

    def take_passable(self) -> frozenset[int]:
        """The shards for which another worker can be woken, because this one has no free slot. Each is returned once;
        it is still pending."""
        passable, self._passable = frozenset(self._passable), set()
        return passable
