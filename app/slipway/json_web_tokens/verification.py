"""Verifies bearer tokens of the configured issuer, and reads their user from their claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.types import Options

from slipway.access.scoped_users import scoped_user
from slipway.access.scopes import SCOPES, SCOPES_WITH_OWNER, Scope, check_owner_scopes, checked_owner
from slipway.access.users import User
from slipway.clock import Clock
from slipway.errors import AccessRefused, InvalidRequest
from slipway.json_web_tokens.key_set import ALGORITHMS, IssuerKeys

CLOCK_SKEW_S: Final = 60
"""How far the clocks of the issuer and of Redis may differ."""
IDENTITY_PREFIX: Final = "token:"
"""The identity of the user of a token is this and the claim `sub`. So no token has the identity of an API key."""

_BEARER: Final = "bearer "
_MOST_CHARACTERS: Final = 16_384
_SUBJECT_CHARACTERS: Final = 255
_PARTS: Final = 3
_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_CHALLENGE: Final = {"www-authenticate": 'Bearer error="invalid_token"'}
_MALFORMED: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What PyJWT raises for tokens that are malformed, deeply nested or have numbers out of bounds."""
_TIMES: Final = ("exp", "nbf", "iat")
"""Claims that are numbers (RFC 7519, 4.1). PyJWT also reads a number from a text."""
_REQUIRED: Final = ["exp", "iss", "aud", "sub"]
_OPTIONS: Final[Options] = {"require": _REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""PyJWT would compare the times with the clock of this host."""
_PROBLEM_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims name the owner and the scopes."""

    owner: str
    scopes: str


class TokenVerifier:
    """Authenticates the users of tokens of `issuer` for one of `audiences`. `clock` decides which have expired."""

    def __init__(
        self, issuer: str, audiences: tuple[str, ...], claims: ClaimNames, keys: IssuerKeys, clock: Clock
    ) -> None:
        self._issuer, self._audiences, self._claims, self._keys = issuer, audiences, claims, keys
        self._clock = clock

    async def authenticate(self, arguments: Mapping[str, Any]) -> User | None:
        """The user of the token in a request; None if it has no token of this issuer. Raises `AccessRefused` with the
        status 401 for a token that is not valid, with 403 for claims that give no access, and `IssuerUnavailable`."""
        token = _token_in(arguments["headers"])
        if token is None or not self._is_of_issuer(token):
            return None
        return self._user_of(await self._verified(token))

    def problem_of(self, headers: Mapping[bytes, bytes]) -> str:
        """Why `authenticate` returns None for the bearer token in these headers. Does not name the issuer."""
        token = _token_in(headers)
        if token is None:
            return f"it is not a JSON Web Token of at most {_MOST_CHARACTERS} characters"
        try:
            _unverified_claims(token)
        except _MALFORMED as error:
            return f"it cannot be read: {ascii(str(error)[:_PROBLEM_CHARACTERS])[1:-1]}"
        return "its claim 'iss' is not the issuer of this deployment"

    def watch(self, user: User, on_end: Callable[[AccessRefused], None]) -> AbstractContextManager[None]:
        """A token cannot be revoked. It expires: see `AccessControl.watch`."""
        return nullcontext()

    def _is_of_issuer(self, token: str) -> bool:
        """Whether the token says that it is of this issuer. This is not verified yet, and decides only who verifies
        it."""
        try:
            return _unverified_claims(token).get("iss") == self._issuer
        except _MALFORMED:
            return False

    async def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a valid token."""
        try:
            header = jwt.get_unverified_header(token)
        except _MALFORMED as error:
            raise _refused(f"its header is malformed: {error}") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise _refused(f"the algorithm {str(algorithm)[:20]!r} is not accepted")
        key = await self._keys.key(key_id if isinstance(key_id, str) else None, algorithm)
        if key is None:
            raise _refused("the issuer has no key for it")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=list(self._audiences),
                issuer=self._issuer,
                options=_OPTIONS,
            )
        except _MALFORMED as error:
            raise _refused(str(error) or type(error).__name__) from None
        for name in _TIMES:
            if name in claims and not _is_number(claims[name]):
                raise _refused(f"the claim {name!r} must be a number of seconds")
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now_s = self._clock.now().timestamp()
        if claims["exp"] <= now_s - CLOCK_SKEW_S:
            raise _refused("it has expired")
        for name in ("nbf", "iat"):
            if claims.get(name, 0) > now_s + CLOCK_SKEW_S:
                raise _refused(f"the claim {name!r} is in the future")

    def _user_of(self, claims: Mapping[str, Any]) -> User:
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_CHARACTERS or not subject.isprintable():
            raise _refused(f"the claim 'sub' must be a printable text of at most {_SUBJECT_CHARACTERS} characters")
        scopes = _scopes_in(claims.get(self._claims.scopes))
        if not scopes:
            raise _forbidden(f"the claim {self._claims.scopes!r} has none of the scopes {', '.join(SCOPES)}")
        owner = claims.get(self._claims.owner)
        try:
            if owner is not None:
                owner = checked_owner(owner if isinstance(owner, str) else "", self._claims.owner)
            check_owner_scopes(owner, scopes, self._claims.scopes)
        except InvalidRequest as error:
            raise _forbidden(str(error)) from None
        if owner is None and all(scope in SCOPES_WITH_OWNER for scope in scopes):
            raise _forbidden(
                f"it has no claim {self._claims.owner!r}, which names the owner of its records; only operators and "
                "administrators need none"
            )
        until_us = (int(claims["exp"]) + CLOCK_SKEW_S) * 1_000_000
        name = claims.get("name")
        return scoped_user(
            IDENTITY_PREFIX + subject,
            scopes,
            owner,
            display_name=name if isinstance(name, str) and name.isprintable() else subject,
            until_us=until_us,
        )


def _is_number(value: Any) -> bool:
    """Whether a claim is a number of JSON; Python also reads NaN and Infinity."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def _unverified_claims(token: str) -> dict[str, Any]:
    """Raises one of `_MALFORMED` for a text that is no token, and for a header that PyJWT does not accept."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def _token_in(headers: Mapping[bytes, bytes]) -> str | None:
    """The bearer token of a request, if it has the form of a JSON Web Token."""
    value = headers.get(b"authorization", b"").decode("latin-1")
    if not value.lower().startswith(_BEARER) or len(value) > _MOST_CHARACTERS:
        return None
    token = value[len(_BEARER) :].strip()
    return token if len(token.split(".")) == _PARTS else None


def _scopes_in(claim: object) -> tuple[Scope, ...]:
    """The known scopes in a claim: a text in which spaces separate them (RFC 8693, 4.2), or a list. Others belong to
    other applications."""
    names = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return tuple(Scope(name) for name in SCOPES if name in names)


def _refused(problem: str) -> AccessRefused:
    return AccessRefused(_UNAUTHENTICATED, f"the bearer token is not valid: {problem}", _CHALLENGE)


def _forbidden(problem: str) -> AccessRefused:
    return AccessRefused(_FORBIDDEN, f"the bearer token gives no access: {problem}")
