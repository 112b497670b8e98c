"""The text of an API key: `slipway_<id>_<secret>`.

The secret has 256 random bits, so its hash needs no salt and no slow function: nobody can find a secret by trying. Only
the hash is stored. The text is shown once, when the key is created.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "slipway_"
_ID_CHARACTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH: Final = 12
_SECRET_BYTES: Final = 32
_SECRET_CHARACTERS: Final = 43
LAST_CHARACTERS: Final = 4
"""How many characters of a key are stored, so that people recognise it."""

_ID: Final = re.compile(rf"[a-z0-9]{{{_ID_LENGTH}}}", re.ASCII)
_ID_IN_KEY: Final = re.compile(rf"{PREFIX}([a-z0-9]{{{_ID_LENGTH}}})(?![a-z0-9])", re.ASCII)
_KEY: Final = re.compile(rf"{PREFIX}([a-z0-9]{{{_ID_LENGTH}}})_([A-Za-z0-9_-]{{{_SECRET_CHARACTERS}}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as a client sends it. It is never logged, so its representation shows only the id."""

    key_id: str
    text: str

    def __repr__(self) -> str:
        return f"KeyText({self.key_id!r})"

    @property
    def digest(self) -> str:
        """SHA-256 of the whole text, as 64 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def last_characters(self) -> str:
        return self.text[-LAST_CHARACTERS:]

    def matches(self, digest: str) -> bool:
        """Whether this is the key with this stored hash. Takes the same time for every hash."""
        return hmac.compare_digest(self.digest, digest)


def new_key_text() -> KeyText:
    """A new random key."""
    key_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))
    return KeyText(key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}")


def is_key_id(text: str) -> bool:
    """Whether the text has the form of the id of a key."""
    return _ID.fullmatch(text) is not None


def has_secret(text: str) -> bool:
    """Whether a text that should be the id of a key may contain the key itself or its secret: it must not be shown."""
    return PREFIX in text.lower() or len(text) >= _SECRET_CHARACTERS


def id_in(text: str) -> str | None:
    """The id in a text that contains a key, which need not be complete; None if there is none."""
    match = _ID_IN_KEY.search(text)
    return None if match is None else match[1]


def parse_key(text: str) -> KeyText | None:
    """The key; None if the text does not have the form of one."""
    match = _KEY.fullmatch(text)
    return None if match is None else KeyText(match[1], text)
