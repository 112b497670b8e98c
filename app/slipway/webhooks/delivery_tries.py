"""Calls webhooks. A process claims each delivery with a lease, and executes one try of it.

Two duties use it: workers call webhooks that have a host (`slipway_workers.duties.deliveries`), and web processes call
those that are a path of this deployment (`slipway.api.host_app.internal_webhooks`).

Each try may take `AUTHORIZED_WITHIN_S` for the authorization and `CALL_TIMEOUT_S` for the call, however slowly the
receiver sends. Any status but 2xx is a failure, also a redirect. A failed delivery is tried again by the schedule of
`retry_schedule.py`; 410 ends it, and so does a URL that is forbidden.

The body of a delivery is made by its first try and stored before it is sent, so that each try sends the same bytes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import httpx
import structlog

from slipway import failpoints
from slipway.access.access_control import AccessControl
from slipway.clock import Clock, microseconds_of
from slipway.errors import AuthBroken, StoreUnavailable
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.otlp.process_export import ProcessExport
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.delivery_queues import DeliveryQueue
from slipway.serialization.at_rest import sealed_in_thread
from slipway.serialization.places import delivery_place
from slipway.settings import Settings
from slipway.telemetry.trace_context import TRACEPARENT
from slipway.threads.store import ThreadStore
from slipway.webhooks.call import Response, post
from slipway.webhooks.delivery_policy import ReceiverFailed, problem_for_log, problem_of
from slipway.webhooks.limits import limits_of
from slipway.webhooks.read_permission import ReadPermission
from slipway.webhooks.record import Delivery
from slipway.webhooks.request_headers import headers_of, keys_of
from slipway.webhooks.retry_schedule import retry_pause_ms, wish_ms_of
from slipway.webhooks.scripts import (
    Delivered,
    DeliveryScripts,
    GivenUp,
    TargetHealth,
    TriedAgain,
    TryResult,
)
from slipway.webhooks.signing import signature_headers
from slipway.webhooks.spans import span_of_try, traced_run_of, webhook_span
from slipway.webhooks.target_scripts import ClaimedDelivery
from slipway.webhooks.try_record import TryRecord
from slipway.webhooks.urls import NoAddress

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 1.0
"""Seconds between two rounds of a duty that calls webhooks."""

_STOP_TIMEOUT_S: Final = 2.0
_CONCURRENCY: Final = 64
"""The most tries of one process at once: a multiple of what one target receives, so that slow ones leave room."""
CALL_TIMEOUT_S: Final = 30.0
_LEASE_MS: Final = 45_000
"""Longer than `AUTHORIZED_WITHIN_S` and `CALL_TIMEOUT_S` together: no other process claims a delivery during a try."""
_AUTH_FAILED: Final = "the auth file failed, so the permission to read the thread could not be checked"
_AUTH_RETRY_MS: Final = 15_000
_FEWEST_SECRET_CHARS: Final = 4
_LONGEST_PAUSE_MS: Final = 3_600_000
"""One delivery cannot postpone the others of its target further."""


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
    def shards(self) -> Shards: ...
    @property
    def threads(self) -> ThreadStore: ...
    @property
    def export(self) -> ProcessExport | None: ...


class Receivers(Protocol):
    """How this process reaches the receivers of webhooks."""

    def client_for(self, delivery: Delivery) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """The HTTP client for this delivery."""

    def url_of(self, delivery: Delivery) -> str:
        """The absolute URL of the webhook. Raises `InvalidRequest` for a URL that is forbidden."""


class _Overtaken(Exception):
    """Another process may have claimed the delivery: this try makes no call and stores nothing."""


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
        self.scripts = DeliveryScripts(services.pipeline, services.shards, limits_of(services.settings))
        self._clock = services.clock
        self._section = services.config.webhooks
        self._headers = headers_of(self._section)
        self._secrets = _secrets_in(self._headers)
        secret = services.settings.webhook_secret
        self._keys = keys_of(None if secret is None else secret.get_secret_value())
        self._tries: set[asyncio.Task[None]] = set()
        self._export = services.export

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
        asked_at = self._clock.monotonic()
        claimed = await self.scripts.claim(self._queues, free_slots, _LEASE_MS) if free_slots else []
        for delivery in claimed:
            task = asyncio.create_task(self._process(delivery, asked_at))
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

    async def _process(self, claimed: ClaimedDelivery, claimed_at: float) -> None:
        try:
            now_us = microseconds_of(self._clock.now())
            await self._deliver(Delivery.from_fields(claimed.fields, claimed.endpoint, now_us), claimed_at)
        except StoreUnavailable as error:
            log.warning("webhook.outcome_lost", delivery=claimed.delivery_id, problem=str(error))
        except Exception:  # a record that cannot be read must not stop the process
            log.exception("webhook.crashed", delivery=claimed.delivery_id)

    async def _deliver(self, delivery: Delivery, claimed_at: float) -> None:
        log_fields = {"delivery": delivery.delivery_id, "try": delivery.try_number, **delivery.logged_run.log_fields()}
        started, started_us = self._clock.monotonic(), microseconds_of(self._clock.now())
        response: Response | None = None
        health: TargetHealth | None = None
        result: TryResult
        try:
            failpoints.reach("webhook_claimed")
            delivery = await self._permission.check(delivery)
            self._auth_failed.discard(delivery.delivery_id)
            body = await self._stored_body(delivery)
            failpoints.reach("webhook_stored")
            if self._clock.monotonic() - claimed_at > _LEASE_MS / 1000 - CALL_TIMEOUT_S:
                raise _Overtaken
            async with asyncio.timeout(CALL_TIMEOUT_S):
                async with self._receivers.client_for(delivery) as client:
                    response = await self._call(client, delivery, body, started_us)
            failpoints.reach("webhook_called")
            _require_success(response, wish_ms_of(response.retry_after, self._clock.now()))
        except StoreUnavailable:
            raise
        except _Overtaken:
            log.warning("webhook.overtaken", **log_fields)
            return
        except AuthBroken:
            if delivery.delivery_id not in self._auth_failed:  # log the first failure only
                log.exception("webhook.auth_failed", retry_in_s=_AUTH_RETRY_MS / 1000, **log_fields)
            self._auth_failed.add(delivery.delivery_id)
            result = TriedAgain(_AUTH_FAILED, _AUTH_RETRY_MS, delivery.uncounted_tries + 1)
        except ReceiverFailed as error:
            result, health = self._after_status(delivery, error), _health(delivery, error)
            log.warning("webhook.failed", problem=str(error), retry_in_s=_pause_s_of(result), **log_fields)
        except (NoAddress, OSError, TimeoutError, httpx.TransportError) as error:
            result, health = self._again(delivery, problem_of(error), None), TargetHealth(answered=False)
            log.warning("webhook.failed", problem=problem_for_log(error), retry_in_s=_pause_s_of(result), **log_fields)
        except Exception as error:  # a rejection, a forbidden URL, or one that httpx cannot parse
            result = GivenUp(problem_of(error))
            log.warning("webhook.rejected", problem=problem_for_log(error), **log_fields)
        else:
            result, health = Delivered(), TargetHealth(answered=True)
            log.info("webhook.delivered", **log_fields)
        record = TryRecord(
            number=delivery.try_number,
            at_us=started_us,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            status=None if response is None else response.status,
            problem=None if isinstance(result, Delivered) else result.problem,
            response=None if response is None else response.excerpt,
        )
        await self._settle(delivery, result, record, health)
        if self._export is not None and delivery.trace is not None and delivery.trace.context.sampled:
            self._export.ended(traced_run_of(delivery.trace, delivery), webhook_span(delivery.trace, delivery, record))

    async def _settle(
        self, delivery: Delivery, result: TryResult, record: TryRecord, health: TargetHealth | None
    ) -> None:
        settled = await self.scripts.settle_try(delivery.delivery_id, delivery.try_number, result, record, health)
        if settled.disabled is not None and delivery.recipient is not None:
            log.error("webhook.endpoint_disabled", endpoint=delivery.recipient.endpoint_id, reason=settled.disabled)

    async def _stored_body(self, delivery: Delivery) -> bytes:
        """The bytes that every try sends. The first try makes and stores them. Raises `_Overtaken` if a later try has
        started."""
        if delivery.stored_body is not None:
            return delivery.stored_body
        body = delivery.new_body(self._clock.now(), self._section.allowed_fields)
        stored = await sealed_in_thread(body, delivery_place(delivery.delivery_id))
        if not await self.scripts.store_body(delivery.delivery_id, delivery.try_number, stored):
            raise _Overtaken
        return body

    async def _call(self, client: httpx.AsyncClient, delivery: Delivery, body: bytes, started_us: int) -> Response:
        keys = self._keys if delivery.recipient is None else delivery.recipient.keys
        headers = {"content-type": "application/json", "user-agent": "slipway", "accept-encoding": "identity"}
        own = {name.lower(): value for name, value in self._headers.items()}
        if delivery.trace is not None and TRACEPARENT not in own:
            headers |= span_of_try(delivery.trace, delivery, started_us).headers()
        headers |= own
        headers |= signature_headers(keys, delivery.delivery_id, self._clock.now(), body)
        return await post(client, self._receivers.url_of(delivery), body, headers, self._secrets)

    def _after_status(self, delivery: Delivery, error: ReceiverFailed) -> TryResult:
        if error.is_gone:
            return GivenUp(f"{error}: the receiver wants no further webhook")
        return self._again(delivery, str(error), error.wish_ms)

    def _again(self, delivery: Delivery, problem: str, wish_ms: int | None) -> TryResult:
        pause_ms = retry_pause_ms(delivery.calls, wish_ms, random.random())
        return GivenUp(problem) if pause_ms is None else TriedAgain(problem, pause_ms)


def _require_success(response: Response, wish_ms: int | None) -> None:
    """Raises `ReceiverFailed` for any other status than 2xx."""
    if not 200 <= response.status < 300:
        raise ReceiverFailed(response.status, wish_ms)


def _health(delivery: Delivery, error: ReceiverFailed) -> TargetHealth:
    """An endpoint fails with any status but 2xx. An origin with a path that does not exist is healthy: the next webhook
    may name another path."""
    healthy = delivery.recipient is None and not error.is_unhealthy
    wants_pause_ms = None if error.wish_ms is None or not error.is_unhealthy else min(error.wish_ms, _LONGEST_PAUSE_MS)
    return TargetHealth(answered=healthy, wants_pause_ms=wants_pause_ms, gone=error.is_gone)


def _pause_s_of(result: TryResult) -> float | None:
    return result.pause_ms / 1000 if isinstance(result, TriedAgain) else None


def _secrets_in(headers: Mapping[str, str]) -> list[str]:
    """The values of headers and their words, the longest first: what a receiver may return must not be stored."""
    words = {word for value in headers.values() for word in (value, *value.split())}
    return sorted((word for word in words if len(word) >= _FEWEST_SECRET_CHARS), key=len, reverse=True)
