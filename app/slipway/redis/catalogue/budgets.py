"""The keys of budgets."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_BUDGET_FIELDS: Final = (
    Field(
        "*",
        Encoding.INTEGER,
        "What was used in the period: `tokens`, `cost_usd` (in nano-dollars), `tool_calls`, `runs`. Calls that have not"
        " ended count with the most that they may use.",
    ),
    Field(
        "told:*",
        Encoding.TEXT,
        "By what is counted: the state (`warning` or `used_up`) and the limit of the last event for webhooks.",
        absent="there was nothing to tell",
        scripts_only=True,
    ),
)

KEY_KINDS: Final = (
    KeyKind(
        "budget",
        ":budget:%s",
        RedisType.HASH,
        Shard.LIMITS,
        meaning=(
            "One period of a budget, by its scope, its period, its first day and its name: `owner|day|2026-01-31|ann`."
        ),
        lifetime="until the end of the period",
        python_readers=("slipway.budget_counts",),
        fields=_BUDGET_FIELDS,
    ),
    KeyKind(
        "budgets_used",
        ":budgets",
        RedisType.ZSET,
        Shard.LIMITS,
        meaning="The budgets of which something was used, by the end of the period in ms.",
        lifetime="while there are such budgets",
        python_readers=("slipway.budget_counts",),
    ),
    KeyKind(
        "budget_reserver",
        ":budget_reserver:%s",
        RedisType.STRING,
        Shard.LIMITS,
        meaning=(
            "The revisions of the reservations that an attempt, or the creation of a run, made last in budgets,"
            " separated by commas. A reservation that is sent again is not counted again."
        ),
        lifetime="until 10 minutes after the last reservation",
    ),
    KeyKind(
        "budget_events",
        ":budget_events",
        RedisType.HASH,
        Shard.LIMITS,
        meaning="The new states of budgets of which webhook endpoints were not told.",
        lifetime="while there are such states",
        python_writers=("slipway.budget_counts",),
        python_readers=("slipway.budget_counts",),
        fields=(
            Field(
                "*",
                Encoding.MSGPACK,
                "By budget, what is counted, state and limit: the event (see `redis/lua/lib/budgets.lua`). It stays"
                " while no endpoint is subscribed to anything, until the period ends.",
                python_writers=("slipway.budget_counts",),
            ),
        ),
    ),
)
