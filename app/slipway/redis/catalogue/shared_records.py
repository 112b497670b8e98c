"""The keys of shared records: which records of the first shard were changed when, and which changes a shard has."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_ACTOR_FIELDS: Final = (
    Field("*", Encoding.TEXT, "By name of the record: who made the last change of a switch.", scripts_only=True),
)

KEY_KINDS: Final = (
    KeyKind(
        "shared_changes",
        ":shared:changes",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "Every shared record that was ever changed (`switch NAME`, `rollout GRAPH`, `version GRAPH@VERSION`,"
            " `endpoint ID`), by its revision in this shard: a time in µs. Only with several shards."
        ),
        lifetime="for ever, also when the record was deleted",
        python_readers=("slipway.redis",),
    ),
    KeyKind(
        "shared_revisions",
        ":shared:revisions",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The last 1,000 revisions of shared records. Only in the first of several shards.",
        lifetime="for ever",
    ),
    KeyKind(
        "shared_actors",
        ":shared:actors",
        RedisType.HASH,
        Shard.THREAD,
        meaning="Who switched on what. Only in the first of several shards.",
        lifetime="for ever",
        fields=_ACTOR_FIELDS,
    ),
)
