"""Commands that a meter adds to the write groups of its attempt."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.budgets import BudgetEntry
from slipway.redis.keys import Keys
from slipway.redis.redis_commands import RedisCommand


def store_metered(keys: Keys, run_id: str, metered: str, revision: int) -> RedisCommand:
    """Stores what the chain has used of models and tools, unless something newer is stored."""
    return ("STORE_METERED", keys.run(run_id), metered, revision)


def add_to_budgets(keys: Keys, entries: Sequence[BudgetEntry]) -> list[RedisCommand]:
    """Adds the amounts, which may be negative, without comparing them with the limits. A budget whose period has ended
    does not exist afterwards."""
    commands: list[RedisCommand] = []
    for budget_id, field, amount, _, ends_ms in entries:
        name = keys.budget(budget_id)
        commands += [("HINCRBY", name, field, amount), ("PEXPIREAT", name, ends_ms)]
        commands.append(("ZADD", keys.budgets_used, ends_ms, budget_id))
    return commands
