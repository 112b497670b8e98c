"""Signatures of all other senders that use an HMAC: the header, the algorithm and the encoding are configured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from slipway.hooks.signature import (
    Headers,
    Verified,
    check_any,
    check_time,
    digest_of,
    from_base64,
    from_hex,
    hmac_of,
    limited,
    required_header,
)


@dataclass(frozen=True, slots=True)
class HmacSignature:
    """See `graphs.hooks_section.VerifySection` for what the members mean. Without `timestamp_header` the body is
    signed, otherwise `<time>.<body>`."""

    secrets: Sequence[bytes] = field(repr=False)
    header: str
    algorithm: Literal["sha256", "sha512"]
    encoding: Literal["hex", "base64"]
    prefix: str
    timestamp_header: str | None
    window_s: float

    def verify(self, headers: Headers, body: bytes, now_s: float) -> Verified:
        value = required_header(headers, self.header)
        decode = from_hex if self.encoding == "hex" else from_base64
        signature = decode(value.removeprefix(self.prefix)) if value.startswith(self.prefix) else None
        given, signed = limited([] if signature is None else [signature], self.header), body
        if self.timestamp_header is not None:
            text = required_header(headers, self.timestamp_header)
            check_time(text, now_s, self.window_s, f"the header {self.timestamp_header}")
            signed = f"{text}.".encode() + body
        check_any(hmac_of(self.secrets, signed, self.algorithm), given)
        return Verified(digest_of(signed))
