"""What would keep a new release from serving: looked at before a deploy replaces the old one."""

from __future__ import annotations

from typing import Final

from slipway.errors import ConfigError, StoreUnavailable
from slipway.health import start_checks
from slipway.health.findings import Level
from slipway.health.server_facts import read_server_info
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings

_PATIENCE_S: Final = 10.0


async def redis_problems(settings: Settings) -> list[str]:
    """What is wrong with the server: nothing that says so can be fixed by starting again."""
    pipeline = Pipeline(Address(settings.redis), "release", patience_s=_PATIENCE_S)
    try:
        await pipeline.open()
        facts = await read_server_info(pipeline)
    except StoreUnavailable as error:
        return [str(error)]
    finally:
        await pipeline.close()
    try:
        await start_checks.check(settings, settings.redis)
    except (ConfigError, StoreUnavailable) as error:
        return [str(error)]
    return [finding.detail for finding in facts.findings() if finding.level is Level.ERROR]
