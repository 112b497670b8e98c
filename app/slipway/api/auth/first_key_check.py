"""A web process that other machines can reach does not start before somebody can be authenticated."""

from __future__ import annotations

from typing import Final

import structlog

from slipway.access.required_keys import keys_are_required
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.store import ApiKeyStore
from slipway.environment_variables import variable_of
from slipway.errors import ConfigError
from slipway.graphs.official_sections import AuthSection
from slipway.loopback import is_loopback
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.deployment_shards import shards_of
from slipway.settings import Settings

log = structlog.get_logger(__name__)

_PATIENCE_S: Final = 10.0


async def check(settings: Settings, section: AuthSection) -> None:
    """Raises `ConfigError` if other machines can reach the process, only API keys authenticate, and Redis has none that
    is valid. Logs a warning if there are keys and nobody needs one. Opens one connection. Raises `StoreUnavailable`."""
    if section.path is not None or settings.jwt_issuer is not None:
        return
    has_key = await _has_active_key(settings)
    if not keys_are_required(settings):
        if has_key:
            log.warning(
                "access.keys_not_needed",
                problem="there are API keys, and every request is accepted without one",
                fix=f"{variable_of('require_keys')}=1",
            )
    elif not has_key and not is_loopback(settings.host):
        raise ConfigError(
            f"other machines can reach {settings.host}, and nobody could be authenticated: create the first key with "
            "`slipway keys create --scope administer`, or set auth.path in langgraph.json or "
            f"{variable_of('jwt_issuer')}; {variable_of('require_keys')}=0 starts without, and then everybody who "
            "reaches the port may read, change and delete everything"
        )
    elif not has_key:
        log.warning(
            "access.no_key",
            problem="a key is needed for each request, and there is none",
            fix="slipway keys create --scope administer",
        )


async def _has_active_key(settings: Settings) -> bool:
    pipeline = pipeline_to(Address(settings.redis), "slipway keys", patience_s=_PATIENCE_S)
    await pipeline.open()
    try:
        return await ApiKeyStore(ApiKeyScripts(pipeline, shards_of(settings).access)).has_active()
    finally:
        await pipeline.close()
