"""Which request headers are credentials, and which other headers are copied to runs and to the log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import structlog

from slipway.graphs.official_sections import HeadersSection, HttpSection

log = structlog.get_logger(__name__)

_CREDENTIALS: Final = frozenset({"x-tenant-id", "x-service-key", "x-amzn-oidc-data", "x-amzn-oidc-identity"})
"""Credentials whose names do not match the patterns below."""

_WORDS: Final = re.compile(
    r"(authorization|cookie2?|tokens?|secrets?|passwords?|passwd|passphrase|passcode|api[-_]?key|access[-_]?key|jwt|"
    r"credentials?|csrf|xsrf)($|[-_])|"
    r"(^|[-_])(authentication|bearer|oauth|dpop|t?otp|pass)($|[-_])|"
    r"(^|[-_])auth$"
)
"""Names of headers with credentials: `authorization`, `x-api-key`, `x-amz-security-token`, `x-csrftoken`, …"""
_KEY: Final = re.compile(r"(?<!idempotency)(?<!cache)(?<!surrogate)(?<!partition)(?<!routing)(?<!shard)[-_]key$")
"""Names of headers with secret keys: `ocp-apim-subscription-key`, `x-functions-key`, `x-auth-key`, …"""
_SUBPROTOCOLS: Final = "sec-websocket-protocol"
"""Pages send tokens in it, because they cannot set other headers of a WebSocket. It may be repeated."""


def is_credential(name: str) -> bool:
    """Whether a header has a credential, by its name in lower case."""
    return name in _CREDENTIALS or _WORDS.search(name) is not None or _KEY.search(name) is not None


def forwarded_headers(headers: Iterable[tuple[str, str]], section: HeadersSection) -> dict[str, str]:
    """The headers that the section includes and does not exclude, by their names in lower case. Credentials are never
    included, because headers are stored with the run and shown with it."""
    if not section.includes:
        return {}
    return {name: value for name, value in headers if _is_forwarded(name, section)}


def _is_forwarded(name: str, section: HeadersSection) -> bool:
    if is_credential(name) or name == _SUBPROTOCOLS:
        return False
    if any(fnmatchcase(name, pattern.lower()) for pattern in section.excludes):
        return False
    return any(fnmatchcase(name, pattern.lower()) for pattern in section.includes)


def warn_about_credentials(http: HttpSection) -> None:
    """Logs a warning for each credential in `includes` of langgraph.json: credentials are never forwarded."""
    sections = {"configurable_headers": http.configurable_headers, "logging_headers": http.logging_headers}
    for name, section in sections.items():
        for header in filter(is_credential, map(str.lower, section.includes)):
            log.warning(
                "langgraph_json.credential_not_passed",
                key=f"http.{name}.includes",
                header=header,
                instead="return the value from the authenticate handler; graphs read it from langgraph_auth_user",
            )
