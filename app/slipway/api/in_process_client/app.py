"""The application as graphs and internal webhooks reach it, without a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.access.users import User
from slipway.api.auth.authentication import _IN_PROCESS
from slipway.api.request_parsing import CALLER


class InProcess:
    """The application as graphs reach it without a network (`langgraph_sdk.get_client()`): they are the project's own
    code and are trusted, unless a request is made for a `user`, who may do no more than over a network. No request from
    the network has the mark that this sets. `state` is the lifespan's."""

    def __init__(self, app: ASGIApp, state: Mapping[str, Any], user: User | None = None) -> None:
        self._app, self._state, self._user = app, state, user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        marked = {**scope, "root_path": "", "state": dict(self._state), _IN_PROCESS: True}
        if self._user is not None:
            marked[CALLER] = self._user
        await self._app(marked, receive, send)
