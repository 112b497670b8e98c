"""Calls the webhooks of runs that are over: a script hands each one out, with a lease. Workers call those that have a
host, web processes those that are a path of this server's own (`slipway.api.host_app.internal_webhooks`).

A try may take 5 s to connect and 30 s in all, after at most 10 s in which the auth file allows it. It is done again
after network errors, 429 and 5xx; anything else that is no success is final, and so is an address that may not be
called.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final
from uuid import UUID

import httpx
import structlog

from slipway.access.auth_file import AuthFile
from slipway.access.handler_values.threads import ThreadsRead
from slipway.access.permissions import Permissions, all_permissions_of, is_handler_failure
from slipway.duties import Duty
from slipway.errors import AccessRefused, AuthBroken, NotFound, StoreUnavailable
from slipway.redis.hash_fields import Fields
from slipway.runs.delivery_queues import DeliveryQueue
from slipway.services import Services
from slipway.webhooks.delivery_policy import (
    RETRY_PAUSES_MS,
    DeliveryFailed,
    DeliveryRejected,
    log_text,
    problem_of,
    redirect_target,
)
from slipway.webhooks.record import Delivery
from slipway.webhooks.request_headers import headers_of, secret_of, signature
from slipway.webhooks.scripts import DeliveryScripts
from slipway.webhooks.urls import NoAddress

log = structlog.get_logger(__name__)


INTERVAL_S: Final = 1.0
_LAST_S: Final = 2.0
_AT_ONCE: Final = 16
WHOLE_S: Final = 30.0
PERMITTED_WITHIN_S: Final = 10.0
"""How long it may take to find out that the call is permitted: for the owner and all who changed the cron together."""
_LEASE_MS: Final = 45_000
"""Longer than `PERMITTED_WITHIN_S` and `WHOLE_S` together: nobody else takes a webhook that is being called."""
_MOST_HOPS: Final = 3
_NO_ANSWER: Final = "the server could not find out whether this may be told (the auth file failed)"
_NO_ANSWER_MS: Final = 15_000


class WebhookDeliveries(Duty):
    """The webhooks that this process calls: those of its `queues`."""

    name = "deliveries"

    def __init__(self, services: Services, queues: Sequence[DeliveryQueue], auth: AuthFile | None) -> None:
        super().__init__(INTERVAL_S)
        self.run_soon()  # the first round does not wait
        self._auth, self._threads = auth, services.threads
        self._unanswered: set[str] = set()
        self._scripts, self._clock = DeliveryScripts(services.pipeline, services.keys), services.clock
        self._section, self._urls, self._queues = services.config.webhooks, services.webhook_urls, queues
        self._headers = headers_of(self._section)
        secret = services.settings.webhook_secret
        self._secret = None if secret is None else secret_of(secret.get_secret_value())
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled. What is under way then has a moment to end, or is done again when its lease is over."""
        try:
            await super().run()
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=_LAST_S)
            for task in list(self._under_way):
                task.cancel()

    @abstractmethod
    def _reaching(self, delivery: Delivery) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """The client that this webhook is called with."""

    @abstractmethod
    def _target(self, delivery: Delivery) -> str:
        """Where it goes, as an absolute URL. Raises `InvalidRequest` for what may not be called."""

    async def run_once(self) -> None:
        """Begin what is due now, as much of it as there is room for."""
        room = _AT_ONCE - len(self._under_way)
        for held in await self._scripts.take(self._queues, room, _LEASE_MS) if room else ():
            task = asyncio.create_task(self._try(held))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.run_soon()

    async def _try(self, held: Fields) -> None:
        try:
            await self._deliver(Delivery.from_fields(held))
        except StoreUnavailable as error:
            log.warning("webhook.outcome_lost", run=held["run_id"].decode(), problem=str(error))
        except Exception:  # one record that cannot be read must not take the worker down
            log.exception("webhook.broke", run=held.get("run_id", b"").decode())

    async def _deliver(self, delivery: Delivery) -> None:
        facts = {"run": delivery.run_id, "attempt": delivery.number}
        try:
            delivery = await self._permitted_in_time(delivery)
            self._unanswered.discard(delivery.ident)
            async with asyncio.timeout(WHOLE_S):
                async with self._reaching(delivery) as client:
                    await self._call(client, delivery)
        except StoreUnavailable:
            raise
        except AuthBroken:
            if delivery.ident not in self._unanswered:  # logged when it begins, not each time
                log.exception("webhook.auth_broken", again_ms=_NO_ANSWER_MS, **facts)
            self._unanswered.add(delivery.ident)
            await self._scripts.end(
                delivery.ident,
                delivery.number,
                outcome="pending",
                problem=_NO_ANSWER,
                retry_ms=_NO_ANSWER_MS,
                uncounted=delivery.uncounted + 1,
            )
        except (DeliveryFailed, NoAddress, OSError, TimeoutError, httpx.TransportError) as error:
            calls = delivery.number - delivery.uncounted
            pause = RETRY_PAUSES_MS[calls - 1] if calls <= len(RETRY_PAUSES_MS) else None
            outcome = "failed" if pause is None else "pending"
            log.warning("webhook.failed", problem=log_text(error), again_ms=pause, **facts)
            await self._scripts.end(
                delivery.ident, delivery.number, outcome=outcome, problem=problem_of(error), retry_ms=pause
            )
        except Exception as error:  # a rejection, a forbidden URL, or one that httpx cannot parse
            log.warning("webhook.refused", problem=log_text(error), **facts)
            await self._scripts.end(delivery.ident, delivery.number, outcome="failed", problem=problem_of(error))
        else:
            log.info("webhook.delivered", **facts)
            await self._scripts.end(delivery.ident, delivery.number, outcome="delivered")

    async def _permitted_in_time(self, delivery: Delivery) -> Delivery:
        """As `_permitted`, within a bound: the lease must outlast it and the call."""
        try:
            async with asyncio.timeout(PERMITTED_WITHIN_S):
                return await self._permitted(delivery)
        except TimeoutError as error:
            raise AuthBroken(f"whether it may be called was not known within {PERMITTED_WITHIN_S:g} s") from error

    async def _permitted(self, delivery: Delivery) -> Delivery:
        """What may be told to users who may read the thread now; of a thread that is gone, not what it held. Raises
        `DeliveryRejected` and `AuthBroken`."""
        if delivery.temporary or self._auth is None:
            return delivery
        for permissions in all_permissions_of(self._auth, delivery.user, delivery.changed_by):
            if permissions.user is not None:
                delivery = await self._permitted_to(permissions, delivery)
        return delivery

    async def _permitted_to(self, permissions: Permissions, delivery: Delivery) -> Delivery:
        """The same for one of the users."""
        value = ThreadsRead.model_construct(thread_id=UUID(delivery.thread_id), run_id=UUID(delivery.run_id))
        try:
            _, only = await permissions.authorize(value)
            born_us = await self._threads.born_us(delivery.thread_id, only)
        except (AccessRefused, NotFound) as error:
            if is_handler_failure(error):
                raise AuthBroken(str(error)) from error
            raise DeliveryRejected("the user whose run it was may not read the thread any more") from error
        same = born_us is not None and (delivery.permitted_us is None or born_us <= delivery.permitted_us)
        return delivery if same or not only else delivery.without_values()

    async def _call(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        """POST, and again where a redirect leads on the same server."""
        now = self._clock.now()
        body = delivery.body(now, self._section.allowed_fields)
        headers = {"content-type": "application/json", "user-agent": "slipway"}
        if self._secret is not None:
            headers |= signature(self._secret, delivery.ident, now, body)
        headers |= self._headers
        url = self._target(delivery)
        for _ in range(_MOST_HOPS + 1):
            async with client.stream("POST", url, content=body, headers=headers) as answer:
                status, place = answer.status_code, answer.headers.get("location")
            if not (300 <= status < 400 and place):
                break
            url = redirect_target(url, place)
        if status == 429 or status >= 500:
            raise DeliveryFailed(f"HTTP {status}")
        if not 200 <= status < 300:
            raise DeliveryRejected(f"HTTP {status}")
