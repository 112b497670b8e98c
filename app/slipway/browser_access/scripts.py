"""The script stubs of page sessions and stream tickets. Each method takes one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slipway.redis.hash_fields import fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_SESSION_CREATE: Final = load("page_session_create")


@dataclass(frozen=True, slots=True)
class StoredSession:
    """The API key of a session, and when the session ends, in µs."""

    key_id: str
    until_us: int


class BrowserScripts(ScriptStubs):
    """Stores sessions and tickets by the hashes of their texts."""

    async def create_session(self, digest: str, key_id: str, *, lasts_s: int, replaces: str | None) -> int:
        """Stores a session of the API key `key_id`, and deletes the session `replaces` of the same browser. Returns
        when it ends, in µs."""
        arguments = self._args(digest=digest, key_id=key_id, lasts_s=lasts_s, replaces=replaces)
        return int(await self._pipeline.run(_SESSION_CREATE, [], arguments))

    async def read_session(self, digest: str) -> StoredSession | None:
        """None if there is none."""
        fields = fields_of(await self._pipeline.send("HGETALL", self._keys.page_session(digest), repeatable=True))
        return StoredSession(fields["key_id"].decode(), int(fields["until_us"])) if fields else None

    async def delete_session(self, digest: str) -> None:
        await self._pipeline.send("DEL", self._keys.page_session(digest), repeatable=True)

    async def create_ticket(self, digest: str, content: str, *, lasts_s: int) -> None:
        await self._pipeline.send("SET", self._keys.stream_ticket(digest), content, "EX", lasts_s, repeatable=True)

    async def use_ticket(self, digest: str) -> bytes | None:
        """The content of a ticket, which exists no more after this; None if it was used or has expired. One command, so
        only one of several requests gets it. It is not repeated if its reply is lost: the ticket is used up then."""
        content: bytes | None = await self._pipeline.send("GETDEL", self._keys.stream_ticket(digest))
        return content
