"""The keys of graph versions: what was registered, what workers serve, and the runs that wait for a version."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_VERSION_FIELDS: Final = (
    Field(
        "*",
        Encoding.JSON,
        "By `<graph>@<version>`: its number, schema and build, whether langgraph.json declares it, and when it was"
        " registered first.",
    ),
)

_NUMBERS_FIELDS: Final = (
    Field("*", Encoding.INTEGER, "By graph: the number of its newest version.", scripts_only=True),
)

_STRUCTURES_FIELDS: Final = (
    Field("*", Encoding.BYTES, "By schema: the structure of a graph as JSON, compressed if it is large."),
)

_BUILDS_FIELDS: Final = (Field("*", Encoding.JSON, "By id: what the runs of a version were built from."),)

_GROUPS_FIELDS: Final = (
    Field("*", Encoding.MSGPACK, "By group: its graphs, and of each the versions with their schemas and builds."),
)

_LANES_FIELDS: Final = (Field("*", Encoding.BOOLEAN, "By lane: whether a live worker serves its version."),)

KEY_KINDS: Final = (
    KeyKind(
        "graph_versions",
        ":versions",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The versions of graphs that processes have registered.",
        lifetime="forever",
        python_readers=("slipway.graph_versions",),
        fields=_VERSION_FIELDS,
    ),
    KeyKind(
        "version_numbers",
        ":versions:numbers",
        RedisType.HASH,
        Shard.THREAD,
        meaning="How the versions of a graph are numbered: a newer one has a greater number.",
        lifetime="forever",
        fields=_NUMBERS_FIELDS,
    ),
    KeyKind(
        "graph_structures",
        ":versions:structures",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The structures of graphs, of all versions that were registered.",
        lifetime="forever",
        python_readers=("slipway.graph_versions",),
        fields=_STRUCTURES_FIELDS,
    ),
    KeyKind(
        "builds",
        ":versions:builds",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The builds of all versions that were registered.",
        lifetime="forever",
        python_readers=("slipway.graph_versions",),
        fields=_BUILDS_FIELDS,
    ),
    KeyKind(
        "worker_versions",
        ":versions:workers",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Workers that claim runs, `<group> <worker>`, by the time in ms until which each counts as live.",
        lifetime="an hour after the last heartbeat",
        python_readers=("slipway.graph_versions",),
    ),
    KeyKind(
        "version_groups",
        ":versions:groups",
        RedisType.HASH,
        Shard.THREAD,
        meaning="What workers serve. Workers that serve the same versions are one group.",
        lifetime="while the group has a worker",
        python_readers=("slipway.graph_versions",),
        fields=_GROUPS_FIELDS,
    ),
    KeyKind(
        "version_lanes",
        ":queue:versions",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The lanes that have jobs.",
        lifetime="while there are such lanes",
        python_readers=("slipway.graph_versions", "slipway.health"),
        fields=_LANES_FIELDS,
    ),
    KeyKind(
        "version_queue",
        ":queue:version:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "A lane: due jobs, by rank, of runs that need a version which the worker that claimed them first does not "
            "serve. Its id is `<graph>@<version>`, with `!` at its end if they may execute on no other version."
        ),
        lifetime="until they are claimed",
        python_readers=("slipway.health",),
    ),
)
