"""Which of a request's headers are credentials, and which of the others go further than the request: into a run, or
into the log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from slipway.graphs.sections import HeadersSection

_CREDENTIALS: Final = frozenset({"x-tenant-id", "x-service-key", "x-amzn-oidc-data", "x-amzn-oidc-identity"})
"""Those whose names have none of the words below."""

_WORDS: Final = re.compile(
    r"(authorization|cookie2?|tokens?|secrets?|passwords?|passwd|passphrase|passcode|api[-_]?key|access[-_]?key|jwt|"
    r"credentials?|csrf|xsrf)($|[-_])|"
    r"(^|[-_])(authentication|bearer|oauth|dpop|t?otp|pass)($|[-_])|"
    r"(^|[-_])auth$"
)
"""What a header with a credential is called: `authorization`, `x-api-key`, `x-amz-security-token`, `x-csrftoken`, …"""
_KEY: Final = re.compile(r"(?<!idempotency)(?<!cache)(?<!surrogate)(?<!partition)(?<!routing)(?<!shard)[-_]key$")
"""Keys that open something: `ocp-apim-subscription-key`, `x-functions-key`, `x-auth-key`, …"""
_SUBPROTOCOLS: Final = "sec-websocket-protocol"
"""Pages send tokens in it, since they cannot set another header of a socket. It may be repeated."""


def is_credential(name: str) -> bool:
    """Whether a header's value lets its holder in somewhere, by the header's name in lower case."""
    return name in _CREDENTIALS or _WORDS.search(name) is not None or _KEY.search(name) is not None


def forwarded_headers(headers: Iterable[tuple[str, str]], section: HeadersSection) -> dict[str, str]:
    """The headers that the section includes and does not exclude, by their names in lower case. Never a credential:
    what goes into a run is stored and shown with it."""
    if not section.includes:
        return {}
    return {name: value for name, value in headers if _is_chosen(name, section)}


def _is_chosen(name: str, section: HeadersSection) -> bool:
    if is_credential(name) or name == _SUBPROTOCOLS:
        return False
    if any(fnmatchcase(name, pattern.lower()) for pattern in section.excludes):
        return False
    return any(fnmatchcase(name, pattern.lower()) for pattern in section.includes)


def named_credentials(section: HeadersSection) -> Iterator[str]:
    """The credentials that the section includes by name, in vain."""
    yield from (name for name in map(str.lower, section.includes) if is_credential(name))
