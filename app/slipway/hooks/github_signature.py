"""GitHub's signatures: `X-Hub-Signature-256: sha256=<hex>`, the HMAC of the body. What is signed has no time.

Source: docs.github.com, "Validating webhook deliveries". The older `X-Hub-Signature` (SHA-1) is not accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from slipway.hooks.signature import Headers, Verified, check_any, digest_of, from_hex, hmac_of, limited, required_header

_HEADER: Final = "x-hub-signature-256"
_PREFIX: Final = "sha256="


@dataclass(frozen=True, slots=True)
class GithubSignature:
    secrets: Sequence[bytes] = field(repr=False)

    def verify(self, headers: Headers, body: bytes, now_s: float) -> Verified:
        value = required_header(headers, _HEADER)
        signature = from_hex(value.removeprefix(_PREFIX)) if value.startswith(_PREFIX) else None
        check_any(hmac_of(self.secrets, body), limited([] if signature is None else [signature], _HEADER))
        return Verified(digest_of(body))
