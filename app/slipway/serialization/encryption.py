"""Encryption at rest: AES-256-GCM with several keys, so that a key can be replaced while the deployment runs.

The first key encrypts; every key decrypts. To rotate, put the new key first, and remove the old key when no stored
value is encrypted with it any more (`slipway encryption rotate`, `slipway encryption status`). Nonces are random, so
one key must not encrypt more than 2^32 values (NIST SP 800-38D, 8.3).

A value is authenticated together with the name of its key and its place (`serialization/places.py`): a value that
somebody has copied to another place does not decrypt there.
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
"""The first byte of every encrypted value. MessagePack never uses it and UTF-8 has no such byte, so encrypted and plain
values are distinct."""

_KEY_BYTES: Final = 32
_NAME_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16

OVERHEAD_BYTES: Final = len(MARK) + _NAME_BYTES + _NONCE_BYTES + _TAG_BYTES
"""How many bytes longer an encrypted value is."""


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

    @property
    def first_name(self) -> str:
        """The name of the key that encrypts."""
        return self._first.hex()

    @property
    def names(self) -> list[str]:
        """The names of all keys, the newest first: 8 hex digits each. A name says nothing about its key."""
        return [name.hex() for name in self._ciphers]

    def encrypt(self, plain: bytes, place: bytes = b"") -> bytes:
        """Returns mark, key name, nonce and the encrypted and authenticated value. Only `decrypt` with the same `place`
        reads it."""
        nonce = os.urandom(_NONCE_BYTES)
        prefix = MARK + self._first
        return prefix + nonce + self._ciphers[self._first].encrypt(nonce, plain, prefix + place)

    def decrypt(self, encrypted: bytes, place: bytes = b"") -> bytes:
        """Raises `StoredDataError` when the value is damaged, was encrypted for another place, or none of the keys
        decrypts it."""
        from cryptography.exceptions import InvalidTag

        nonce_at = len(MARK) + _NAME_BYTES
        prefix, nonce = encrypted[:nonce_at], encrypted[nonce_at : nonce_at + _NONCE_BYTES]
        cipher = self._ciphers.get(prefix[len(MARK) :])
        if cipher is None:
            raise StoredDataError(
                f"a stored value is encrypted with the key named {key_name(encrypted)}, which is not among those of "
                f"SLIPWAY_ENCRYPTION_KEY ({', '.join(self.names)}): add that key at the end of the list"
            )
        try:
            return cipher.decrypt(nonce, encrypted[nonce_at + _NONCE_BYTES :], prefix + place)
        except (InvalidTag, ValueError) as error:
            raise StoredDataError(
                f"a value that is encrypted with the key named {key_name(encrypted)} is damaged, or was stored "
                "somewhere else, or the key of that name is another one"
            ) from error


def key_name(encrypted: bytes) -> str:
    """The name of the key with which a value is encrypted that begins with `MARK`."""
    return encrypted[len(MARK) : len(MARK) + _NAME_BYTES].hex()


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
