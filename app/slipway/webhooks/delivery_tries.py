"""Calls the webhooks of ended runs. A process claims each delivery with a lease, and executes one try of it.

Two duties use it: workers call webhooks that have a host (`slipway_workers.duties.deliveries`), and web processes call
those that are a path of this deployment (`slipway.api.host_app.internal_webhooks`).

Each try may take `AUTHORIZED_WITHIN_S` for the authorization and `CALL_TIMEOUT_S` for the call. A try is repeated after
network errors, 429 and 5xx. Any other status but 2xx ends the delivery, and so does a forbidden address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import httpx
import structlog

from slipway.access.access_control import AccessControl
from slipway.clock import Clock
from slipway.errors import AuthBroken, StoreUnavailable
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.delivery_queues import DeliveryQueue
from slipway.settings import Settings
from slipway.threads.store import ThreadStore
from slipway.webhooks.delivery_policy import (
    RETRY_PAUSES_MS,
    DeliveryFailed,
    DeliveryRejected,
    problem_for_log,
    problem_of,
    redirect_target,
)
from slipway.webhooks.read_permission import ReadPermission
from slipway.webhooks.record import Delivery
from slipway.webhooks.request_headers import headers_of, secret_of, signature
from slipway.webhooks.scripts import ClaimedDelivery, Delivered, DeliveryScripts, GivenUp, TriedAgain, TryResult
from slipway.webhooks.urls import NoAddress

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 1.0
"""Seconds between two rounds of a duty that calls webhooks."""

_STOP_TIMEOUT_S: Final = 2.0
_CONCURRENCY: Final = 16
CALL_TIMEOUT_S: Final = 30.0
_LEASE_MS: Final = 45_000
"""Longer than `AUTHORIZED_WITHIN_S` and `CALL_TIMEOUT_S` together: no other process claims a delivery during a try."""
_MAX_REDIRECTS: Final = 3
_AUTH_FAILED: Final = "the auth file failed, so the permission to read the thread could not be checked"
_AUTH_RETRY_MS: Final = 15_000


class DeliveryServices(Protocol):
    """The services that calling webhooks needs."""

    @property
    def settings(self) -> Settings: ...
    @property
    def config(self) -> LangGraphJson: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def pipeline(self) -> Pipeline: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def threads(self) -> ThreadStore: ...


class Receivers(Protocol):
    """How this process reaches the receivers of webhooks."""

    def client_for(self, delivery: Delivery) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """The HTTP client for this delivery."""

    def url_of(self, delivery: Delivery) -> str:
        """The absolute URL of the webhook. Raises `InvalidRequest` for a URL that is forbidden."""


class DeliveryTries:
    """The tries that this process executes, of deliveries in `queues`. `on_try_ended` is called after each try."""

    def __init__(
        self,
        services: DeliveryServices,
        queues: Sequence[DeliveryQueue],
        receivers: Receivers,
        auth: AccessControl | None,
        *,
        on_try_ended: Callable[[], None],
    ) -> None:
        self._queues, self._receivers, self._report_ended_try = queues, receivers, on_try_ended
        self._permission = ReadPermission(auth, services.threads)
        self._auth_failed: set[str] = set()
        self._scripts, self._clock = DeliveryScripts(services.pipeline, services.keys), services.clock
        self._section = services.config.webhooks
        self._headers = headers_of(self._section)
        secret = services.settings.webhook_secret
        self._secret = None if secret is None else secret_of(secret.get_secret_value())
        self._tries: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Waits until the tries in progress have ended, at most `_STOP_TIMEOUT_S`. Another process repeats those that
        have not ended, when their lease has expired."""
        try:
            if self._tries:
                await asyncio.wait(self._tries, timeout=_STOP_TIMEOUT_S)
        finally:
            for task in list(self._tries):
                task.cancel()

    async def start_due(self) -> int:
        """Claims due deliveries, at most as many as slots are free, and starts a try of each. Returns their
        number."""
        free_slots = _CONCURRENCY - len(self._tries)
        claimed = await self._scripts.claim(self._queues, free_slots, _LEASE_MS) if free_slots else []
        for delivery in claimed:
            task = asyncio.create_task(self._process(delivery))
            self._tries.add(task)
            task.add_done_callback(self._on_try_ended)
        return len(claimed)

    def _on_try_ended(self, task: asyncio.Task[None]) -> None:
        self._tries.discard(task)
        self._report_ended_try()

    @property
    def in_progress(self) -> int:
        """How many tries this process executes now."""
        return len(self._tries)

    async def _process(self, claimed: ClaimedDelivery) -> None:
        try:
            await self._deliver(Delivery.from_fields(claimed.fields))
        except StoreUnavailable as error:
            log.warning("webhook.outcome_lost", run=claimed.run_id, problem=str(error))
        except Exception:  # a record that cannot be read must not stop the process
            log.exception("webhook.crashed", run=claimed.run_id)

    async def _deliver(self, delivery: Delivery) -> None:
        log_fields = {"run": delivery.run_id, "try": delivery.try_number}
        try:
            delivery = await self._permission.check(delivery)
            self._auth_failed.discard(delivery.delivery_id)
            async with asyncio.timeout(CALL_TIMEOUT_S):
                async with self._receivers.client_for(delivery) as client:
                    await self._call(client, delivery)
        except StoreUnavailable:
            raise
        except AuthBroken:
            if delivery.delivery_id not in self._auth_failed:  # log the first failure only
                log.exception("webhook.auth_failed", retry_ms=_AUTH_RETRY_MS, **log_fields)
            self._auth_failed.add(delivery.delivery_id)
            await self._settle(delivery, TriedAgain(_AUTH_FAILED, _AUTH_RETRY_MS, delivery.uncounted_tries + 1))
        except (DeliveryFailed, NoAddress, OSError, TimeoutError, httpx.TransportError) as error:
            calls = delivery.try_number - delivery.uncounted_tries
            pause_ms = RETRY_PAUSES_MS[calls - 1] if calls <= len(RETRY_PAUSES_MS) else None
            log.warning("webhook.failed", problem=problem_for_log(error), retry_ms=pause_ms, **log_fields)
            problem = problem_of(error)
            await self._settle(delivery, GivenUp(problem) if pause_ms is None else TriedAgain(problem, pause_ms))
        except Exception as error:  # a rejection, a forbidden URL, or one that httpx cannot parse
            log.warning("webhook.rejected", problem=problem_for_log(error), **log_fields)
            await self._settle(delivery, GivenUp(problem_of(error)))
        else:
            log.info("webhook.delivered", **log_fields)
            await self._settle(delivery, Delivered())

    async def _settle(self, delivery: Delivery, result: TryResult) -> None:
        await self._scripts.settle_try(delivery.delivery_id, delivery.try_number, result)

    async def _call(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        """Sends the POST, and sends it again where a redirect leads on the same server."""
        now = self._clock.now()
        body = delivery.body(now, self._section.allowed_fields)
        headers = {"content-type": "application/json", "user-agent": "slipway"}
        if self._secret is not None:
            headers |= signature(self._secret, delivery.delivery_id, now, body)
        headers |= self._headers
        url = self._receivers.url_of(delivery)
        for _ in range(_MAX_REDIRECTS + 1):
            async with client.stream("POST", url, content=body, headers=headers) as response:
                status, location = response.status_code, response.headers.get("location")
            if not (300 <= status < 400 and location):
                break
            url = redirect_target(url, location)
        if status == 429 or status >= 500:
            raise DeliveryFailed(f"HTTP {status}")
        if not 200 <= status < 300:
            raise DeliveryRejected(f"HTTP {status}")
