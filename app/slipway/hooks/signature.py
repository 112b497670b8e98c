"""What the signature schemes of incoming webhooks share: the error, the time window, and comparing in constant time.

A scheme verifies the bytes of a body as they were received, before anything parses them. Every text that it gets is
hostile. It raises `HookSignatureRefused`, whose message never has a secret or a signature that would have been right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from slipway.errors import HookSignatureRefused

Headers = Mapping[str, str]
"""By name in lower case."""

MOST_SIGNATURES: Final = 16
"""Of one delivery. A sender that replaces its secret sends two."""
MOST_CHARACTERS: Final = 8_192
"""Of one header."""

_TIME: Final = re.compile(r"[0-9]{1,13}", re.ASCII)
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A time in seconds of this size would be in the year 5138."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A delivery with a valid signature."""

    digest: str
    """The SHA-256 of what is signed, in hexadecimal: with the timestamp, if the scheme signs one."""


class SignatureScheme(Protocol):
    """Verifies deliveries with its secrets."""

    def verify(self, headers: Headers, body: bytes, now_s: float) -> Verified:
        """Raises `HookSignatureRefused`. `now_s` is the time in s since 1970."""


def required_header(headers: Headers, name: str) -> str:
    """The value of a header. Raises `HookSignatureRefused` if it is missing, empty, too long or has other characters
    than visible ASCII and spaces."""
    value = headers.get(name, "").strip()
    if not value:
        raise HookSignatureRefused(f"the header {name} is missing")
    if len(value) > MOST_CHARACTERS or not value.isascii() or not value.isprintable():
        raise HookSignatureRefused(f"the header {name} is malformed")
    return value


def check_time(text: str, now_s: float, window_s: float, source: str) -> int:
    """The time in the text, in s. Raises `HookSignatureRefused` if it is none, or outside of the window."""
    if not _TIME.fullmatch(text):
        raise HookSignatureRefused(f"{source} is not a time in seconds since 1970")
    moment = float(text)
    if moment >= _MILLISECONDS_FROM:
        moment /= 1000
    difference_s = now_s - moment
    if abs(difference_s) > window_s:
        when = "old" if difference_s > 0 else "in the future"
        raise HookSignatureRefused(
            f"{source} is {abs(difference_s):.0f} s {when}; at most {window_s:g} s are accepted. Was the delivery sent "
            "before, or is a clock wrong?"
        )
    return int(moment)


def check_any(expected: Sequence[bytes], given: Iterable[bytes]) -> None:
    """Raises `HookSignatureRefused` unless one of the `given` signatures is one of the `expected` ones. Every pair is
    compared, each in a time that does not depend on the bytes."""
    found = False
    for signature in given:
        for each in expected:
            found |= hmac.compare_digest(signature, each)
    if not found:
        raise HookSignatureRefused("no signature matches: is it the secret of this hook, and was the body changed?")


def limited(given: Sequence[bytes], header: str) -> Sequence[bytes]:
    """Raises `HookSignatureRefused` if there is none, or too many to compare."""
    if not given:
        raise HookSignatureRefused(f"the header {header} has no signature of this scheme")
    if len(given) > MOST_SIGNATURES:
        raise HookSignatureRefused(f"the header {header} has more than {MOST_SIGNATURES} signatures")
    return given


def from_hex(text: str) -> bytes | None:
    """None if it is no hexadecimal number."""
    try:
        return bytes.fromhex(text) if text.isalnum() else None
    except ValueError:
        return None


def from_base64(text: str) -> bytes | None:
    """None if it is no base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def hmac_of(secrets: Iterable[bytes], signed: bytes, algorithm: str = "sha256") -> list[bytes]:
    """The signature by each secret."""
    return [hmac.digest(secret, signed, algorithm) for secret in secrets]


def digest_of(signed: bytes) -> str:
    return hashlib.sha256(signed).hexdigest()
