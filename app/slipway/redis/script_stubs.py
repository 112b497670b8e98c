"""The base of the script stubs: typed methods that each call one Lua script, in one round trip."""

from __future__ import annotations

import ormsgpack

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline


class ScriptStubs:
    """Calls scripts on one pipeline, with the keys of one prefix."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys

    def _args(self, **arguments: object) -> tuple[str, bytes]:
        """ARGV[1] and ARGV[2] of a script: the key prefix, and its named arguments as one MessagePack map, without
        those that are None. For Lua, both are nil."""
        return self._keys.prefix, ormsgpack.packb({name: each for name, each in arguments.items() if each is not None})
