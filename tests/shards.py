"""Shards for tests that know only the keys, and names of threads and runs that are in one shard."""

from __future__ import annotations

from itertools import count

from slipway.redis.keys import Keys
from slipway.redis.shard_ids import thread_hash
from slipway.redis.shards import RecordKeys, Shards


def shards_of(keys: Keys) -> Shards:
    """The shards to which these keys belong."""
    return keys.shards if isinstance(keys, RecordKeys) else Shards(keys.prefix)


def run_on(thread_id: str, name: str) -> str:
    """A short id of a run on this thread. As each id of a run it ends with the hash of the thread."""
    return f"{name}-{thread_hash(thread_id):03x}"


def beside(thread_id: str) -> str:
    """A short id of another thread that is in the shard of this one, however many shards there are."""
    names = (f"{thread_id}-{number}" for number in count())
    return next(name for name in names if thread_hash(name) == thread_hash(thread_id))
