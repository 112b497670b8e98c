"""`auth.cache`: users that were authenticated a short time ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Set
from typing import Any, Final, TypeAlias

import structlog

from slipway.access.auth_handlers import HANDLER_PARAMETERS
from slipway.access.users import User
from slipway.clock import Clock
from slipway.graphs.sections import AuthCacheSection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_Key: TypeAlias = tuple[tuple[bytes | None, ...], tuple[object, ...]]

_WHOLE: Final = frozenset({"request", "scope"})
"""By these a handler sees all of a request."""
_NOT_IN_A_KEY: Final = frozenset({"body", "user", "scopes"})
_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], object]]] = {
    "method": lambda offered: offered["method"],
    "path": lambda offered: offered["path"],
    "path_params": lambda offered: offered["path"],
    "query_params": lambda offered: offered["scope"].get("query_string"),
    "scope": lambda offered: (offered["scope"]["type"], (offered["scope"].get("client") or ("",))[0]),
}
"""What a key has of each parameter that is the same for every request of a caller's, but for what is asked."""


class UserCache:
    """Callers that were recognised a while ago: `auth.cache`. The key is what the handler was given, as far as it asks
    for it: of the headers those that the section names, and `authorization` where the handler asks for it by name.

    A handler that asks for the body, or for what the project's own middleware knows of the user, is asked each time."""

    def __init__(self, section: AuthCacheSection, asked: Set[str], clock: Clock) -> None:
        names = dict.fromkeys(name.lower() for name in section.cache_keys)
        self.headers = tuple(names if "authorization" not in asked else {**names, "authorization": None})
        self._names = [name.encode("latin-1", "replace") for name in self.headers]
        self._asked = HANDLER_PARAMETERS if asked & _WHOLE else [name for name in HANDLER_PARAMETERS if name in asked]
        self._never = bool(asked & _NOT_IN_A_KEY)
        if self._never:
            log.warning("auth.cache_not_used", reason="the authenticate handler asks for the body, user or scopes")
        self._ttl_s, self._most, self._clock = section.ttl_seconds, section.max_size, clock
        self._users: OrderedDict[_Key, tuple[float, User]] = OrderedDict()

    def key(self, offered: Mapping[str, Any]) -> _Key | None:
        """None for a request whose caller is not remembered: one that has none of the headers, for instance."""
        headers = tuple(offered["headers"].get(name) for name in self._names)
        if self._never or not any(headers):
            return None
        return headers, tuple(part(offered) for name, part in _PARTS.items() if name in self._asked)

    def get(self, key: _Key) -> User | None:
        until, user = self._users.get(key, (0.0, None))
        return user if until > self._clock.monotonic() else None

    def add(self, key: _Key, user: User) -> None:
        self._users[key] = (self._clock.monotonic() + self._ttl_s, user)
        self._users.move_to_end(key)
        if len(self._users) > self._most:
            self._users.popitem(last=False)
