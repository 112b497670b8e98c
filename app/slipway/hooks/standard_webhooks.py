"""Signatures of the specification Standard Webhooks 1.0 (standardwebhooks.com), symmetric (`v1`) and ed25519 (`v1a`).

    webhook-id: msg_2KW…          webhook-timestamp: 1674087231
    webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4= v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/…

What is signed is `<id>.<timestamp>.<body>`. A secret begins with `whsec_` (the library signs with it), a public key
with `whpk_`. Svix and its customers send the same with headers that begin with `svix-`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from slipway.errors import HookSignatureRefused
from slipway.hooks.signature import (
    Headers,
    Verified,
    check_any,
    check_time,
    digest_of,
    from_base64,
    limited,
    required_header,
)

SECRET_PREFIX: Final = "whsec_"
PUBLIC_KEY_PREFIX: Final = "whpk_"
FEWEST_BYTES: Final = 24
MOST_BYTES: Final = 64

_PUBLIC_KEY_BYTES: Final = 32
_MOST_ID_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """`secrets` are the bytes of symmetric secrets, `public_keys` are ed25519 keys. One of either is enough."""

    secrets: Sequence[bytes] = field(repr=False)
    public_keys: Sequence[Ed25519PublicKey] = field(repr=False)
    window_s: float

    def verify(self, headers: Headers, body: bytes, now_s: float) -> Verified:
        prefix = "svix-" if "webhook-id" not in headers and "svix-id" in headers else "webhook-"
        message_id = required_header(headers, f"{prefix}id")
        text = required_header(headers, f"{prefix}timestamp")
        given = required_header(headers, f"{prefix}signature").split(" ")
        if len(message_id) > _MOST_ID_CHARACTERS:
            raise HookSignatureRefused(f"the header {prefix}id is malformed")
        moment = datetime.fromtimestamp(check_time(text, now_s, self.window_s, f"the header {prefix}timestamp"), UTC)
        if text != str(int(moment.timestamp())):  # leading zeros, or milliseconds: not what the library signs
            raise HookSignatureRefused(f"the header {prefix}timestamp is not a time in seconds since 1970")
        pairs = [each.partition(",") for each in given if each]
        limited([b"" for version, _, _ in pairs if version in ("v1", "v1a")], f"{prefix}signature")
        symmetric = [sig for v, _, each in pairs if v == "v1" and (sig := from_base64(each)) is not None]
        asymmetric = [sig for v, _, each in pairs if v == "v1a" and (sig := from_base64(each)) is not None]
        signed = f"{message_id}.{text}.".encode() + body
        if not any(self._is_signed(key, signature, signed) for signature in asymmetric for key in self.public_keys):
            check_any(self._expected(message_id, moment, body), symmetric)
        return Verified(digest_of(signed))

    def _expected(self, message_id: str, moment: datetime, body: bytes) -> list[bytes]:
        try:
            data = body.decode()
        except UnicodeDecodeError:
            raise HookSignatureRefused("the body is not UTF-8, so nothing can have signed it") from None
        signatures = [Webhook(secret).sign(message_id, moment, data) for secret in self.secrets]
        return [base64.b64decode(each.removeprefix("v1,")) for each in signatures]

    @staticmethod
    def _is_signed(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True


def parsed_secrets(texts: Sequence[str], window_s: float) -> StandardWebhooks:
    """The scheme for these secrets and public keys. Raises `ValueError` for a text that is neither, without showing
    it."""
    secrets, public_keys = [], []
    for text in texts:
        prefix = PUBLIC_KEY_PREFIX if text.startswith(PUBLIC_KEY_PREFIX) else SECRET_PREFIX
        encoded = text.removeprefix(prefix)
        key = from_base64(encoded + "=" * (-len(encoded) % 4))
        if not text.startswith(prefix) or key is None:
            raise ValueError(f"must be {SECRET_PREFIX} or {PUBLIC_KEY_PREFIX} and base64")
        if prefix == PUBLIC_KEY_PREFIX:
            if len(key) != _PUBLIC_KEY_BYTES:
                raise ValueError(f"has a public key of {len(key)} bytes; ed25519 needs {_PUBLIC_KEY_BYTES}")
            public_keys.append(Ed25519PublicKey.from_public_bytes(key))
        elif FEWEST_BYTES <= len(key) <= MOST_BYTES:
            secrets.append(key)
        else:
            raise ValueError(f"has a secret of {len(key)} bytes; it must have {FEWEST_BYTES} to {MOST_BYTES}")
    return StandardWebhooks(secrets, public_keys, window_s)
