"""Slack's signatures: `X-Slack-Signature: v0=<hex>`, the HMAC of `v0:<X-Slack-Request-Timestamp>:<body>`.

Source: docs.slack.dev, "Verifying requests from Slack".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

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

_HEADER: Final = "x-slack-signature"
_TIME_HEADER: Final = "x-slack-request-timestamp"
_PREFIX: Final = "v0="


@dataclass(frozen=True, slots=True)
class SlackSignature:
    secrets: Sequence[bytes] = field(repr=False)
    window_s: float

    def verify(self, headers: Headers, body: bytes, now_s: float) -> Verified:
        value, text = required_header(headers, _HEADER), required_header(headers, _TIME_HEADER)
        signature = from_hex(value.removeprefix(_PREFIX)) if value.startswith(_PREFIX) else None
        given = limited([] if signature is None else [signature], _HEADER)
        check_time(text, now_s, self.window_s, f"the header {_TIME_HEADER}")
        signed = f"v0:{text}:".encode() + body
        check_any(hmac_of(self.secrets, signed), given)
        return Verified(digest_of(signed))
