"""The ids of threads and runs as shards see them.

The shard of a thread follows from a hash of its id. The id of a run ends with the hash of its thread, so whoever has
only the id of a run knows its shard too. The hash has 12 bits, which is more than any deployment has shards: an id
stays right when a deployment is moved to another number of shards.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from typing import Final
from uuid import UUID

_DIGITS: Final = 3
_MASK: Final = (1 << (4 * _DIGITS)) - 1


def shard_in(key: str) -> str:
    """The prefix of a shard, up to its hash tag, with which a key or a key prefix begins: `slipway{7}`. "" for a key
    without a tag."""
    end = key.find("}")
    return key[: end + 1] if "{" in key[: max(end, 0)] else ""


def thread_hash(thread_id: str) -> int:
    """The hash of a thread's id, 12 bits: CRC-16 as Redis Cluster computes it for its slots, without the first bits."""
    return crc_hqx(thread_id.encode(), 0) & _MASK


def hash_in_run_id(run_id: str) -> int:
    """The hash of the thread of a run, from the id of the run. 0 for a text that is no id of a run: there is none
    anywhere."""
    try:
        return int(run_id[-_DIGITS:], 16)
    except ValueError:
        return 0


def run_id_beside(run_id: str, seed: str) -> str:
    """The id of another run on the thread of `run_id`: the UUID `seed` with the last digits of that id."""
    return _ending_with(hash_in_run_id(run_id), seed)


def run_id_on(thread_id: str, seed: str) -> str:
    """The id of a run on this thread: the UUID `seed`, whose last digits become the hash of the thread. The same seed
    and thread give the same id."""
    return _ending_with(thread_hash(thread_id), seed)


def ids_like(seed: str) -> Iterator[str]:
    """UUIDs that differ from the UUID `seed` in their last digits only, beginning with the seed itself. Each hash of a
    thread is that of about one of them."""
    first = hash_in_run_id(seed)
    return (_ending_with((first + step) & _MASK, seed) for step in range(_MASK + 1))


def _ending_with(hash_: int, seed: str) -> str:
    return str(UUID(seed))[:-_DIGITS] + f"{hash_:0{_DIGITS}x}"
