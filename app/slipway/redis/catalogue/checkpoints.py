"""The keys of checkpoints, of both checkpointers."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_CHECKPOINT_STATE_FIELDS: Final = (
    Field(
        "c*",
        Encoding.BYTES,
        "By `<namespace>\\0<checkpoint>`: the record of a checkpoint.",
        python_writers=("slipway.checkpoints",),
        scripts_only=True,
    ),
    Field(
        "b*",
        Encoding.BYTES,
        (
            "By `<namespace>\\0<channel>\\0<version>`: the value of a channel, shared by all checkpoints that "
            "have this version."
        ),
        python_writers=("slipway.checkpoints",),
        scripts_only=True,
    ),
    Field(
        "n",
        Encoding.INTEGER,
        "Bytes stored for the thread, names included: what its budget counts.",
        unit="bytes",
        python_writers=("slipway.checkpoints",),
    ),
)

_CHECKPOINT_WRITES_FIELDS: Final = (
    Field(
        "*",
        Encoding.BYTES,
        (
            "By `<task>\\0<index>`: one pending write. As `joined <count>`: all pending writes of a superstep that "
            "has ended, as one value. As `dictionary`: the fields of the channel values with which that value is "
            "compressed, which stay stored as long as it."
        ),
        python_writers=("slipway.checkpoints",),
    ),
)

KEY_KINDS: Final = (
    KeyKind(
        "checkpoints",
        ":cp:%s:i",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "The checkpoints of a thread, as `<namespace>\\0<checkpoint>`, oldest first in a namespace; all "
            "scores are 0."
        ),
        lifetime="deleted with its thread",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
    ),
    KeyKind(
        "checkpoint_state",
        ":cp:%s:s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The checkpoints of a thread and the values of their channels.",
        lifetime="deleted with its thread",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
        fields=_CHECKPOINT_STATE_FIELDS,
    ),
    KeyKind(
        "checkpoint_writes",
        ":cp:%s:w:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The pending writes of one checkpoint, by thread and `<namespace>\\0<checkpoint>`.",
        lifetime="deleted with its checkpoint",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
        fields=_CHECKPOINT_WRITES_FIELDS,
    ),
    KeyKind(
        "documents",
        "<d>:<at>",
        RedisType.JSON,
        Shard.THREAD,
        meaning="A checkpoint with all its channel values, in the search index `<d>`.",
        lifetime="deleted with its thread",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
    ),
    KeyKind(
        "document_writes",
        "<d>_write:<at>:<task>:<index>",
        RedisType.JSON,
        Shard.THREAD,
        meaning="One pending write, in the search index `<d>_write`.",
        lifetime="deleted with its checkpoint",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
    ),
    KeyKind(
        "document_registries",
        "write_keys_zset:<at>",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "The names of the pending writes of a checkpoint. It has one name whatever the prefix, so it may "
            "name documents of another deployment: scripts use only those under their prefix."
        ),
        lifetime="deleted with its checkpoint",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
    ),
    KeyKind(
        "document_pointers",
        "<d>_latest:<thread>:<ns>",
        RedisType.STRING,
        Shard.THREAD,
        meaning="The name of the latest checkpoint of a namespace.",
        lifetime="deleted with its thread",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
    ),
    KeyKind(
        "document_bytes",
        ":documents:%s",
        RedisType.STRING,
        Shard.THREAD,
        meaning=("With `SLIPWAY_CHECKPOINTER=langgraph-redis`: bytes stored for the thread, which its budget counts."),
        lifetime="deleted with its thread",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
    ),
)
