"""Signs webhooks by Standard Webhooks 1.0 (https://www.standardwebhooks.com): the headers from which a receiver
verifies the sender, the time and the body.

    webhook-id          the id of the delivery: the same for each try
    webhook-timestamp   when this try began, in seconds since 1970
    webhook-signature   one signature for each valid key, separated by spaces; the receiver needs to know one key

A key is a text with a prefix: `whsec_` and 24 to 64 bytes in base64 for `v1` (HMAC-SHA256), `whsk_` and the 32 bytes
of an ed25519 private key in base64 for `v1a`. Receivers of `v1a` verify with the public key, `whpk_`, and can sign
nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

SECRET_PREFIX: Final = "whsec_"
PRIVATE_PREFIX: Final = "whsk_"
PUBLIC_PREFIX: Final = "whpk_"
_FEWEST_BYTES: Final = 24
_MOST_BYTES: Final = 64
_ED25519_BYTES: Final = 32


class BadKey(ValueError):
    """The text is no signing key. The message says why, without the text."""


class SigningKey(Protocol):
    """Signs one try of a delivery."""

    def signature(self, webhook_id: str, at: datetime, body: bytes) -> str:
        """One member of the header `webhook-signature`: the version, a comma, and the signature in base64. `at` is in
        UTC."""


@dataclass(frozen=True, slots=True, repr=False)
class SharedSecret:
    """A key of `v1`, which the receiver has too."""

    secret: bytes

    def signature(self, webhook_id: str, at: datetime, body: bytes) -> str:
        return Webhook(self.secret).sign(webhook_id, at, body.decode())


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A key of `v1a`: 32 bytes."""

    seed: bytes

    def signature(self, webhook_id: str, at: datetime, body: bytes) -> str:
        content = f"{webhook_id}.{int(at.timestamp())}.".encode() + body
        signed = Ed25519PrivateKey.from_private_bytes(self.seed).sign(content)
        return f"v1a,{base64.b64encode(signed).decode()}"

    def public_key(self) -> str:
        """What receivers verify with: `whpk_` and base64."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return PUBLIC_PREFIX + base64.b64encode(public.public_bytes_raw()).decode()


def signing_key(text: str) -> SharedSecret | PrivateKey:
    """The key that begins with `whsec_` or `whsk_`. Raises `BadKey`."""
    if text.startswith(PRIVATE_PREFIX):
        seed = _decoded(text, PRIVATE_PREFIX)
        if len(seed) == 2 * _ED25519_BYTES and _ends_with_its_public_key(seed):
            seed = seed[:_ED25519_BYTES]
        if len(seed) != _ED25519_BYTES:
            raise BadKey(f"what follows {PRIVATE_PREFIX} must be {_ED25519_BYTES} bytes, and is {len(seed)}")
        return PrivateKey(seed)
    if not text.startswith(SECRET_PREFIX):
        raise BadKey(f"a key begins with {SECRET_PREFIX} or {PRIVATE_PREFIX}")
    secret = _decoded(text, SECRET_PREFIX)
    if not _FEWEST_BYTES <= len(secret) <= _MOST_BYTES:
        raise BadKey(
            f"what follows {SECRET_PREFIX} must be {_FEWEST_BYTES} to {_MOST_BYTES} bytes, and is {len(secret)}"
        )
    return SharedSecret(secret)


def signing_keys(text: str) -> tuple[SharedSecret | PrivateKey, ...]:
    """The keys of `SLIPWAY_WEBHOOK_SECRET`: one or several, separated by white space. A text without a prefix is one
    secret of `v1`, as it is. Raises `BadKey`."""
    parts = text.split()
    if not parts:
        raise BadKey("it is empty")
    if all(part.startswith((SECRET_PREFIX, PRIVATE_PREFIX)) for part in parts):
        return tuple(map(signing_key, parts))
    return (SharedSecret(text.encode()),)


def signature_headers(keys: Sequence[SigningKey], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of one try; without a key only the first two."""
    headers = {"webhook-id": webhook_id, "webhook-timestamp": str(int(at.timestamp()))}
    if keys:
        headers["webhook-signature"] = " ".join(key.signature(webhook_id, at, body) for key in keys)
    return headers


def _decoded(text: str, prefix: str) -> bytes:
    try:
        return base64.b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters outside ASCII
        raise BadKey(f"what follows {prefix} is not base64") from None


def _ends_with_its_public_key(key: bytes) -> bool:
    """Some libraries store the public key behind the private one."""
    public = Ed25519PrivateKey.from_private_bytes(key[:_ED25519_BYTES]).public_key().public_bytes_raw()
    return public == key[_ED25519_BYTES:]
