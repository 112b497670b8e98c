"""The project's auth file: a `langgraph_sdk.Auth` object with one authenticate handler and any authorize handlers.

An authenticate handler returns the user of a request. An authorize handler returns whether the user may do an operation
and on which records. A handler that raises or returns anything unexpected never grants access.
"""

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
from slipway.graphs.official_sections import AuthSection
from slipway.graphs.project_objects import load_project_object

_FORBIDDEN: Final = 403


class AuthFile:
    """Calls the handlers of one `Auth` object. Raises `ConfigError` when the object or a handler is unusable."""

    def __init__(self, auth: Auth, section: AuthSection, clock: Clock | None = None) -> None:
        handler = auth._authenticate_handler
        if handler is None:
            raise ConfigError(
                "auth.path: the Auth object has no authenticate handler; decorate a function with @auth.authenticate"
            )
        self._auth, self.openapi = auth, section.openapi
        self._authenticate = AuthHandler(handler, HANDLER_PARAMETERS, "the authenticate handler")
        self._chosen: dict[tuple[str, str], AuthHandler | None] = {}
        names = self._authenticate.names
        self._cache = None if section.cache is None else UserCache(section.cache, names, clock or Clock())
        for handlers in (*auth._handlers.values(), auth._global_handlers):
            for each in handlers:
                AuthHandler(each, AUTHORIZE_PARAMETERS, f"the authorize handler {_name(each)}")

    @property
    def wants_body(self) -> bool:
        """Whether the authenticate handler declares the parameter `body`."""
        return "body" in self._authenticate.names

    @property
    def cache_headers(self) -> tuple[str, ...]:
        """The headers in the keys of `auth.cache`; empty without a cache."""
        return () if self._cache is None else self._cache.headers

    async def authenticate(self, arguments: Mapping[str, Any]) -> User:
        """The user of a request. `arguments` has a value for each name in `HANDLER_PARAMETERS`. Raises `AccessRefused`
        and `AuthBroken`."""
        key = None if self._cache is None else self._cache.key(arguments)
        if self._cache is not None and key is not None and (user := self._cache.get(key)) is not None:
            return user
        try:
            user = user_from_result(await self._authenticate(arguments))
        except Exception as error:
            raise _access_error(error, "the authenticate handler failed") from error
        if self._cache is not None and key is not None and not _body_was_read(arguments.get("request")):
            self._cache.add(key, user)
        return user

    async def authorize(self, user: User, resource: str, action: str, value: dict[str, Any]) -> AccessFilter:
        """The filter that the records of this operation must match. The handler can change `value` in place. Raises
        `AccessRefused` and `AuthBroken`."""
        handler = self._handler(resource, action)
        if handler is None:
            return MATCH_ALL
        ctx = AuthContext(
            permissions=user.permissions, user=user, resource=cast(Any, resource), action=cast(Any, action)
        )
        operation = f"{resource}:{action}"
        try:
            return _filter_from_result(await handler({"ctx": ctx, "value": value}), operation)
        except AccessRefused:
            raise
        except AssertionError as error:
            raise AccessRefused(_FORBIDDEN, str(error) or f"{operation} is not allowed") from error
        except Exception as error:
            raise _access_error(error, f"the authorize handler of {operation} failed") from error

    def handles(self, resource: str, action: str) -> bool:
        """Whether an authorize handler applies to this operation."""
        return self._handler(resource, action) is not None

    def _handler(self, resource: str, action: str) -> AuthHandler | None:
        """The most specific handler for this operation. Only this one is called. None if no handler applies."""
        key = (resource, action)
        if key not in self._chosen:
            candidates = (key, (resource, "*"), ("*", action), ("*", "*"))
            specific = next((self._auth._handlers[each] for each in candidates if self._auth._handlers.get(each)), None)
            chosen = specific or self._auth._global_handlers
            description = f"the authorize handler of {resource}:{action}"
            self._chosen[key] = AuthHandler(chosen[-1], AUTHORIZE_PARAMETERS, description) if chosen else None
        return self._chosen[key]


def load_auth(section: AuthSection, load_object: Callable[[str], object]) -> AuthFile | None:
    """Loads the auth file that langgraph.json names; None if it names none. Raises `ConfigError`."""
    if section.path is None:
        return None
    auth = load_project_object(Auth, "langgraph_sdk.Auth object", "auth.path", section.path, load_object)
    return AuthFile(auth, section)


def _body_was_read(request: object) -> bool:
    """Whether the handler has read the body through its parameter `request`. Then the user is not cached, because no
    cache key contains the body."""
    return hasattr(request, "_body") or bool(getattr(request, "_stream_consumed", False))


def _filter_from_result(result: object, operation: str) -> AccessFilter:
    if result is None or result is True:
        return MATCH_ALL
    if result is False:
        raise AccessRefused(_FORBIDDEN, f"{operation} is not allowed")
    if not isinstance(result, Mapping):
        raise TypeError(f"it returned {type(result).__name__}; expected None, a boolean or a filter")
    return parse_filter(result)


def _access_error(error: Exception, description: str) -> AccessRefused | AuthBroken:
    """An HTTP exception of any library is a denial with its status. Any other exception is a failure of the handler."""
    status, detail = getattr(error, "status_code", None), getattr(error, "detail", None)
    if isinstance(status, int) and 400 <= status < 600:
        headers = getattr(error, "headers", None)
        return AccessRefused(status, str(detail or error), headers if isinstance(headers, Mapping) else None)
    return AuthBroken(f"{description}: {type(error).__name__}: {error}")


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", function))
