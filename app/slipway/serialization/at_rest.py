"""How bytes become stored bytes and back: the one place that compresses and encrypts what is stored beside checkpoints.

`sealed` compresses large bytes, then encrypts them if the process has a key; `opened` reads every form that was ever
stored, so what a release without encryption wrote stays readable. Without a key both do what `compression.py` does, and
nothing else. Checkpoints and the results of tools are sealed by `serde.py`, with the same keys.

Where a value is an argument of a script that reads MessagePack, which knows no bytes there, it has a text form: `~`,
then base64. JSON begins with no such character, so texts are distinct as well. Only JSON may have a text form.

Vectors, which may begin with any byte, are not compressed, and have a binary form: four zero bytes, then the encrypted
vectors. No vector has zero dimensions.

The keys are those of the process, because a stored value says itself which key it needs: `provide_encryption`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

from slipway.errors import StoredDataError
from slipway.serialization.compression import (
    CODECS_END,
    COMPRESSED_FROM_BYTES,
    compressed,
    decompressed,
    plain_size,
    stored_plain,
)
from slipway.serialization.encryption import MARK, Encryption
from slipway.serialization.json_encoding import dumps
from slipway.serialization.slices import LARGE_BYTES

TEXT_MARK: Final = "~"
"""The first character of an encrypted text."""
_TEXT_MARK_BYTE: Final = TEXT_MARK.encode()
BINARY_PREFIX: Final = b"\0\0\0\0"
"""What encrypted vectors begin with, before the mark."""
_BINARY_MARK: Final = BINARY_PREFIX + MARK
_PLAIN_FIRST_BYTES: Final = frozenset(range(CODECS_END, 256)) - {MARK[0], _TEXT_MARK_BYTE[0]}
"""What begins with none of the marks, and is small, is stored as it is."""


@dataclass(frozen=True, slots=True)
class ProcessKeys:
    """`digest_key` is that of `keyed_digest`. `plain_digests`: whether some stored digests may still have no key."""

    encryption: Encryption
    digest_key: bytes | None = None
    plain_digests: bool = True


_PROVIDED: Final[list[ProcessKeys | None]] = []
"""Those of the services that are open in this process, the newest last: one, except in tests."""


@contextmanager
def provide_encryption(
    encryption: Encryption | None, digest_key: bytes | None = None, *, plain_digests: bool = True
) -> Iterator[None]:
    """Inside the block, the process seals and opens with these keys; None stores everything plain."""
    keys = None if encryption is None else ProcessKeys(encryption, digest_key, plain_digests)
    _PROVIDED.append(keys)
    try:
        yield
    finally:
        position = next(at for at in reversed(range(len(_PROVIDED))) if _PROVIDED[at] is keys)
        del _PROVIDED[position]


def provided_encryption() -> Encryption | None:
    """The keys of the process; None without any."""
    used = _PROVIDED[-1] if _PROVIDED else None
    return None if used is None else used.encryption


def sealed(plain: bytes, place: bytes) -> bytes:
    """The stored form of `plain`: compressed if it is large, then encrypted if there is a key. It takes CPU on the
    calling thread, 1.5 ms per MB; several threads may call it at once."""
    encryption = provided_encryption() if _PROVIDED else None
    if encryption is None and 0 < len(plain) < COMPRESSED_FROM_BYTES and plain[0] in _PLAIN_FIRST_BYTES:
        return plain
    data = compressed(plain)
    if encryption is not None:
        return encryption.encrypt(data, place)
    return stored_plain(data) if is_encrypted(data) else data  # bytes that would be taken for an encrypted value


def opened(stored: bytes, place: bytes) -> bytes:
    """The plain form of a stored value, also of one in the text form. Raises `StoredDataError` if it is damaged, was
    stored in another place, or needs a key or a codec that the process does not have."""
    first = stored[:1]
    if first == MARK:
        return decompressed(_decrypted(stored, place))
    if first == _TEXT_MARK_BYTE:
        return decompressed(_decrypted(_encrypted_of(stored), place))
    return decompressed(stored)


def sealed_text(text: str, place: bytes) -> str:
    """The stored form of a JSON text where a script needs a text: the text itself without a key."""
    return (
        text if provided_encryption() is None else TEXT_MARK + base64.b64encode(sealed(text.encode(), place)).decode()
    )


def sealed_vectors(packed: bytes, place: bytes) -> bytes:
    """The stored form of packed vectors."""
    encryption = provided_encryption()
    return packed if encryption is None else BINARY_PREFIX + encryption.encrypt(packed, place)


def opened_vectors(stored: bytes, place: bytes) -> bytes:
    """The packed vectors. Raises `StoredDataError` as `opened`."""
    return _decrypted(encrypted_bytes(stored), place) if stored.startswith(_BINARY_MARK) else stored


def sealed_json(value: Any, place: bytes) -> str:
    """The same for a value."""
    return sealed_text(dumps(value).decode(), place)


def opened_json(stored: bytes, place: bytes) -> Any:
    """The value of a stored JSON text."""
    return orjson.loads(opened(stored, place))


async def sealed_in_thread(plain: bytes, place: bytes) -> bytes:
    """The same as `sealed`. Large bytes are sealed in a thread, so that the event loop continues."""
    return await asyncio.to_thread(sealed, plain, place) if len(plain) >= LARGE_BYTES else sealed(plain, place)


async def opened_in_thread(stored: bytes, place: bytes) -> bytes:
    """The same as `opened`, in a thread if the value is large."""
    if opened_size(stored) >= LARGE_BYTES:
        return await asyncio.to_thread(opened, stored, place)
    return opened(stored, place)


def opened_size(stored: bytes) -> int:
    """About how many bytes the plain form of a value has that is compressed or encrypted; 0 for a plain one. An
    encrypted value is often a fifth of its plain form."""
    return len(stored) * 5 if stored[:1] == MARK else plain_size(stored)


def is_encrypted(stored: bytes) -> bool:
    """Whether the value is encrypted, in any of the three forms. Only for what is stored by the functions above."""
    return stored[:1] in (MARK, _TEXT_MARK_BYTE) or stored.startswith(_BINARY_MARK)


def encrypted_bytes(stored: bytes) -> bytes:
    """An encrypted value in the form of bytes. Raises `StoredDataError`."""
    if stored.startswith(_BINARY_MARK):
        return stored[len(BINARY_PREFIX) :]
    return stored if stored[:1] == MARK else _encrypted_of(stored)


def keyed_digest(text: bytes) -> bytes | None:
    """A digest that nobody can compute or check without the digest key of the deployment (HMAC-SHA-256). None without
    a key."""
    keys = _PROVIDED[-1] if _PROVIDED else None
    if keys is None or keys.digest_key is None:
        return None
    return hmac.digest(keys.digest_key, text, hashlib.sha256)


def has_plain_digests() -> bool:
    """Whether a digest may be stored that was made without the digest key."""
    keys = _PROVIDED[-1] if _PROVIDED else None
    return keys is None or keys.digest_key is None or keys.plain_digests


def _decrypted(encrypted: bytes, place: bytes) -> bytes:
    encryption = provided_encryption()
    if encryption is None:
        raise StoredDataError("a stored value is encrypted, and SLIPWAY_ENCRYPTION_KEY is not set")
    return encryption.decrypt(encrypted, place)


def _encrypted_of(text: bytes) -> bytes:
    try:
        encrypted = base64.b64decode(text[len(TEXT_MARK) :], validate=True)
    except binascii.Error as error:
        raise StoredDataError(f"an encrypted text is damaged: {error}") from error
    if encrypted[:1] != MARK:
        raise StoredDataError("an encrypted text is damaged: it has no mark")
    return encrypted
