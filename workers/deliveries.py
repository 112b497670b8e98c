"""Calls the webhooks of runs that are over. Any worker may: a script hands each one out, with a lease.

A try may take 5 s to connect and 30 s in all. It is done again after network errors, 429 and 5xx; anything else that
is no success is final, and so is an address that may not be called.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cached_property, partial
from typing import Final
from urllib.parse import urljoin

import httpx
import structlog

from app.errors import StoreUnavailable
from app.keyspace.delivery_scripts import DeliveryScripts
from app.keyspace.scripts import Fields
from app.services import Services
from app.webhook_urls import UrlPolicy
from app.webhooks import Delivery, headers_of, secret_of, signature
from workers.duties import looked

log = structlog.get_logger(__name__)

PAUSES_MS: Final = (2_000, 15_000)
"""Before the second and the third try; there is no fourth."""

_LOOK_EVERY_S: Final = 1.0
_LAST_S: Final = 2.0
_AT_ONCE: Final = 16
_WHOLE_S: Final = 30.0
_CONNECT_S: Final = 5.0
_LEASE_MS: Final = 45_000
_MOST_HOPS: Final = 3
_NO_REUSE: Final = httpx.Limits(max_keepalive_connections=0)
"""A connection belongs to an address here, but its certificate to a name: another name must not get it."""
_PROBLEM_CHARS: Final = 300


class Refused(Exception):
    """The receiver, or its address, will not have it; trying again will not help."""


class Later(Exception):
    """It did not work now."""


class Deliveries:
    """The webhooks that this worker calls."""

    def __init__(self, services: Services) -> None:
        self._scripts, self._clock = DeliveryScripts(services.wire, services.keys), services.clock
        self._section, self._urls = services.config.webhooks, services.webhook_urls
        self._headers = headers_of(self._section)
        secret = services.settings.webhook_secret
        self._secret = None if secret is None else secret_of(secret.get_secret_value())
        self._nudged = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    def nudge(self) -> None:
        """A run may have ended: look now."""
        self._nudged.set()

    async def run(self) -> None:
        """Until cancelled. What is under way then has a moment to end, or is done again when its lease is over."""
        async with httpx.AsyncClient(
            transport=Guarded(self._urls), timeout=httpx.Timeout(_WHOLE_S, connect=_CONNECT_S), trust_env=False
        ) as client:
            try:
                while True:
                    await looked("deliveries", partial(self.look, client))
                    await self._pause()
            finally:
                if self._under_way:
                    await asyncio.wait(self._under_way, timeout=_LAST_S)
                for task in list(self._under_way):
                    task.cancel()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._nudged.wait()
        self._nudged.clear()

    async def look(self, client: httpx.AsyncClient) -> None:
        """Begin what is due now, as much of it as there is room for."""
        room = _AT_ONCE - len(self._under_way)
        for held in await self._scripts.take(room, _LEASE_MS) if room else ():
            task = asyncio.create_task(self._try(client, held))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.nudge()

    async def _try(self, client: httpx.AsyncClient, held: Fields) -> None:
        try:
            await self._deliver(client, Delivery.of(held))
        except StoreUnavailable as error:
            log.warning("webhook.outcome_lost", run=held["run_id"].decode(), problem=str(error))
        except Exception:  # one record that cannot be read must not take the worker down
            log.exception("webhook.broke", run=held.get("run_id", b"").decode())

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        facts = {"run": delivery.run_id, "attempt": delivery.number}
        try:
            async with asyncio.timeout(_WHOLE_S):
                await self._call(client, delivery)
        except (Later, OSError, TimeoutError, httpx.TransportError) as error:
            problem = _told(error)
            pause = PAUSES_MS[delivery.number - 1] if delivery.number <= len(PAUSES_MS) else None
            outcome = "failed" if pause is None else "pending"
            log.warning("webhook.failed", problem=problem, again_ms=pause, **facts)
            await self._scripts.end(delivery.run_id, delivery.number, outcome=outcome, problem=problem, retry_ms=pause)
        except Exception as error:  # Refused, an address that is not allowed, or a URL that httpx cannot take
            log.warning("webhook.refused", problem=_told(error), **facts)
            await self._scripts.end(delivery.run_id, delivery.number, outcome="failed", problem=_told(error))
        else:
            log.info("webhook.delivered", **facts)
            await self._scripts.end(delivery.run_id, delivery.number, outcome="delivered")

    async def _call(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        """POST, and again where a redirect leads; the configured headers go to the first host only."""
        now = self._clock.now()
        body = delivery.body(now, self._section.allowed_fields)
        headers = {"content-type": "application/json", "user-agent": "slipway"}
        if self._secret is not None:
            headers |= signature(self._secret, delivery.run_id, now, body)
        url = delivery.url
        for _ in range(_MOST_HOPS + 1):
            same = httpx.URL(url).netloc == httpx.URL(delivery.url).netloc
            sent = headers | self._headers if same else headers
            async with client.stream("POST", url, content=body, headers=sent) as answer:
                status, place = answer.status_code, answer.headers.get("location")
            if not (300 <= status < 400 and place):
                break
            url = urljoin(url, place)
        if status == 429 or status >= 500:
            raise Later(f"HTTP {status}")
        if not 200 <= status < 300:
            raise Refused(f"HTTP {status}")


class Guarded(httpx.AsyncBaseTransport):
    """Connects to addresses that were looked up and checked here; the name is what the certificate must be for."""

    def __init__(self, urls: UrlPolicy) -> None:
        self._urls = urls

    @cached_property
    def _inner(self) -> httpx.AsyncHTTPTransport:
        """Made for the first call: the certificates of all authorities take megabytes."""
        return httpx.AsyncHTTPTransport(limits=_NO_REUSE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Look up, check, connect."""
        address = await self._urls.resolve(str(request.url))
        extensions = dict(request.extensions) | {"sni_hostname": request.url.host}
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,  # with the name as `Host`
            stream=request.stream,
            extensions=extensions,
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        if "_inner" in vars(self):
            await self._inner.aclose()


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_PROBLEM_CHARS] if not isinstance(error, Later | Refused) else str(error)
