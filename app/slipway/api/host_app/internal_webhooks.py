"""Webhooks that are a path of this server's own: routes of the project's app, and ours. Web processes call them.

They are called without a network, in a process that serves, so they find whatever the project's app keeps in memory and
what its lifespan has opened. A call is made for whoever the run worked for: the auth file is asked what that user may
do, so nobody reaches by a webhook what is not theirs to reach.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from starlette.types import ASGIApp

from slipway.access.auth_file import AuthFile
from slipway.access.users import User
from slipway.api.in_process_client.app import InProcessApp
from slipway.api.in_process_client.transport import InProcessTransport
from slipway.runs.delivery_queues import INTERNAL
from slipway.services import Services
from slipway.webhooks.deliveries import WebhookDeliveries
from slipway.webhooks.record import Delivery

_ORIGIN: Final = "http://api"
"""What the app finds as its host."""


class InternalWebhooks(WebhookDeliveries):
    """The webhooks that this web process calls. `state` is the lifespan's, the project's part included."""

    def __init__(
        self, services: Services, app: ASGIApp, state: Mapping[str, Any], auth: AuthFile | None = None
    ) -> None:
        super().__init__(services, (INTERNAL,), auth)
        self._app, self._state = app, state

    @asynccontextmanager
    async def _client_for(self, delivery: Delivery) -> AsyncIterator[httpx.AsyncClient]:
        user = None if delivery.user is None else User(delivery.user)
        transport = InProcessTransport(InProcessApp(self._app, self._state, user))
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            yield client

    def _url_of(self, delivery: Delivery) -> str:
        self._urls.check(delivery.url)
        return f"{_ORIGIN}{delivery.url}"
