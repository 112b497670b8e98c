"""Encryption at rest: AES-256-GCM with several keys, so that a key can be replaced while the deployment runs.

The first key encrypts; every key decrypts. To rotate, put the new key first, and remove the old key when no stored
value is encrypted with it any more. Nonces are random, so one key must not encrypt more than 2^32 values.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from slipway.errors import ConfigError, StoredDataError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK: Final = b"\xc1"
"""The first byte of every encrypted value. MessagePack never uses it, so encrypted and plain values are distinct."""

_KEY_BYTES: Final = 32
_NAME_BYTES: Final = 4
_NONCE_BYTES: Final = 12


class Encryption:
    """Encrypts with the first of `keys`, each 32 bytes, and decrypts with any of them. Raises `ConfigError`."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ConfigError(f"SLIPWAY_ENCRYPTION_KEY: a key is {_KEY_BYTES} bytes")
        self._ciphers: dict[bytes, AESGCM] = {_name(key): AESGCM(key) for key in keys}
        self._first = _name(keys[0])

    @classmethod
    def from_text(cls, text: str) -> Encryption:
        """The keys of a setting: base64 or hex, separated by commas, the newest first."""
        return cls([_key(part.strip()) for part in text.split(",")])

    def encrypt(self, plain: bytes) -> bytes:
        """Returns mark, key name, nonce and the encrypted and authenticated value."""
        nonce = os.urandom(_NONCE_BYTES)
        prefix = MARK + self._first
        return prefix + nonce + self._ciphers[self._first].encrypt(nonce, plain, prefix)

    def decrypt(self, encrypted: bytes) -> bytes:
        """Raises `StoredDataError` when the value is damaged or none of the keys decrypts it."""
        from cryptography.exceptions import InvalidTag

        nonce_at = len(MARK) + _NAME_BYTES
        prefix, nonce = encrypted[:nonce_at], encrypted[nonce_at : nonce_at + _NONCE_BYTES]
        cipher = self._ciphers.get(prefix[len(MARK) :])
        if cipher is None:
            raise StoredDataError(
                "a stored value is encrypted with a key that is not among those of SLIPWAY_ENCRYPTION_KEY"
            )
        try:
            return cipher.decrypt(nonce, encrypted[nonce_at + _NONCE_BYTES :], prefix)
        except (InvalidTag, ValueError) as error:
            raise StoredDataError("an encrypted value is damaged, or the key of its name is another one") from error


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"slipway key name" + key).digest()[:_NAME_BYTES]


def _key(text: str) -> bytes:
    try:
        key = (
            bytes.fromhex(text)
            if len(text) == 2 * _KEY_BYTES
            else base64.b64decode(text, altchars=b"-_", validate=True)
        )
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigError(
            f"SLIPWAY_ENCRYPTION_KEY: each key is {_KEY_BYTES} random bytes as base64 or hex "
            "(`openssl rand -base64 32`)"
        )
    return key
