"""The keys of assistants."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_ASSISTANT_FIELDS: Final = (
    Field("created_us", Encoding.TIME_US, "When it was created."),
    Field("updated_us", Encoding.TIME_US, "When its current version was created or set."),
    Field(
        "token",
        Encoding.TEXT,
        "A random text of the last request that changed it, so that a repetition is recognised.",
        scripts_only=True,
    ),
    Field("version", Encoding.INTEGER, "Its current version."),
    Field("newest_version", Encoding.INTEGER, "The highest version number; a number is used once.", scripts_only=True),
    Field(
        "content",
        Encoding.MSGPACK,
        (
            "The content of the current version: graph_id, name, description, config, context, metadata, created_us, "
            "and terms, the packed index terms of the metadata."
        ),
    ),
    Field("v:*", Encoding.MSGPACK, "The content of one version, by its number.", absent="there is no such version"),
    Field(
        "m:*",
        Encoding.JSON,
        "One member of the current version's metadata, for access filters.",
        absent="the metadata has no such member",
    ),
    Field(
        "members_of_us",
        Encoding.TIME_US,
        ("The `updated_us` for which the `m:*` fields were written; another value means that they are out of date."),
    ),
)

_SYSTEM_ASSISTANTS_FIELDS: Final = (Field("*", Encoding.TIME_US, "By graph: since when it has its system assistant."),)

KEY_KINDS: Final = (
    KeyKind(
        "assistant",
        ":assistant:%s",
        RedisType.HASH,
        Shard.ASSISTANTS,
        meaning="The record of an assistant, with the content of each version.",
        lifetime="until it is deleted",
        python_readers=("slipway.assistants", "slipway.access"),
        fields=_ASSISTANT_FIELDS,
    ),
    KeyKind(
        "assistants",
        ":assistants",
        RedisType.ZSET,
        Shard.ASSISTANTS,
        meaning="All assistants that clients created, by created_at in µs.",
        lifetime="forever",
        python_readers=("slipway.assistants", "slipway.health"),
    ),
    KeyKind(
        "graph_assistants",
        ":assistants:graph:%s",
        RedisType.ZSET,
        Shard.ASSISTANTS,
        meaning="The assistants of one graph, by created_at in µs.",
        lifetime="while the graph has any",
        python_readers=("slipway.assistants",),
    ),
    KeyKind(
        "assistants_with",
        ":assistants:with:%s",
        RedisType.ZSET,
        Shard.ASSISTANTS,
        meaning="The assistants whose metadata have one index term, by created_at in µs.",
        lifetime="while there are such assistants",
        python_readers=("slipway.assistants",),
    ),
    KeyKind(
        "assistants_by",
        ":assistants:by:%s",
        RedisType.ZSET,
        Shard.ASSISTANTS,
        meaning=(
            "All assistants in one order: `updated_at` in µs, or `assistant_id`, `name` or `graph_id`, where all "
            "scores are 0 and, in the last two, a member is `<text>\\0<assistant>`."
        ),
        lifetime="while there are assistants",
        python_readers=("slipway.assistants",),
    ),
    KeyKind(
        "system_assistants",
        ":assistants:system",
        RedisType.HASH,
        Shard.ASSISTANTS,
        meaning="The system assistants.",
        lifetime="forever",
        python_readers=("slipway.assistants",),
        fields=_SYSTEM_ASSISTANTS_FIELDS,
    ),
)
