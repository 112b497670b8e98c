"""Who may do what in a deployment that controls access.

A deployment without access control has no `AccessControl`: everybody may do everything (docs/open-server.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from slipway.access.auth_file import AuthFile, load_auth
from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.users import User
from slipway.errors import AccessRefused
from slipway.graphs.official_sections import AuthSection

_UNAUTHENTICATED: Final = 401


class AccessControl:
    """Authenticates the users of requests, and authorizes their operations. `auth_file` is the project's, if it has
    one."""

    def __init__(self, auth_file: AuthFile | None) -> None:
        self._auth_file = auth_file

    @property
    def openapi(self) -> dict[str, Any]:
        """The member `auth.openapi` of langgraph.json."""
        return {} if self._auth_file is None else self._auth_file.openapi

    @property
    def wants_body(self) -> bool:
        """Whether authentication needs the parsed body of a request."""
        return self._auth_file is not None and self._auth_file.wants_body

    @property
    def cache_headers(self) -> tuple[str, ...]:
        """The headers in the keys of `auth.cache`; empty without a cache."""
        return () if self._auth_file is None else self._auth_file.cache_headers

    async def authenticate(self, arguments: Mapping[str, Any]) -> User:
        """The user of a request. `arguments` has a value for each name in `HANDLER_PARAMETERS`. Raises `AccessRefused`
        and `AuthBroken`."""
        if self._auth_file is None:
            raise AccessRefused(_UNAUTHENTICATED, "the request has no credentials")
        return await self._auth_file.authenticate(arguments)

    async def authorize(self, user: User, resource: str, action: str, value: dict[str, Any]) -> AccessFilter:
        """The filter that the records of this operation must match. `value` can be changed in place. Raises
        `AccessRefused` and `AuthBroken`."""
        if self._auth_file is None:
            return MATCH_ALL
        return await self._auth_file.authorize(user, resource, action, value)

    def handles(self, resource: str, action: str) -> bool:
        """Whether `authorize` must be called for this operation."""
        return self._auth_file is not None and self._auth_file.handles(resource, action)


def load_access(section: AuthSection, load_object: Callable[[str], object]) -> AccessControl | None:
    """Loads the auth file that langgraph.json names. None if access is not controlled. Raises `ConfigError`."""
    auth_file = load_auth(section, load_object)
    return None if auth_file is None else AccessControl(auth_file)
