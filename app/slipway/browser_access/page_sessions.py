"""Sessions of the pages: a person signs in with an API key, and the browser then sends a cookie.

The cookie has a random id, of which Redis has the hash. A session names the API key, which is read for each request:
when the key is revoked or expires, the session ends with it. Requests that may change something must also have the CSRF
token of the session, which only pages of this server know. Requests that pages of other origins cause have no session,
except those that open a page by a link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from slipway.access.scoped_users import scoped_user
from slipway.access.users import User
from slipway.api_keys.key_text import parse_key
from slipway.api_keys.record import ApiKey
from slipway.browser_access.active_keys import ActiveKeys
from slipway.browser_access.random_texts import csrf_token_of, digest_of, is_csrf_token_of, is_text, new_text
from slipway.browser_access.scripts import BrowserScripts
from slipway.browser_access.stream_tickets import path_of
from slipway.errors import AccessRefused

SESSION_KEY: Final = "slipway.page_session"
"""The member of a request's scope with its `PageSession`, if the request was authenticated by one."""
CSRF_HEADER: Final = b"x-slipway-csrf"

_SECURE_NAME: Final = "__Host-slipway-session"
_PLAIN_NAME: Final = "slipway-session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OTHER_ORIGINS: Final = frozenset({b"cross-site", b"same-site"})
"""Values of `Sec-Fetch-Site` of requests that a page of another origin causes. Browsers set the header, and pages
cannot change it: https://www.w3.org/TR/fetch-metadata/"""


@dataclass(frozen=True, slots=True)
class PageSession:
    """A session as its browser knows it."""

    text: str
    until_us: int

    def __repr__(self) -> str:
        return "PageSession(…)"

    @property
    def csrf_token(self) -> str:
        return csrf_token_of(self.text)


def cookie_name(*, is_secure: bool) -> str:
    """Behind TLS a name with which browsers accept the cookie only from this host, over TLS and for all paths."""
    return _SECURE_NAME if is_secure else _PLAIN_NAME


def session_text(headers: Mapping[bytes, bytes], *, is_secure: bool) -> str | None:
    """The id of the session in the cookies of a request."""
    expected = cookie_name(is_secure=is_secure)
    for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == expected:  # cookies of others may be malformed, and do not matter
            return value if is_text(value) else None
    return None


def check_csrf_token(session: PageSession, headers: Mapping[bytes, bytes]) -> None:
    """Raises `AccessRefused` (403) unless a request of this session, which may change something, has its CSRF token."""
    token = headers.get(CSRF_HEADER, b"").decode("latin-1")
    if not is_csrf_token_of(session.text, token):
        raise AccessRefused(
            403,
            "the request may change something, and has no valid CSRF token in the header "
            f"{CSRF_HEADER.decode()}: reload the page and try again",
        )


def _is_of_other_origin(scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bool:
    """Whether a page of another origin causes the request. False if it opens a page of this server by a link."""
    if headers.get(b"sec-fetch-site") not in _OTHER_ORIGINS:
        return False
    path = path_of(scope)
    is_page = path == "/" or path.startswith("/ui/")
    fetches = (headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest"))
    return not (is_page and fetches == (b"navigate", b"document"))


class PageSessions:
    """Creates and verifies sessions. It is one of the `Credentials` of `AccessControl`."""

    def __init__(self, scripts: BrowserScripts, keys: ActiveKeys, *, lasts_s: int) -> None:
        self._scripts, self._keys, self.lasts_s = scripts, keys, lasts_s

    async def sign_in(self, key_text: str, *, earlier: str | None) -> PageSession:
        """A new session for whoever knows an API key. The browser's `earlier` session ends. Raises `AccessRefused`.
        Two round trips."""
        text = parse_key(key_text)
        key = None if text is None else await self._keys.find(text.key_id)
        if text is None or key is None or not text.matches(key.digest):
            raise AccessRefused(401, "this is no API key that is valid now")
        session = new_text()
        until_us = await self._scripts.create_session(
            digest_of(session),
            key.key_id,
            lasts_s=self.lasts_s,
            replaces=None if earlier is None else digest_of(earlier),
        )
        return PageSession(session, until_us)

    async def sign_out(self, text: str) -> None:
        """Ends a session. One round trip."""
        await self._scripts.delete_session(digest_of(text))

    async def authenticate(self, arguments: Mapping[str, Any]) -> User | None:
        """The user of the API key with which the browser has signed in; None without a session, if its key is not valid
        any more, and for a request that a page of another origin causes. Raises `AccessRefused` (403) for a request
        whose method may change something without the CSRF token."""
        scope, headers = arguments["scope"], arguments["headers"]
        if _is_of_other_origin(scope, headers):
            return None
        text = session_text(headers, is_secure=scope["scheme"] in ("https", "wss"))
        stored = None if text is None else await self._scripts.read_session(digest_of(text))
        if text is None or stored is None:
            return None
        key = await self._keys.find(stored.key_id)
        if key is None:
            await self._scripts.delete_session(digest_of(text))
            return None
        session = PageSession(text, stored.until_us)
        if arguments["method"] not in _SAFE:
            check_csrf_token(session, headers)
        scope[SESSION_KEY] = session
        return _user_of(key, session)

    def watch(self, user: User, on_end: Callable[[AccessRefused], None]) -> AbstractContextManager[None]:
        """Nothing: what watches the API key ends the responses of its sessions too."""
        return nullcontext()


def _user_of(key: ApiKey, session: PageSession) -> User:
    """The user of a key, until the session ends or the key expires."""
    until_us = session.until_us if key.expires_us is None else min(session.until_us, key.expires_us)
    return scoped_user(
        key.identity,
        key.scopes,
        key.owner,
        display_name=key.name or None,
        key_id=key.key_id,
        until_us=until_us,
    )
