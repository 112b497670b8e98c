"""The bases of the script stubs: typed methods that each call one Lua script, in one round trip."""

from __future__ import annotations

from collections.abc import Mapping

import ormsgpack

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import RecordKeys, Shards


class ScriptStubs:
    """Calls scripts on one pipeline, with the keys of one shard."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        assert not isinstance(keys, RecordKeys), "a script uses the keys of one shard"
        self._pipeline, self._keys = pipeline, keys

    def _args(self, **arguments: object) -> tuple[str, bytes]:
        """See `arguments_for`."""
        return arguments_for(self._keys, arguments)


class RecordScriptStubs:
    """Calls scripts on one pipeline. Each method has the id of a record, whose shard it uses: `_shards.of_thread` or
    `_shards.of_run`. `_keys` names keys of single records."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._pipeline, self._shards, self._keys = pipeline, shards, shards.records

    def _of_thread(self, thread_id: str, /, **arguments: object) -> tuple[str, bytes]:
        """The arguments for the shard of a thread, with its id as `thread_id`. See `arguments_for`."""
        return arguments_for(self._shards.of_thread(thread_id), {**arguments, "thread_id": thread_id})

    def _of_run(self, run_id: str, /, **arguments: object) -> tuple[str, bytes]:
        """The arguments for the shard of a run, with its id as `run_id`. See `arguments_for`."""
        return arguments_for(self._shards.of_run(run_id), {**arguments, "run_id": run_id})


def arguments_for(keys: Keys, arguments: Mapping[str, object]) -> tuple[str, bytes]:
    """ARGV[1] and ARGV[2] of a script: the key prefix of a shard, and named arguments as one MessagePack map, without
    those that are None. For Lua, both are nil."""
    return keys.prefix, ormsgpack.packb({name: each for name, each in arguments.items() if each is not None})
