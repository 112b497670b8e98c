"""The keys of traces: the spans of runs, and what is needed to delete them in time."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import KeyKind, RedisType, Shard

KEY_KINDS: Final = (
    KeyKind(
        "run_trace",
        ":run:%s:trace",
        RedisType.LIST,
        Shard.THREAD,
        meaning=(
            "The spans of a run. Each entry is what one write group has stored (`slipway.tracing.stored_form`), or the "
            "end of an attempt whose worker died."
        ),
        lifetime="`trace_retention_s` after the first entry, less if all traces have more than `trace_max_bytes`; "
        "deleted with the run",
        python_readers=("slipway.tracing",),
    ),
    KeyKind(
        "traces",
        ":traces",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The runs that have stored spans, by the time when the first was stored, in ms.",
        lifetime="while there are such runs",
    ),
    KeyKind(
        "trace_bytes",
        ":traces:bytes",
        RedisType.STRING,
        Shard.THREAD,
        meaning="How many bytes all stored spans have, with 300 for each run.",
        lifetime="always, once a span was stored",
    ),
)
