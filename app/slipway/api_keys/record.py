"""The record of an API key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from slipway.access.scopes import SCOPES, Scope
from slipway.clock import iso
from slipway.redis.hash_fields import Fields

IDENTITY_PREFIX: Final = "key:"
"""The identity of the user of a key is this and the id of the key."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. Times are in µs since 1970, on the clock of Redis."""

    key_id: str
    name: str
    """A text for people; empty if nobody gave one."""
    scopes: tuple[Scope, ...]
    owner: str | None
    """To whose records the key is restricted. None: it may use the records of all owners."""
    digest: str
    """The hash of the key (`KeyText.digest`)."""
    last_characters: str
    created_us: int
    created_by: str
    expires_us: int | None
    """None: the key does not expire."""
    revoked_us: int | None = None
    revoked_by: str | None = None
    last_used_us: int | None = None
    """When a request was last sent with the key, exact to a minute. None: never."""

    @property
    def identity(self) -> str:
        """The identity of the key's user."""
        return IDENTITY_PREFIX + self.key_id

    def has_expired(self, now_us: int) -> bool:
        return self.expires_us is not None and self.expires_us <= now_us

    def state(self, now_us: int) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_us is not None:
            return "revoked"
        return "expired" if self.has_expired(now_us) else "active"

    def public(self, now_us: int) -> dict[str, Any]:
        """The key as the API shows it: everything but its hash."""
        return {
            "key_id": self.key_id,
            "name": self.name,
            "state": self.state(now_us),
            "scopes": [scope.value for scope in self.scopes],
            "owner": self.owner,
            "last_characters": self.last_characters,
            "created_at": iso(self.created_us),
            "created_by": self.created_by,
            "expires_at": _time(self.expires_us),
            "revoked_at": _time(self.revoked_us),
            "revoked_by": self.revoked_by,
            "last_used_at": _time(self.last_used_us),
        }


def key_from(key_id: str, fields: Fields) -> ApiKey:
    """The key from the fields of its hash. A scope of a later release is ignored: this release cannot know what it
    permits."""
    scopes = [name for name in orjson.loads(fields["scopes"]) if name in SCOPES]
    return ApiKey(
        key_id=key_id,
        name=fields["name"].decode(),
        scopes=tuple(map(Scope, scopes)),
        owner=_text(fields, "owner"),
        digest=fields["digest"].decode(),
        last_characters=fields["last_characters"].decode(),
        created_us=int(fields["created_us"]),
        created_by=fields["created_by"].decode(),
        expires_us=_number(fields, "expires_us"),
        revoked_us=_number(fields, "revoked_us"),
        revoked_by=_text(fields, "revoked_by"),
        last_used_us=_number(fields, "last_used_us"),
    )


def _time(moment_us: int | None) -> str | None:
    return None if moment_us is None else iso(moment_us)


def _text(fields: Fields, name: str) -> str | None:
    return fields[name].decode() if name in fields else None


def _number(fields: Fields, name: str) -> int | None:
    return int(fields[name]) if name in fields else None
