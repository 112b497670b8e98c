"""Tickets for streams. `EventSource` and `WebSocket` of browsers cannot send headers, and a key must not be in an
address. So a page requests a ticket with its key, and opens one stream with it.

A ticket is valid for seconds, for one path, and once: the command that reads it deletes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from slipway.access.scoped_users import expires_us, key_of
from slipway.access.users import User
from slipway.browser_access.active_keys import ActiveKeys
from slipway.browser_access.random_texts import digest_of, is_text, new_text
from slipway.browser_access.scripts import BrowserScripts
from slipway.errors import AccessRefused
from slipway.serialization.at_rest import opened_json, sealed_json
from slipway.serialization.places import ticket_place

TICKET_LASTS_S: Final = 30
TICKET_KEY: Final = "slipway.ticket"
"""The member of a request's scope with the ticket that was in its query."""


def path_of(scope: Mapping[str, Any]) -> str:
    """The path of a request without the mount prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class StreamTickets:
    """Creates and verifies tickets. It is one of the `Credentials` of `AccessControl`."""

    def __init__(self, scripts: BrowserScripts, keys: ActiveKeys) -> None:
        self._scripts, self._keys = scripts, keys

    async def create(self, user: User, path: str) -> str:
        """A ticket with which one request for `path`, without a mount prefix, acts for `user`. One round trip."""
        text = new_text()
        digest = digest_of(text)
        content = sealed_json({"path": path, "user": user.stored()}, ticket_place(digest))
        await self._scripts.create_ticket(digest, content, lasts_s=TICKET_LASTS_S)
        return text

    async def authenticate(self, arguments: Mapping[str, Any]) -> User | None:
        """The user of the ticket in a request; None if it has none. Raises `AccessRefused` (401) for a ticket that was
        used, has expired or is for another path."""
        text = arguments["scope"].get(TICKET_KEY)
        if text is None:
            return None
        digest = digest_of(text)
        content = await self._scripts.use_ticket(digest) if is_text(text) else None
        if content is None:
            raise AccessRefused(401, "the ticket was used, or has expired; a ticket opens one stream within seconds")
        stored = opened_json(content, ticket_place(digest))
        if stored["path"] != path_of(arguments["scope"]) or arguments["method"] != "GET":
            raise AccessRefused(401, "the ticket is for another stream")
        user = User(stored["user"])
        await self._check_credentials(user)
        return user

    async def _check_credentials(self, user: User) -> None:
        """Raises `AccessRefused` if what the user had sent for the ticket has been revoked or has expired since."""
        key_id, until_us = key_of(user), expires_us(user)
        is_over = until_us is not None and until_us <= self._keys.now_us()
        if is_over or (key_id is not None and await self._keys.find(key_id) is None):
            raise AccessRefused(401, "the credentials with which the ticket was requested are not valid any more")

    def watch(self, user: User, on_end: Callable[[AccessRefused], None]) -> AbstractContextManager[None]:
        """Nothing: what watches the API key of the user ends the stream."""
        return nullcontext()
