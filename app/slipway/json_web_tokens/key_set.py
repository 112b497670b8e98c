"""The public keys of an issuer of tokens: a JSON Web Key Set (RFC 7517), which OpenID Connect Discovery locates.

The set is read when it is first needed and kept. It is read again

- when a token names a key that is not in it, because issuers publish a new key when they begin to use it, but at most
  every `RETRY_AFTER_S`: anybody can send tokens with names of keys that do not exist;
- when it is older than `FRESH_S`, while the old one is still used, so that a key that the issuer withdrew is not
  accepted for long. A set that could not be read again for `LONGEST_S` is not used any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from slipway.clock import Clock
from slipway.errors import IssuerUnavailable

log = structlog.get_logger(__name__)

FRESH_S: Final = 600.0
RETRY_AFTER_S: Final = 30.0
LONGEST_S: Final = 86_400.0
_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 1 << 20
_MOST_KEYS: Final = 100
_SHORTEST_RSA_BITS: Final = 2048
_DISCOVERY: Final = "/.well-known/openid-configuration"

_BY_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
ALGORITHMS: Final = frozenset(each for names in _BY_TYPE.values() for each in names)
"""Asymmetric algorithms only. With a symmetric one, whoever verifies tokens could make them."""


class _Unreadable(Exception):
    """What the issuer returned is no key set."""


@dataclass(frozen=True, slots=True)
class _KeySet:
    keys: tuple[Mapping[str, Any], ...]
    read_at: float
    """On the monotonic clock."""

    def find(self, key_id: str | None, algorithm: str) -> Mapping[str, Any] | None:
        """The key that has this id; without an id, the only key of the set that the algorithm can use."""
        fitting = [each for each in self.keys if _fits(each, algorithm)]
        if key_id is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((each for each in fitting if each.get("kid") == key_id), None)


class IssuerKeys:
    """The keys of one issuer. `url` is that of its key set; None: discovery names it."""

    def __init__(self, issuer: str, url: str | None, clock: Clock, transport: httpx.AsyncBaseTransport | None = None):
        self._issuer, self._url, self._clock = issuer, url, clock
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, transport=transport)
        self._set: _KeySet | None = None
        self._tried_at: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Ends a read that is in progress."""
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        await self._client.aclose()

    async def key(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key for a token with this header; None if the issuer has none. Raises `IssuerUnavailable` if no key set
        could be read."""
        current = self._current()
        if current is None:
            await self._read_soon()
            current = self._current()
            if current is None:
                raise IssuerUnavailable(
                    "the keys of the issuer of bearer tokens cannot be read now", int(RETRY_AFTER_S)
                )
        found = current.find(key_id, algorithm)
        if found is None and self._may_try():
            await self._read_soon()
            current = self._current() or current
            found = current.find(key_id, algorithm)
        elif self._clock.monotonic() - current.read_at > FRESH_S and self._may_try():
            self._start_read()
        return None if found is None else _usable(found, algorithm)

    def _current(self) -> _KeySet | None:
        """The set, unless it is too old."""
        if self._set is None or self._clock.monotonic() - self._set.read_at > LONGEST_S:
            return None
        return self._set

    def _may_try(self) -> bool:
        return self._tried_at is None or self._clock.monotonic() - self._tried_at >= RETRY_AFTER_S

    async def _read_soon(self) -> None:
        """Waits for the read in progress, or starts one if the last one is long enough ago."""
        if self._reading is None and not self._may_try():
            return
        await asyncio.shield(self._start_read())

    def _start_read(self) -> asyncio.Task[None]:
        """All requests that need the set at the same time share one read."""
        if self._reading is None:
            self._tried_at = self._clock.monotonic()
            self._reading = asyncio.create_task(self._read(), name="keys of the issuer of tokens")
            self._reading.add_done_callback(self._read_ended)
        return self._reading

    def _read_ended(self, _: asyncio.Task[None]) -> None:
        self._reading = None

    async def _read(self) -> None:
        try:
            document = await self._get(self._url or await self._discovered())
            self._set = _KeySet(_keys_of(document), self._clock.monotonic())
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, _Unreadable) as error:
            problem = str(error) if isinstance(error, _Unreadable) else f"{type(error).__name__}: {error}"
            log.warning("jwt.keys_not_read", issuer=self._issuer, problem=problem, kept=self._set is not None)

    async def _discovered(self) -> str:
        """The URL of the key set. The document must name the issuer itself: see OpenID Connect Discovery 1.0, 4.3."""
        document = await self._get(self._issuer.rstrip("/") + _DISCOVERY)
        url = document.get("jwks_uri")
        if document.get("issuer") != self._issuer:
            raise _Unreadable(f"the discovery document is for the issuer {document.get('issuer')!r}")
        if not isinstance(url, str) or not (url.startswith("https://") or self._issuer.startswith("http://")):
            raise _Unreadable("the discovery document names no jwks_uri with https://")
        return url

    async def _get(self, url: str) -> Mapping[str, Any]:
        """A JSON object of a limited size. Redirects are not followed: they could lead anywhere."""
        body = bytearray()
        async with asyncio.timeout(_TIMEOUT_S), self._client.stream(method="GET", url=url) as response:
            if response.status_code != httpx.codes.OK:
                raise _Unreadable(f"{url} returned status {response.status_code}")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    raise _Unreadable(f"{url} returned more than {_MOST_BYTES} bytes")
        try:
            document = orjson.loads(bytes(body))
        except orjson.JSONDecodeError:
            raise _Unreadable(f"{url} returned no JSON") from None
        if not isinstance(document, dict):
            raise _Unreadable(f"{url} returned no JSON object")
        return document


def _keys_of(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise _Unreadable("the key set has no list `keys`")
    return tuple(key for key in keys[:_MOST_KEYS] if isinstance(key, dict))


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether the key is for signatures with this algorithm."""
    return (
        algorithm in _BY_TYPE.get(str(key.get("kty")), ())
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _usable(key: Mapping[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """The key for PyJWT; None if it is malformed or too short to be secure."""
    try:
        usable = jwt.PyJWK(dict(key), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        log.warning("jwt.key_unusable", kid=str(key.get("kid"))[:100], problem=f"{type(error).__name__}: {error}")
        return None
    if isinstance(usable.key, RSAPublicKey) and usable.key.key_size < _SHORTEST_RSA_BITS:
        log.warning("jwt.key_unusable", kid=str(key.get("kid"))[:100], problem="an RSA key of less than 2048 bits")
        return None
    return usable
