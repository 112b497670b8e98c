"""Random texts that let their holder in: ids of sessions and tickets. Only their hashes are stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

_BYTES: Final = 32
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_CSRF: Final = b"slipway csrf token"


def new_text() -> str:
    """256 random bits, as 43 characters that need no escapes."""
    return secrets.token_urlsafe(_BYTES)


def is_text(text: str) -> bool:
    """Whether it has the form of such a text."""
    return _TEXT.fullmatch(text) is not None


def digest_of(text: str) -> str:
    """The hash under which a text is stored. It needs no salt: nobody can find 256 random bits by trying."""
    return hashlib.sha256(text.encode()).hexdigest()


def csrf_token_of(session: str) -> str:
    """The token that belongs to a session. Whoever knows it does not know the session, and it needs no record."""
    return hmac.new(session.encode(), _CSRF, hashlib.sha256).hexdigest()


def is_csrf_token_of(session: str, token: str) -> bool:
    """Takes the same time for every token."""
    return hmac.compare_digest(csrf_token_of(session).encode(), token.encode("utf-8", "replace"))
