"""Which of a request's headers go further than the request: into a run, or into the log."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from app.project.sections import HeadersSection

NEVER: Final = frozenset({"x-api-key", "x-tenant-id", "x-service-key", "authorization"})
"""Secrets, whatever langgraph.json says."""
BY_NAME_ALONE: Final = frozenset({"cookie", "proxy-authorization"})
"""Secrets that no wildcard takes along: what goes into a run is shown with it."""


def chosen(headers: Iterable[tuple[str, str]], section: HeadersSection) -> dict[str, str]:
    """Those that the section includes and does not exclude, by their names in lower case."""
    if not section.includes:
        return {}
    return {name: value for name, value in headers if _is_chosen(name, section)}


def _is_chosen(name: str, section: HeadersSection) -> bool:
    if name in NEVER or any(fnmatchcase(name, pattern.lower()) for pattern in section.excludes):
        return False
    if name in BY_NAME_ALONE:
        return name in map(str.lower, section.includes)
    return any(fnmatchcase(name, pattern.lower()) for pattern in section.includes)
