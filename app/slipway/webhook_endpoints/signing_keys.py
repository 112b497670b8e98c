"""The keys with which the events of an endpoint are signed (Standard Webhooks 1.0).

    v1a   ed25519: Slipway keeps the private key, receivers verify with the public one, which is no secret
    v1    HMAC-SHA256: both have the same secret, which is shown once, when it is made

An endpoint has one newest key, and after a rotation for a while the one before: then both sign, and a receiver needs
one of them.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from slipway.clock import iso
from slipway.errors import InvalidRequest
from slipway.serialization.at_rest import opened_json, sealed
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import endpoint_place

SHARED_PREFIX: Final = "whsec_"
PRIVATE_PREFIX: Final = "whsk_"
PUBLIC_PREFIX: Final = "whpk_"
FEWEST_BYTES: Final = 24
MOST_BYTES: Final = 64
_GENERATED_BYTES: Final = 32


class KeyKind(StrEnum):
    """The version of a signature of Standard Webhooks."""

    V1A = "v1a"
    V1 = "v1"


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """One key. `until_us` is when it stops signing; None for the newest."""

    secret: str = field(repr=False)
    created_us: int
    until_us: int | None = None

    @property
    def kind(self) -> KeyKind:
        return KeyKind.V1A if self.secret.startswith(PRIVATE_PREFIX) else KeyKind.V1

    @property
    def public_key(self) -> str | None:
        """What receivers verify `v1a` with: `whpk_` and 32 bytes in base64. None for `v1`."""
        if self.kind is KeyKind.V1:
            return None
        seed = base64.b64decode(self.secret.removeprefix(PRIVATE_PREFIX))
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        return PUBLIC_PREFIX + base64.b64encode(public).decode()

    def public(self) -> dict[str, Any]:
        """As operators see it: without the secret."""
        return {
            "kind": self.kind.value,
            "public_key": self.public_key,
            "created_at": iso(self.created_us),
            "until": None if self.until_us is None else iso(self.until_us),
        }


def new_key(kind: KeyKind, now_us: int, secret: str | None = None) -> EndpointKey:
    """A generated key, or the one of a given secret. Raises `InvalidRequest` about `secret`."""
    if secret is not None:
        if kind is KeyKind.V1A:
            raise InvalidRequest("secret", f"is a secret of v1: leave key_kind out, or set it to {KeyKind.V1.value!r}")
        _check(secret)
        return EndpointKey(secret, now_us)
    prefix = PRIVATE_PREFIX if kind is KeyKind.V1A else SHARED_PREFIX
    return EndpointKey(prefix + base64.b64encode(secrets.token_bytes(_GENERATED_BYTES)).decode(), now_us)


def _check(secret: str) -> None:
    expected = f"must be {SHARED_PREFIX} and {FEWEST_BYTES} to {MOST_BYTES} bytes in base64"
    if not secret.startswith(SHARED_PREFIX):
        raise InvalidRequest("secret", expected)
    try:
        decoded = base64.b64decode(secret.removeprefix(SHARED_PREFIX), validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters outside ASCII
        raise InvalidRequest("secret", f"{expected}, and is not base64") from None
    if not FEWEST_BYTES <= len(decoded) <= MOST_BYTES:
        raise InvalidRequest("secret", f"{expected}, and has {len(decoded)} bytes")


def rotated(keys: Sequence[EndpointKey], new: EndpointKey, until_us: int) -> tuple[EndpointKey, EndpointKey]:
    """The new key and the newest one before, which signs until a time. Older ones stop at once, so there are never more
    than two."""
    return new, replace(keys[0], until_us=until_us)


def valid_keys(keys: Sequence[EndpointKey], now_us: int) -> tuple[EndpointKey, ...]:
    """Those that sign now, the newest first."""
    return tuple(key for key in keys if key.until_us is None or key.until_us > now_us)


def stored_keys(keys: Sequence[EndpointKey], endpoint_id: str) -> bytes:
    """The stored form of the keys of an endpoint: JSON, encrypted if there is a key for that."""
    members = [{"secret": key.secret, "created_us": key.created_us, "until_us": key.until_us} for key in keys]
    return sealed(dumps(members), endpoint_place(endpoint_id))


def keys_from(stored: bytes, endpoint_id: str) -> tuple[EndpointKey, ...]:
    """The keys of a stored value. Raises `StoredDataError` without the key for the encryption."""
    members = opened_json(stored, endpoint_place(endpoint_id))
    return tuple(EndpointKey(key["secret"], key["created_us"], key["until_us"]) for key in members)
