"""The project's auth file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from langgraph_sdk import Auth
from langgraph_sdk.auth.types import AuthContext

from slipway.access.auth_handlers import AUTHORIZE_PARAMETERS, HANDLER_PARAMETERS, AuthHandler
from slipway.access.filters import MATCH_ALL, AccessFilter, parse_filter
from slipway.access.user_cache import UserCache
from slipway.access.users import User, user_from_result
from slipway.clock import Clock
from slipway.errors import AccessRefused, AuthBroken, ConfigError
from slipway.graphs.attributes import attribute_of
from slipway.graphs.sections import AuthSection

_FORBIDDEN: Final = 403


class AuthFile:
    """Asks the handlers of one `Auth` object. Raises `ConfigError` when it cannot serve."""

    def __init__(self, auth: Auth, section: AuthSection, clock: Clock | None = None) -> None:
        handler = auth._authenticate_handler
        if handler is None:
            raise ConfigError(
                "auth.path: the Auth object has no authenticate handler; decorate a function with @auth.authenticate"
            )
        self._auth, self.openapi = auth, section.openapi
        self._authenticate = AuthHandler(handler, HANDLER_PARAMETERS, "the authenticate handler")
        self._handlers: dict[tuple[str, str], AuthHandler | None] = {}
        names = self._authenticate.names
        self._known = None if section.cache is None else UserCache(section.cache, names, clock or Clock())
        for handlers in (*auth._handlers.values(), auth._global_handlers):
            for one in handlers:
                AuthHandler(one, AUTHORIZE_PARAMETERS, f"the authorize handler {_name(one)}")

    @property
    def wants_body(self) -> bool:
        """Whether the authenticate handler asks for the request's body."""
        return "body" in self._authenticate.names

    @property
    def caller_headers(self) -> tuple[str, ...]:
        """The headers by which `auth.cache` tells one caller from another; none without it."""
        return () if self._known is None else self._known.headers

    async def authenticate(self, offered: Mapping[str, Any]) -> User:
        """Who calls. `offered` has what `HANDLER_PARAMETERS` names. Raises `AccessRefused`, or `AuthBroken`."""
        key = None if self._known is None else self._known.key(offered)
        if self._known is not None and key is not None and (user := self._known.get(key)) is not None:
            return user
        try:
            user = user_from_result(await self._authenticate(offered))
        except Exception as error:
            raise _refused(error, "the authenticate handler failed") from error
        if self._known is not None and key is not None and not _was_read(offered.get("request")):
            self._known.add(key, user)
        return user

    async def authorize(self, user: User, resource: str, action: str, value: dict[str, Any]) -> AccessFilter:
        """Which records `user` may do this to. The handler may change `value`. Raises `AccessRefused`, or
        `AuthBroken`."""
        handler = self._handler(resource, action)
        if handler is None:
            return MATCH_ALL
        ctx = AuthContext(
            permissions=user.permissions, user=user, resource=cast(Any, resource), action=cast(Any, action)
        )
        what = f"{resource}:{action}"
        try:
            return _filter(await handler({"ctx": ctx, "value": value}), what)
        except AccessRefused:
            raise
        except AssertionError as error:
            raise AccessRefused(_FORBIDDEN, str(error) or f"{what} is not allowed") from error
        except Exception as error:
            raise _refused(error, f"the authorize handler of {what} failed") from error

    def handles(self, resource: str, action: str) -> bool:
        """Whether there is an authorize handler for this."""
        return self._handler(resource, action) is not None

    def _handler(self, resource: str, action: str) -> AuthHandler | None:
        """The most specific handler alone."""
        key = (resource, action)
        if key not in self._handlers:
            places = (key, (resource, "*"), ("*", action), ("*", "*"))
            found = next((self._auth._handlers[place] for place in places if self._auth._handlers.get(place)), None)
            chosen = found or self._auth._global_handlers
            self._handlers[key] = (
                AuthHandler(chosen[-1], AUTHORIZE_PARAMETERS, f"the handler of {key}") if chosen else None
            )
        return self._handlers[key]


def load_auth(section: AuthSection, attribute: Callable[[str], object]) -> AuthFile | None:
    """The auth file that langgraph.json names, loaded; None when it names none. Raises `ConfigError`."""
    if section.path is None:
        return None
    auth = attribute_of(Auth, "langgraph_sdk.Auth object", "auth.path", section.path, attribute)
    return AuthFile(auth, section)


def _was_read(request: object) -> bool:
    """Whether the handler has looked into the request's body, which no key has."""
    return hasattr(request, "_body") or bool(getattr(request, "_stream_consumed", False))


def _filter(answer: object, what: str) -> AccessFilter:
    if answer is None or answer is True:
        return MATCH_ALL
    if answer is False:
        raise AccessRefused(_FORBIDDEN, f"{what} is not allowed")
    if not isinstance(answer, Mapping):
        raise TypeError(f"it answered with {type(answer).__name__}; expected None, a boolean or a filter")
    return parse_filter(answer)


def _refused(error: Exception, what: str) -> AccessRefused | AuthBroken:
    """An HTTP exception of any library is the handler's answer; anything else is a fault of the handler."""
    status, detail = getattr(error, "status_code", None), getattr(error, "detail", None)
    if isinstance(status, int) and 400 <= status < 600:
        headers = getattr(error, "headers", None)
        return AccessRefused(status, str(detail or error), headers if isinstance(headers, Mapping) else None)
    return AuthBroken(f"{what}: {type(error).__name__}: {error}")


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", function))
