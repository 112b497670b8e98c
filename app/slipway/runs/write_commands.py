"""Commands that an attempt adds to its write groups: they are executed only while the attempt owns its run."""

from __future__ import annotations

from slipway.redis.keys import Keys
from slipway.redis.redis_commands import RedisCommand


def append_audit(keys: Keys, run_id: str, action: str, actor: str, details_json: str) -> RedisCommand:
    """Appends an entry to the audit trail of the run (`audit.AuditEntry`)."""
    return ("XADD", keys.run_audit(run_id), "*", "action", action, "actor", actor, "details", details_json)


def clear_suspect(keys: Keys, run_id: str) -> tuple[RedisCommand, RedisCommand]:
    """Removes the run from the crash suspects, and sets its number of crashes to 0."""
    fields = ("crashes", "crashed_attempt", "crashed_worker")
    return ("HDEL", keys.run(run_id), *fields), ("SREM", keys.running_suspects, run_id)
