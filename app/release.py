"""What would keep a new release from serving: looked at before a deploy replaces the old one."""

from __future__ import annotations

from typing import Final

from app.errors import StoreUnavailable
from app.link import Address
from app.wire import Wire

OLDEST_REDIS: Final = (6, 2)
_PATIENCE_S: Final = 10.0


async def redis_problems(url: str) -> list[str]:
    """What is wrong with the server at `url`: nothing that says so can be fixed by starting again."""
    wire = Wire(Address(url), "release", patience_s=_PATIENCE_S)
    try:
        await wire.open()
        facts = _facts(await wire.send("INFO", again=True))
    except StoreUnavailable as error:
        return [str(error)]
    finally:
        await wire.close()
    return [*_age(facts), *_eviction(facts)]


def _facts(info: bytes | str) -> dict[str, str]:
    text = info.decode() if isinstance(info, bytes) else info
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _age(facts: dict[str, str]) -> list[str]:
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) >= OLDEST_REDIS:
        return []
    return [f"Redis {version} is too old: Redis 6.2 or Valkey 7.2 is the least"]


def _eviction(facts: dict[str, str]) -> list[str]:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return []
    return [f"Redis drops keys when it is full (maxmemory-policy {policy}); runs would be lost: set it to noeviction"]
