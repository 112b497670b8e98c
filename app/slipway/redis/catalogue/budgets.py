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
        python_writers=("slipway.metering",),
    ),
    Field(
        "told:*",
        Encoding.TEXT,
        "By what is counted: the state (`warning` or `used_up`) and the limit of which webhook endpoints were told.",
        absent="no endpoint was subscribed, or there was nothing to tell",
        scripts_only=True,
    ),
)

KEY_KINDS: Final = (
    KeyKind(
        "budget",
        ":budget:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning=(
            "One period of a budget, by its scope, its period, its first day and its name: `owner|day|2026-01-31|ann`."
        ),
        lifetime="until the end of the period",
        python_writers=("slipway.metering",),
        python_readers=("slipway.metering",),
        fields=_BUDGET_FIELDS,
    ),
    KeyKind(
        "budgets_used",
        ":budgets",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The budgets of which something was used, by the end of the period in ms.",
        lifetime="while there are such budgets",
        python_readers=("slipway.metering",),
    ),
)
