"""Lets all tests of a process run with encryption at rest (`pytest --encrypted`)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from pydantic import SecretStr

from slipway.encryption_at_rest import process_keys
from slipway.serialization.at_rest import provide_encryption
from slipway.serialization.encryption import Encryption
from slipway.settings import Settings

KEY: Final = b"t" * 32
_FOR_EVER: Final = ExitStack()


def encrypt_everything() -> None:
    """Stores of this process have the key, and services whose settings have none."""
    configured, encryption = process_keys.encryption_of, Encryption([KEY])
    process_keys.encryption_of = lambda settings: configured(settings) or encryption
    _FOR_EVER.enter_context(provide_encryption(encryption, b"d" * 32))


def settings_with_key(settings: Settings) -> Settings:
    """The same settings with the key."""
    return settings.model_copy(update={"encryption_key": SecretStr(KEY.hex())})
