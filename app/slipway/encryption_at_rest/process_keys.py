"""The encryption keys of a process: those of its settings, and the key of keyed digests, which is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slipway.encryption_at_rest.key_record import KeyRecord
from slipway.environment_variables import variable_of
from slipway.errors import ConfigError, StoredDataError
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.at_rest import provide_encryption
from slipway.serialization.encryption import Encryption
from slipway.settings import Settings


def encryption_of(settings: Settings) -> Encryption | None:
    """The keys of `SLIPWAY_ENCRYPTION_KEY`; None if it is not set. Raises `ConfigError`."""
    key = settings.encryption_key
    return None if key is None else Encryption.from_text(key.get_secret_value())


@asynccontextmanager
async def process_keys(
    settings: Settings, pipeline: Pipeline, keys: Keys, *, writes: bool = True
) -> AsyncIterator[None]:
    """Inside the block, the process seals and opens stored values with the keys of the settings. Three round trips
    if there are any, none otherwise. From then on every process needs the keys; without `writes` nothing is recorded,
    for a process that only opens values. Raises `ConfigError` if other keys are needed."""
    encryption = encryption_of(settings)
    if encryption is None:
        with provide_encryption(None):
            yield
        return
    record = KeyRecord(pipeline, keys)
    try:
        digest_key = await (record.digest_key(encryption) if writes else record.known_digest_key(encryption))
    except StoredDataError as error:
        raise ConfigError(f"{variable_of('encryption_key')} lacks a key that is needed: {error}") from error
    if writes:
        await record.add(encryption.first_name)  # not before one of the keys has decrypted something
    with provide_encryption(encryption, digest_key, plain_digests=not await record.digests_are_keyed()):
        yield


async def check_keys(settings: Settings, pipeline: Pipeline, keys: Keys) -> None:
    """Raises `ConfigError` if a key is missing with which stored values may be encrypted. One round trip."""
    needed, encryption = await KeyRecord(pipeline, keys).names(), encryption_of(settings)
    given = [] if encryption is None else encryption.names
    missing = [name for name in needed if name not in given]
    if not missing:
        return
    variable, named = variable_of("encryption_key"), " and ".join(missing)
    has = f"it has {' and '.join(given)}" if given else "it is not set"
    raise ConfigError(
        f"values in Redis may be encrypted with the key named {named}, which {variable} does not have ({has}): add it "
        "at the end of the list. Nothing is lost. A key may be removed when `slipway encryption rotate` has ended"
    )
