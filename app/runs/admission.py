"""Whether a run may be made on its thread: the part of it that no script can decide.

A filter that wants more than equal texts is asked here, of the thread as it is stored. The script that makes the run
then looks whether the fields that the filter saw are still the same, so nothing slips in between.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from app.access.filters import Filter
from app.errors import NotFound
from app.keyspace.names import Keys
from app.redis.wire import Wire

Seen = dict[str, str | bool]
"""Fields of a thread's record as they are stored; false for one that is not there."""

_BORN: Final = "created_us"


async def seen(wire: Wire, keys: Keys, thread_id: str, only: Filter, *, may_be_new: bool) -> Seen:
    """What `only` looks at, of a thread that it lets through or, where that is allowed, that does not exist yet.
    `NotFound` for any other."""
    names = sorted(only.names())
    fields = (_BORN, *(f"m:{name}" for name in names))
    held = await wire.send("HMGET", keys.thread(thread_id), *fields, again=True)
    metadata: dict[str, Any] = {
        name: orjson.loads(text) for name, text in zip(names, held[1:], strict=True) if text is not None
    }
    exists = held[0] is not None
    if not (only.fits(metadata) if exists else may_be_new):
        raise NotFound("thread", thread_id)
    return {name: False if text is None else text.decode() for name, text in zip(fields, held, strict=True)}
