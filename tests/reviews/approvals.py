"""Calls `call_approval` of the Lua library of reviews, as the tool gateway does inside its scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.script_source import code_of, code_to_send, libraries_of, statements_of, with_key_names

_TEXT = """--! needs: reviews
local found = call_approval(ARGV[2], ARGV[3], ARGV[4])
return found and found.count >= tonumber(ARGV[5]) and found.by or false
"""


def approved_call(
    pipeline: Pipeline, keys: Keys, thread_id: str, call: str
) -> Callable[[str, int], Awaitable[list[bytes] | None]]:
    """A function of a hash and a quorum: who approved the call, or None if that is not enough."""
    statements = [each for library in libraries_of(_TEXT) for each in statements_of(library)]
    code = code_to_send(statements, with_key_names(code_of(_TEXT)), frozenset())
    script = Script("approved", code, hashlib.sha1(code.encode(), usedforsecurity=False).hexdigest(), repeatable=True)

    async def approved(call_hash: str, quorum: int) -> list[bytes] | None:
        found: list[bytes] | None = await pipeline.run(script, [], [keys.prefix, thread_id, call, call_hash, quorum])
        return found

    return approved
