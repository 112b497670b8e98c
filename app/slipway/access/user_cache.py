"""`auth.cache`: users that were authenticated a short time ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Set
from typing import Any, Final, TypeAlias

import structlog

from slipway.access.auth_handlers import HANDLER_PARAMETERS
from slipway.access.users import User
from slipway.clock import Clock
from slipway.graphs.official_sections import AuthCacheSection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_Key: TypeAlias = tuple[tuple[bytes | None, ...], tuple[object, ...]]

_WHOLE_REQUEST: Final = frozenset({"request", "scope"})
"""Parameters by which a handler can read every part of a request."""
_NOT_CACHEABLE: Final = frozenset({"body", "user", "scopes"})
_KEY_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], object]]] = {
    "method": lambda arguments: arguments["method"],
    "path": lambda arguments: arguments["path"],
    "path_params": lambda arguments: arguments["path"],
    "query_params": lambda arguments: arguments["scope"].get("query_string"),
    "scope": lambda arguments: (arguments["scope"]["type"], (arguments["scope"].get("client") or ("",))[0]),
}
"""The part of the cache key for each parameter that is not a header."""


class UserCache:
    """Maps the arguments of an authenticate handler to the user that it returned.

    The key has the headers that `cache_keys` names, `authorization` if the handler declares it, and every other
    parameter that the handler declares. `declared` are the names of the handler's parameters. A handler that declares
    `body`, `user` or `scopes` is called for each request."""

    def __init__(self, section: AuthCacheSection, declared: Set[str], clock: Clock) -> None:
        names = dict.fromkeys(name.lower() for name in section.cache_keys)
        self.headers = tuple(names if "authorization" not in declared else {**names, "authorization": None})
        self._header_names = [name.encode("latin-1", "replace") for name in self.headers]
        reads_all = bool(declared & _WHOLE_REQUEST)
        self._declared = [name for name in HANDLER_PARAMETERS if reads_all or name in declared]
        self._disabled = bool(declared & _NOT_CACHEABLE)
        if self._disabled:
            log.warning("auth.cache_not_used", problem="the authenticate handler declares body, user or scopes")
        self._ttl_s, self._max_users, self._clock = section.ttl_seconds, section.max_size, clock
        self._users: OrderedDict[_Key, tuple[float, User]] = OrderedDict()

    def key(self, arguments: Mapping[str, Any]) -> _Key | None:
        """The cache key of a request; None if its user must not be cached, for example because it has none of the
        headers."""
        headers = tuple(arguments["headers"].get(name) for name in self._header_names)
        if self._disabled or not any(headers):
            return None
        return headers, tuple(part(arguments) for name, part in _KEY_PARTS.items() if name in self._declared)

    def get(self, key: _Key) -> User | None:
        """The user, unless the entry has expired."""
        expires_at, user = self._users.get(key, (0.0, None))
        return user if expires_at > self._clock.monotonic() else None

    def add(self, key: _Key, user: User) -> None:
        """Removes the oldest entry when the cache is full."""
        self._users[key] = (self._clock.monotonic() + self._ttl_s, user)
        self._users.move_to_end(key)
        if len(self._users) > self._max_users:
            self._users.popitem(last=False)
