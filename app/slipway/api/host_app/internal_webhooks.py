"""Internal webhooks: webhooks whose URL is a path of this deployment, such as a route of the host app.

A web process calls them without a network, so a route of the host app can use the app's objects in memory and its
lifespan state. The auth file authorizes the request for the run's user: a webhook can do nothing that this user is not
authorized to do.
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
"""The scheme and host of the requests. The application receives them; nothing resolves them."""


class InternalWebhooks(WebhookDeliveries):
    """Calls internal webhooks in this web process. `state` is the lifespan state of Slipway and of the host app."""

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
