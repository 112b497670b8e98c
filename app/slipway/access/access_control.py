"""Who may do what in a deployment that controls access: API keys, tokens and the project's auth file together.

A request is authenticated by the first of these that its credentials belong to: API keys and tokens are recognised by
their form (`Credentials`), all else is passed to the auth file. An operation is authorized by the rule of owners and
scopes first, then by the auth file's handler: both filters apply, and both may refuse.

A deployment without access control has no `AccessControl`: everybody may do everything (docs/open-server.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final, Protocol

from slipway.access import owner_rule
from slipway.access.auth_file import AuthFile
from slipway.access.filters import AccessFilter
from slipway.access.scoped_users import expires_us, scopes_of
from slipway.access.users import User
from slipway.clock import Clock
from slipway.errors import AccessRefused

_UNAUTHENTICATED: Final = 401
_LONGEST_RESPONSE_S: Final = 30 * 86_400.0
"""A timer of the event loop cannot wait for any number of seconds that a token may name."""
_CHALLENGE: Final = {"www-authenticate": "Bearer"}
_INVALID_TOKEN: Final = {"www-authenticate": 'Bearer error="invalid_token"'}
_BEARER: Final = b"bearer "


class Credentials(Protocol):
    """One kind of credentials that Slipway itself verifies."""

    async def authenticate(self, arguments: Mapping[str, Any]) -> User | None:
        """The user of a request, whose `arguments` are those of `AccessControl.authenticate`; None if the request has
        no credentials of this kind. Raises `AccessRefused` for credentials that are not valid."""

    def watch(self, user: User, on_end: Callable[[AccessRefused], None]) -> AbstractContextManager[None]:
        """Calls `on_end` if the credentials of `user` are revoked while the block is executed. Does nothing for the
        user of other credentials."""


class BearerTokens(Credentials, Protocol):
    """Credentials that are bearer tokens of an issuer."""

    def problem_of(self, headers: Mapping[bytes, bytes]) -> str:
        """Why the bearer token in these headers is none for which `authenticate` returns a user."""


class AccessControl:
    """Authenticates the users of requests, and authorizes their operations. `auth_file` is the project's, if it has
    one."""

    def __init__(self, auth_file: AuthFile | None) -> None:
        self._auth_file = auth_file
        self._credentials: list[Credentials] = []
        self._tokens: BearerTokens | None = None
        self.clock = Clock()
        """Decides when the credentials of a user have expired. A web process replaces it by the clock of Redis."""

    @contextmanager
    def accepting(self, credentials: Credentials) -> Iterator[None]:
        """Inside the block, `credentials` also authenticate users, before the auth file. Web processes enter it when
        they have opened their connections."""
        self._credentials.append(credentials)
        try:
            yield
        finally:
            self._credentials.remove(credentials)

    @contextmanager
    def accepting_tokens(self, tokens: BearerTokens) -> Iterator[None]:
        """As `accepting`. A bearer token that nobody accepts is refused with the reason that `tokens` gives."""
        with self.accepting(tokens):
            self._tokens = tokens
            try:
                yield
            finally:
                self._tokens = None

    @property
    def openapi(self) -> dict[str, Any]:
        """The member `auth.openapi` of langgraph.json, else the ways in which a client can send an API key."""
        if self._auth_file is not None and self._auth_file.openapi:
            return self._auth_file.openapi
        return _OPENAPI

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
        for credentials in self._credentials:
            if (user := await credentials.authenticate(arguments)) is not None:
                return user
        if self._auth_file is None:
            raise self._unknown(arguments["headers"])
        return await self._auth_file.authenticate(arguments)

    def _unknown(self, headers: Mapping[bytes, bytes]) -> AccessRefused:
        """The error for a request whose credentials are of no kind that the deployment accepts."""
        if not _has_bearer_token(headers):
            return AccessRefused(
                _UNAUTHENTICATED,
                "the request has no credentials: send an API key in the header x-api-key, or as `Authorization: "
                "Bearer …`",
                _CHALLENGE,
            )
        problem = (
            "this deployment accepts no bearer tokens other than API keys"
            if self._tokens is None
            else self._tokens.problem_of(headers)
        )
        return AccessRefused(_UNAUTHENTICATED, f"the bearer token is not accepted: {problem}", _INVALID_TOKEN)

    async def authorize(self, user: User, resource: str, action: str, value: dict[str, Any]) -> AccessFilter:
        """The filter that the records of this operation must match. `value` can be changed in place. Raises
        `AccessRefused`, `AuthBroken`, and `NotFound` for a store item of another owner."""
        access_filter = owner_rule.apply(user, resource, action, value)
        if self._auth_file is not None and self._auth_file.handles(resource, action):
            access_filter &= await self._auth_file.authorize(user, resource, action, value)
            owner_rule.check_unchanged(user, resource, action, value)
        return access_filter

    def handles(self, user: User, resource: str, action: str) -> bool:
        """Whether `authorize` must be called for this operation of this user."""
        return scopes_of(user) is not None or (
            self._auth_file is not None and self._auth_file.handles(resource, action)
        )

    @contextmanager
    def watch(self, user: User, on_end: Callable[[AccessRefused], None]) -> Iterator[None]:
        """Calls `on_end` once if the credentials of `user` are revoked or expire while the block is executed. Users of
        the auth file have none that end: their long responses are authorized again (`api.streams.access_watch`)."""
        ended = False

        def end(error: AccessRefused) -> None:
            nonlocal ended
            if not ended:
                ended = True
                on_end(error)

        with ExitStack() as stack:
            for credentials in self._credentials:
                stack.enter_context(credentials.watch(user, end))
            if (until_us := expires_us(user)) is not None:
                remaining_s = min(max(until_us / 1_000_000 - self.clock.now().timestamp(), 0), _LONGEST_RESPONSE_S)
                timer = asyncio.get_running_loop().call_later(remaining_s, end, expired(user))
                stack.callback(timer.cancel)
            yield


def _has_bearer_token(headers: Mapping[bytes, bytes]) -> bool:
    value = headers.get(b"authorization", b"")
    return value.lower().startswith(_BEARER) and bool(value[len(_BEARER) :].strip())


def expired(user: User) -> AccessRefused:
    """The error for a response whose API key or token has expired."""
    return AccessRefused(_UNAUTHENTICATED, f"the credentials of {user.display_name!r} have expired", _CHALLENGE)


_OPENAPI: Final[dict[str, Any]] = {
    "securitySchemes": {
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    },
    "security": [{"apiKey": []}, {"bearer": []}],
}
