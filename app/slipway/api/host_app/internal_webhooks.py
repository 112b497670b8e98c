"""Calls internal webhooks: those whose URL is a path of this deployment, such as a route of the host app.

Interval: `slipway.webhooks.delivery_tries.INTERVAL_S`; at once when a try has ended.
Who: every web process, if `webhooks.url` of langgraph.json allows internal webhooks; a script assigns each delivery to
one process at a time, with a lease. With several shards each process looks at a part of them in each round
(`slipway.webhooks.claim_shards`).
Logs: `webhook.delivered`, `webhook.failed`, `webhook.rejected` for each try (`slipway.webhooks.delivery_tries`).

A web process calls them without a network, so a route of the host app can use the app's objects in memory and its
lifespan state. The auth file authorizes the request for the run's user: a webhook can do nothing that this user is not
authorized to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from starlette.types import ASGIApp

from slipway.access.access_control import AccessControl
from slipway.access.users import User
from slipway.api.in_process_client.app import InProcessApp
from slipway.api.in_process_client.transport import InProcessTransport
from slipway.duties.duty import Duty
from slipway.runs.delivery_queues import INTERNAL
from slipway.services import Services
from slipway.webhooks.delivery_tries import INTERVAL_S, DeliveryTries
from slipway.webhooks.record import Delivery
from slipway.webhooks.urls import UrlPolicy

_ORIGIN: Final = "http://api"
"""The scheme and host of the requests. The application receives them; nothing resolves them."""


class InternalWebhooks(Duty):
    """One round starts a try of each delivery that is due, and does not wait until the tries end. `state` is the
    lifespan state of Slipway and of the host app."""

    name = "internal_webhooks"

    def __init__(
        self, services: Services, app: ASGIApp, state: Mapping[str, Any], auth: AccessControl | None = None
    ) -> None:
        super().__init__(INTERVAL_S)
        receivers = _InternalReceivers(app, state, services.webhook_urls)
        self._tries = DeliveryTries(services, (INTERNAL,), receivers, auth, on_try_ended=self.run_soon)
        self.run_soon()  # the first round does not wait

    async def run_once(self) -> int:
        """Returns the number of tries that were started."""
        return await self._tries.start_due()

    async def close(self) -> None:
        await self._tries.close()


@dataclass(frozen=True, slots=True)
class _InternalReceivers:
    """The routes of this deployment. Each delivery has a client that acts for the user of its run."""

    app: ASGIApp
    state: Mapping[str, Any]
    urls: UrlPolicy

    @asynccontextmanager
    async def client_for(self, delivery: Delivery) -> AsyncIterator[httpx.AsyncClient]:
        user = None if delivery.user is None else User(delivery.user)
        transport = InProcessTransport(InProcessApp(self.app, self.state, user))
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            yield client

    def url_of(self, delivery: Delivery) -> str:
        self.urls.check(delivery.url)
        return f"{_ORIGIN}{delivery.url}"
