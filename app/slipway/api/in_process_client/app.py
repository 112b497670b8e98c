"""Calls the application from inside its process, without a network: for graphs and internal webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.access.users import User
from slipway.api.auth.authentication import IN_PROCESS_SCOPE_KEY, USER_SCOPE_KEY


class InProcessApp:
    """An ASGI application that marks each request as sent by this process and passes it to `app`.

    Without a `user` the requests are trusted, because graphs are the project's own code: the auth file is not called.
    With a `user` the requests can do what this user could do over a network. `state` is the lifespan state of
    `app`."""

    def __init__(self, app: ASGIApp, state: Mapping[str, Any], user: User | None = None) -> None:
        self._app, self._state, self._user = app, state, user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        marked = {**scope, "root_path": "", "state": dict(self._state), IN_PROCESS_SCOPE_KEY: True}
        if self._user is not None:
            marked[USER_SCOPE_KEY] = self._user
        await self._app(marked, receive, send)
