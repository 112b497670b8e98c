"""Checks at the start of a process: whether the settings match the data that is stored in Redis.

Without this check, a deployment that loses a setting would start: it would find no threads, or store unencrypted states
beside encrypted ones. So a process does not start if the stored data shows that a setting is missing.
"""

from __future__ import annotations

from typing import Final

import hiredis
import structlog

from slipway.checkpoints import requirements
from slipway.checkpoints.encryption_check import are_encrypted
from slipway.encryption_at_rest.process_keys import check_keys, process_keys
from slipway.environment_variables import variable_of
from slipway.errors import ConfigError
from slipway.health.layout_upgrades import UPGRADES
from slipway.health.reads import HealthReads
from slipway.progress import ShowProgress, show_nothing
from slipway.redis.cluster_requirements import check_shards
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.deployment_shards import shards_of
from slipway.redis.layout import LayoutRecord
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.renamed_settings import advice, renamed_settings_in
from slipway.settings import Settings

log = structlog.get_logger(__name__)

_PATIENCE_S: Final = 10.0


async def check(
    settings: Settings,
    url: str,
    *,
    upgrade: bool = True,
    accept_older: bool = False,
    may_be_first: bool = False,
    show: ShowProgress = show_nothing,
) -> None:
    """Raises `ConfigError` when the server at `url` does not support the checkpointer, or when its data was written
    with other settings or by a release with a newer layout. Logs a warning for each setting that is set under its
    former name. With `upgrade`, the layout of this release is stored if there are no data, and data of an older layout
    are upgraded, which `show` reports; without it they are rejected, unless `accept_older`, and the layout is
    stored only with `may_be_first`. Opens one connection. Raises `StoreUnavailable`."""
    await requirements.check(settings, url)
    former = renamed_settings_in()
    address, shards = Address(url), shards_of(settings)
    check_shards(address, shards)
    pipeline = pipeline_to(address, "slipway check", patience_s=_PATIENCE_S)
    await pipeline.open()
    try:
        await _check_renamed_prefix(settings, former, pipeline)
        await _check_encryption(settings, former, pipeline)
        layout = LayoutRecord(pipeline, shards)
        if upgrade:
            async with process_keys(settings, pipeline, shards.encryption):
                await layout.check_or_upgrade(UPGRADES, show)
        else:
            await layout.check(accept_older=accept_older, may_be_first=may_be_first)
    except hiredis.ReplyError as error:  # an older server, or a user that is not authorized to read these keys
        log.warning("settings.not_checked", problem=f"the stored data cannot be read: {error}")
    finally:
        await pipeline.close()
    for setting in former:
        log.warning("settings.renamed", variable=setting.upper(), problem=advice(setting))


async def _check_renamed_prefix(settings: Settings, former: dict[str, str], pipeline: Pipeline) -> None:
    """Raises `ConfigError` if a setting is set only under its former name and would select other data that exists."""
    prefix = former.get("key_prefix", settings.key_prefix)
    if prefix != settings.key_prefix and await HealthReads(pipeline, Shards(prefix)).has_threads():
        raise ConfigError(f"{advice('key_prefix')}. Redis holds threads under that prefix")
    names = ("checkpointer",) if settings.checkpointer == "core" else ("langgraph_redis_prefix",)
    without_effect = [name for name in names if former.get(name) not in (None, getattr(settings, name))]
    if without_effect and await HealthReads(pipeline, shards_of(settings)).has_threads():
        raise ConfigError(f"{advice(without_effect[0])}. The threads in Redis may be stored that way")


async def _check_encryption(settings: Settings, former: dict[str, str], pipeline: Pipeline) -> None:
    """Raises `ConfigError` if values may be encrypted with a key that the setting does not have."""
    is_renamed = settings.encryption_key is None and "encryption_key" in former
    hint = f". {advice('encryption_key')}" if is_renamed else ""
    try:
        await check_keys(settings, pipeline, shards_of(settings).encryption)
    except ConfigError as error:
        raise ConfigError(f"{error}{hint}") from None
    if settings.encryption_key is None and await are_encrypted(pipeline, shards_of(settings), settings):
        raise ConfigError(
            f"the states in Redis are encrypted, and {variable_of('encryption_key')} is not set: set it to the key "
            f"that encrypted them{hint}"
        )
