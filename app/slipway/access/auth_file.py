"""The project's own auth file: a `langgraph_sdk.Auth` object, asked who calls and what the caller may do.

Whatever a handler does that is not an answer (raises, returns nonsense) keeps the caller out: it never lets one in.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Any, Final, TypeAlias, cast

import structlog
from langgraph_sdk import Auth
from langgraph_sdk.auth.types import AuthContext

from slipway.access.filters import EVERYTHING, Filter, filter_of
from slipway.access.users import User, user_of
from slipway.clock import Clock
from slipway.errors import AccessRefused, AuthBroken, ConfigError
from slipway.graphs.attributes import attribute_of
from slipway.graphs.sections import AuthCacheSection, AuthSection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

OFFERED: Final = (
    *("request", "body", "user", "path", "method", "scopes", "path_params", "query_params", "headers"),
    *("authorization", "scope"),
)
"""What an authenticate handler may ask for, by the names of its parameters."""
_ASKED: Final = ("ctx", "value")

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
_FORBIDDEN: Final = 403


class CustomAuth:
    """Asks the handlers of one `Auth` object. Raises `ConfigError` when it cannot serve."""

    def __init__(self, auth: Auth, section: AuthSection, clock: Clock | None = None) -> None:
        handler = auth._authenticate_handler
        if handler is None:
            raise ConfigError(
                "auth.path: the Auth object has no authenticate handler; decorate a function with @auth.authenticate"
            )
        self._auth, self.openapi = auth, section.openapi
        self._authenticate = _Handler(handler, OFFERED, "the authenticate handler")
        self._handlers: dict[tuple[str, str], _Handler | None] = {}
        names = self._authenticate.names
        self._known = None if section.cache is None else _Known(section.cache, names, clock or Clock())
        for handlers in (*auth._handlers.values(), auth._global_handlers):
            for one in handlers:
                _Handler(one, _ASKED, f"the authorize handler {_name(one)}")

    @property
    def wants_body(self) -> bool:
        """Whether the authenticate handler asks for the request's body."""
        return "body" in self._authenticate.names

    @property
    def caller_headers(self) -> tuple[str, ...]:
        """The headers by which `auth.cache` tells one caller from another; none without it."""
        return () if self._known is None else self._known.headers

    async def authenticate(self, offered: Mapping[str, Any]) -> User:
        """Who calls. `offered` has what `OFFERED` names. Raises `AccessRefused`, or `AuthBroken`."""
        key = None if self._known is None else self._known.key(offered)
        if self._known is not None and key is not None and (user := self._known.get(key)) is not None:
            return user
        try:
            user = user_of(await self._authenticate(offered))
        except Exception as error:
            raise _refused(error, "the authenticate handler failed") from error
        if self._known is not None and key is not None and not _was_read(offered.get("request")):
            self._known.add(key, user)
        return user

    async def authorize(self, user: User, resource: str, action: str, value: dict[str, Any]) -> Filter:
        """Which records `user` may do this to. The handler may change `value`. Raises `AccessRefused`, or
        `AuthBroken`."""
        handler = self._handler(resource, action)
        if handler is None:
            return EVERYTHING
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

    def _handler(self, resource: str, action: str) -> _Handler | None:
        """The most specific handler alone."""
        key = (resource, action)
        if key not in self._handlers:
            places = (key, (resource, "*"), ("*", action), ("*", "*"))
            found = next((self._auth._handlers[place] for place in places if self._auth._handlers.get(place)), None)
            chosen = found or self._auth._global_handlers
            self._handlers[key] = _Handler(chosen[-1], _ASKED, f"the handler of {key}") if chosen else None
        return self._handlers[key]


def load_auth(section: AuthSection, attribute: Callable[[str], object]) -> CustomAuth | None:
    """The auth file that langgraph.json names, loaded; None when it names none. Raises `ConfigError`."""
    if section.path is None:
        return None
    auth = attribute_of(Auth, "langgraph_sdk.Auth object", "auth.path", section.path, attribute)
    return CustomAuth(auth, section)


class _Handler:
    """A function of the author's, given what its parameters name. A synchronous one runs in a thread."""

    def __init__(self, function: Callable[..., Any], offered: tuple[str, ...], what: str) -> None:
        self._function = function
        self._waits = any(
            inspect.iscoroutinefunction(each) for each in (inspect.unwrap(function), type(function).__call__)
        )
        parameters = inspect.signature(function).parameters.values()
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        wanted = [
            parameter
            for parameter in parameters
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        ]
        for parameter in wanted:
            if parameter.name not in offered and parameter.default is parameter.empty:
                raise ConfigError(f"auth.path: {what} asks for {parameter.name!r}; there is {', '.join(offered)}")
        self._by_position = [p.name for p in wanted if p.kind is p.POSITIONAL_ONLY]
        named = {p.name for p in wanted if p.kind is not p.POSITIONAL_ONLY and p.name in offered}
        self.names = frozenset(offered if takes_all else named | set(self._by_position))

    async def __call__(self, offered: Mapping[str, Any]) -> object:
        """The handler's answer. A handler may await a future that it shares with other callers, such as one request for
        keys. When another caller cancels that future, the handler has failed; whoever asks here is not cancelled."""
        try:
            return await self._answer(offered)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError("it awaited something that was cancelled") from error

    async def _answer(self, offered: Mapping[str, Any]) -> object:
        args = [offered[name] for name in self._by_position]
        kwargs = {name: offered[name] for name in self.names if name not in self._by_position}
        if self._waits:
            return await cast("Awaitable[object]", self._function(*args, **kwargs))
        answer = await asyncio.to_thread(self._function, *args, **kwargs)
        return await answer if inspect.isawaitable(answer) else answer


class _Known:
    """Callers that were recognised a while ago: `auth.cache`. The key is what the handler was given, as far as it asks
    for it: of the headers those that the section names, and `authorization` where the handler asks for it by name.

    A handler that asks for the body, or for what the project's own middleware knows of the user, is asked each time."""

    def __init__(self, section: AuthCacheSection, asked: Set[str], clock: Clock) -> None:
        names = dict.fromkeys(name.lower() for name in section.cache_keys)
        self.headers = tuple(names if "authorization" not in asked else {**names, "authorization": None})
        self._names = [name.encode("latin-1", "replace") for name in self.headers]
        self._asked = OFFERED if asked & _WHOLE else tuple(name for name in OFFERED if name in asked)
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


def _was_read(request: object) -> bool:
    """Whether the handler has looked into the request's body, which no key has."""
    return hasattr(request, "_body") or bool(getattr(request, "_stream_consumed", False))


def _filter(answer: object, what: str) -> Filter:
    if answer is None or answer is True:
        return EVERYTHING
    if answer is False:
        raise AccessRefused(_FORBIDDEN, f"{what} is not allowed")
    if not isinstance(answer, Mapping):
        raise TypeError(f"it answered with {type(answer).__name__}; expected None, a boolean or a filter")
    return filter_of(answer)


def _refused(error: Exception, what: str) -> AccessRefused | AuthBroken:
    """An HTTP exception of any library is the handler's answer; anything else is a fault of the handler."""
    status, detail = getattr(error, "status_code", None), getattr(error, "detail", None)
    if isinstance(status, int) and 400 <= status < 600:
        headers = getattr(error, "headers", None)
        return AccessRefused(status, str(detail or error), headers if isinstance(headers, Mapping) else None)
    return AuthBroken(f"{what}: {type(error).__name__}: {error}")


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", function))
