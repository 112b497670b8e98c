"""Whether a run may be made on its thread: the part of it that no script can decide.

A filter that wants more than equal texts is asked here, of the thread as it is stored. The script that makes the run
then looks whether the fields that the filter saw are still the same, so nothing slips in between.
"""

from __future__ import annotations

from typing import Final

from slipway.access.filtered_reads import MEMBER
from slipway.access.filters import AccessFilter
from slipway.errors import NotFound
from slipway.runs.reads import RunReads

Seen = dict[str, str | bool]
"""Fields of a thread's record as they are stored; false for one that is not there."""

_BORN: Final = "created_us"


async def seen(reads: RunReads, thread_id: str, only: AccessFilter) -> Seen:
    """What `only` looks at, of a thread that it lets through or that does not exist yet: whether it may be made is for
    the script to decide. `NotFound` for any other."""
    held = await reads.thread_filtered(thread_id, only)
    exists = held.plain[0] is not None
    if exists and not only.matches(held.metadata):
        raise NotFound("thread", thread_id)
    texts = {_BORN: held.plain[0]} | {MEMBER + name: text for name, text in held.members.items()}
    return {name: False if text is None else text.decode() for name, text in texts.items()}
