"""Which request headers are copied to runs and to the log."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import structlog

from slipway.credential_headers import is_credential
from slipway.graphs.official_sections import HeadersSection, HttpSection

log = structlog.get_logger(__name__)

_SUBPROTOCOLS: Final = "sec-websocket-protocol"
"""Pages send tokens in it, because they cannot set other headers of a WebSocket. It may be repeated."""


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
                member=f"http.{name}.includes",
                header=header,
                fix="return the value from the authenticate handler; graphs read it from langgraph_auth_user",
            )
