"""Stripe's signatures: `Stripe-Signature: t=<seconds>,v1=<hex>,v1=<hex>,v0=…`, the HMAC of `<t>.<body>`.

There are several `v1` while Stripe uses two secrets of an endpoint. The whole text of a secret is the key, `whsec_`
included. Source: docs.stripe.com/webhooks, "Verify webhook signatures manually".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from slipway.errors import HookSignatureRefused
from slipway.hooks.signature import (
    Headers,
    Verified,
    check_any,
    check_time,
    digest_of,
    from_hex,
    hmac_of,
    limited,
    required_header,
)

_HEADER: Final = "stripe-signature"


@dataclass(frozen=True, slots=True)
class StripeSignature:
    secrets: Sequence[bytes] = field(repr=False)
    window_s: float

    def verify(self, headers: Headers, body: bytes, now_s: float) -> Verified:
        pairs = [part.strip().partition("=") for part in required_header(headers, _HEADER).split(",")]
        times = [value for name, _, value in pairs if name == "t"]
        if len(times) != 1:
            raise HookSignatureRefused(f"the header {_HEADER} must have one time, t=")
        given = limited([value.encode() for name, _, value in pairs if name == "v1"], _HEADER)
        signatures = [signature for each in given if (signature := from_hex(each.decode())) is not None]
        check_time(times[0], now_s, self.window_s, f"the time in the header {_HEADER}")
        signed = f"{times[0]}.".encode() + body
        check_any(hmac_of(self.secrets, signed), signatures)
        return Verified(digest_of(signed))
