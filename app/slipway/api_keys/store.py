"""Creates, lists and revokes API keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.access.scopes import check_owner_scopes, checked_owner, checked_scopes
from slipway.api_keys.key_text import PREFIX, has_secret, id_in, is_key_id, new_key_text
from slipway.api_keys.record import ApiKey, key_from
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.errors import InvalidRequest, NotFound
from slipway.serialization.json_encoding import dumps

MAX_LIMIT: Final = 1000
NAME_CHARACTERS: Final = 200
_US: Final = 1_000_000
_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION: Final = re.compile(r"([0-9]{1,6})([mhdw])", re.ASCII)
_LONGEST_S: Final = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just created, and its text, which nobody can read again."""

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"NewKey({self.key.key_id!r})"


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys, the newest first, and the time at which they were read, in µs. `next` continues the list; None at its
    end."""

    keys: list[ApiKey]
    now_us: int
    next: str | None


class ApiKeyStore:
    """The API keys of a deployment."""

    def __init__(self, scripts: ApiKeyScripts) -> None:
        self._scripts = scripts

    async def create(
        self, *, scopes: Sequence[str], owner: str | None, expires: str | None, name: str, by: str
    ) -> NewKey:
        """Creates a key. `expires` is a duration such as `90d`, None for a key that does not expire; `by` is who
        creates it. Raises `InvalidRequest`, which names the field `scopes`, `owner`, `expires` or `name`. One round
        trip."""
        checked = checked_scopes(scopes, "scopes")
        owner = None if owner is None else checked_owner(owner, "owner")
        check_owner_scopes(owner, checked, "scopes")
        lasts_s = None if expires is None else duration_s(expires, "expires")
        name = _checked_name(name)
        while True:
            text = new_key_text()
            created_us = await self._scripts.create(
                text,
                name=name,
                scopes=dumps([scope.value for scope in checked]).decode(),
                owner=owner,
                created_by=by,
                lasts_us=None if lasts_s is None else lasts_s * _US,
            )
            if created_us is not None:
                break
        key = ApiKey(
            key_id=text.key_id,
            name=name,
            scopes=checked,
            owner=owner,
            digest=text.digest,
            last_characters=text.last_characters,
            created_us=created_us,
            created_by=by,
            expires_us=None if lasts_s is None else created_us + lasts_s * _US,
        )
        return NewKey(key, text.text)

    async def get(self, key_id: str) -> ApiKey:
        """Raises `NotFound`, and `InvalidRequest` for the text of a key, which it does not show. One round trip."""
        _reject_secret(key_id)
        fields = await self._scripts.read(key_id) if is_key_id(key_id) else None
        if fields is None:
            raise NotFound("key", key_id)
        return key_from(key_id, fields)

    async def page(self, limit: int, after: str | None = None) -> KeyPage:
        """Up to `limit` keys, also those that have ended; `after` is the `next` of the page before. Raises
        `InvalidRequest` for any other. One round trip."""
        stored = await self._scripts.page(limit, after)
        if stored is None:
            raise InvalidRequest("cursor", "is not the member `next` of a page, or its key was deleted meanwhile")
        keys = [key_from(key_id, fields) for key_id, fields in stored.keys if fields]
        return KeyPage(keys, stored.now_us, stored.keys[-1][0] if stored.more else None)

    async def revoke(self, key_id: str, by: str) -> tuple[ApiKey, bool]:
        """Revokes a key: no request with it is accepted any more, and its open responses end. Returns the key, and
        whether it was not revoked before. Raises `NotFound`, and `InvalidRequest` for the text of a key, which it does
        not show. One round trip."""
        _reject_secret(key_id)
        revoked = await self._scripts.revoke(key_id, by) if is_key_id(key_id) else None
        if revoked is None:
            raise NotFound("key", key_id)
        return key_from(key_id, revoked.fields), revoked.changed

    async def has_active(self) -> bool:
        """Whether there is a key that is neither revoked nor expired. One round trip."""
        return await self._scripts.active() > 0


def duration_s(text: str, field: str) -> int:
    """A duration such as `12h` or `90d`, in seconds. Raises `InvalidRequest`."""
    match = _DURATION.fullmatch(text)
    seconds = 0 if match is None else int(match[1]) * _UNITS_S[match[2]]
    if not 0 < seconds <= _LONGEST_S:
        raise InvalidRequest(field, f"{text!r} is not a duration such as 30m, 12h, 90d or 52w, of ten years at most")
    return seconds


def _reject_secret(key_id: str) -> None:
    """Raises `InvalidRequest` for a text that may contain the secret of a key."""
    if has_secret(key_id):
        found = id_in(key_id) or f"the characters between {PREFIX!r} and the next underscore"
        raise InvalidRequest("key_id", f"this is a key, which is secret, and not its id; give the key id: {found}")


def _checked_name(name: str) -> str:
    if len(name) > NAME_CHARACTERS or not name.isprintable():
        raise InvalidRequest("name", f"must be printable, and have at most {NAME_CHARACTERS} characters")
    return name
