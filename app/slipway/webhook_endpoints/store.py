"""Adds, changes and removes webhook endpoints, for operators."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from slipway.access.scopes import checked_owner
from slipway.clock import Clock, microseconds_of
from slipway.errors import Conflict, InvalidRequest, NotFound
from slipway.value_problems import did_you_mean
from slipway.webhook_endpoints.event_types import checked_types
from slipway.webhook_endpoints.record import MOST_CONCURRENCY, Endpoint, Format, State
from slipway.webhook_endpoints.scripts import ChangedMeanwhile, EndpointScripts, TooMany
from slipway.webhook_endpoints.signing_keys import KeyKind, new_key, rotated

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

OVERLAP_S: Final = 24 * 3600.0
"""How long the key before a rotation still signs, by default."""
LONGEST_OVERLAP_S: Final = 30 * 24 * 3600.0
_OVERLAP_PROBLEM: Final = (
    f"must be between 0 and {LONGEST_OVERLAP_S:.0f} seconds ({LONGEST_OVERLAP_S / 3600:.0f} hours)"
)
_MOST_CHARS: Final = 500
_MOST_GRAPHS: Final = 100

CheckUrl = Callable[[str], None]
"""Raises `InvalidRequest` for a URL that `webhooks.url` of langgraph.json does not allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChange:
    """What an operator sets. None leaves a member as it is; an empty `description` or list of graphs removes it. An
    empty `owner` is an error, and does not stand for all owners: it may come from a variable that is not set."""

    url: str | None = None
    types: Sequence[str] | None = None
    graphs: Sequence[str] | None = None
    owner: str | None = None
    all_owners: bool = False
    """Removes the owner. Not together with `owner`."""
    format: Format | None = None
    description: str | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class WithSecret:
    """An endpoint whose key was just made. `secret` is the only time that the secret of `v1` is shown; None for `v1a`,
    whose private key never leaves Slipway."""

    endpoint: Endpoint
    secret: str | None = field(repr=False)


class EndpointStore:
    """The webhook endpoints of the deployment. Every change is logged with who made it (`webhook_endpoint.…`)."""

    def __init__(self, scripts: EndpointScripts, clock: Clock, check_url: CheckUrl, graphs: Collection[str]) -> None:
        self._scripts, self._clock, self._check_url, self._graphs = scripts, clock, check_url, graphs

    async def all(self) -> list[Endpoint]:
        """The oldest first."""
        endpoints = await asyncio.gather(*map(self._scripts.read, await self._scripts.ids()))
        return [endpoint for endpoint in endpoints if endpoint is not None]

    async def get(self, endpoint_id: str) -> Endpoint:
        """Raises `NotFound`."""
        endpoint = await self._scripts.read(endpoint_id)
        if endpoint is None:
            raise NotFound("webhook endpoint", endpoint_id)
        return endpoint

    async def add(
        self, change: EndpointChange, *, by: str, kind: KeyKind | None = None, secret: str | None = None
    ) -> WithSecret:
        """Adds an enabled endpoint. Its key is generated, of `v1a` by default, unless there is a `secret` of `v1`.
        Raises `InvalidRequest` for members that are missing or not allowed, `Conflict` for too many endpoints."""
        if change.url is None:
            raise InvalidRequest("url", "is missing: where are the events sent?")
        if change.types is None:
            raise InvalidRequest("types", "is missing: which events are sent?")
        wanted = kind or (KeyKind.V1 if secret is not None else KeyKind.V1A)
        key = new_key(wanted, self.now_us(), secret)
        blank = Endpoint(
            endpoint_id=f"we_{secrets.token_hex(12)}", url="", types=(), keys=(key,), created_by=by, revision="0"
        )
        stored = await self._scripts.save(self._changed(blank, change), secrets.token_hex(8), create=True)
        match stored:
            case TooMany(most):
                raise _too_many(most)
            case Endpoint():
                log.info("webhook_endpoint.added", endpoint=stored.endpoint_id, by=by, types=list(stored.types))
                return WithSecret(stored, key.secret if secret is None and wanted is KeyKind.V1 else None)
        raise AssertionError("a new endpoint is stored")

    async def update(self, endpoint_id: str, change: EndpointChange, *, by: str) -> Endpoint:
        """Raises `NotFound`, and `InvalidRequest` for members that are not allowed, and if none is named."""

        def updated(before: Endpoint) -> Endpoint:
            if change == EndpointChange():
                raise InvalidRequest("", "the body must name at least one member to change")
            return self._changed(before, change)

        endpoint = await self._apply(endpoint_id, updated)
        log.info("webhook_endpoint.updated", endpoint=endpoint_id, by=by)
        return endpoint

    async def enable(self, endpoint_id: str, *, by: str) -> Endpoint:
        """Events are sent from now on. Earlier failures are forgotten. Raises `NotFound`, and `InvalidRequest` if its
        URL is not allowed any more."""

        def enabled(before: Endpoint) -> Endpoint:
            self._check_url(before.url)
            return replace(before, state=State.ENABLED, disabled_reason=None, failures=0)

        endpoint = await self._apply(endpoint_id, enabled)
        log.info("webhook_endpoint.enabled", endpoint=endpoint_id, by=by)
        return endpoint

    async def disable(self, endpoint_id: str, *, by: str, reason: str | None = None) -> Endpoint:
        """No deliveries are created any more, and those that wait are not sent. Raises `NotFound`."""
        why = f"disabled by {by}" + (f": {_short('reason', reason)}" if reason else "")
        endpoint = await self._apply(
            endpoint_id, lambda before: replace(before, state=State.DISABLED, disabled_reason=why)
        )
        log.info("webhook_endpoint.disabled", endpoint=endpoint_id, by=by, reason=reason)
        return endpoint

    async def rotate(
        self,
        endpoint_id: str,
        *,
        by: str,
        kind: KeyKind | None = None,
        secret: str | None = None,
        overlap_s: float = OVERLAP_S,
    ) -> WithSecret:
        """Makes a new key, of the kind of the newest one by default. The one before signs too for `overlap_s`. Raises
        `NotFound` and `InvalidRequest`."""
        if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
            raise InvalidRequest("overlap_s", _OVERLAP_PROBLEM)
        now_us = self.now_us()
        before = await self.get(endpoint_id)
        wanted = kind or (KeyKind.V1 if secret is not None else before.keys[0].kind)
        key = new_key(wanted, now_us, secret)
        until_us = now_us + round(overlap_s * 1_000_000)
        endpoint = await self._apply(
            endpoint_id, lambda before: replace(before, keys=rotated(before.keys, key, until_us))
        )
        log.info("webhook_endpoint.rotated", endpoint=endpoint_id, by=by, key_kind=wanted.value)
        return WithSecret(endpoint, key.secret if secret is None and wanted is KeyKind.V1 else None)

    async def test(self, endpoint_id: str, *, by: str) -> str:
        """Creates the delivery of an `endpoint.test` event. Returns its id, which is its `webhook-id`. Raises
        `NotFound`, and `Conflict` for an endpoint that is disabled."""
        endpoint = await self.get(endpoint_id)
        delivery_id = await self._scripts.test(endpoint, by)
        if delivery_id is None:
            endpoint = await self.get(endpoint_id)
            raise Conflict(
                f"webhook endpoint {endpoint_id!r} is disabled ({endpoint.disabled_reason}): enable it first"
            )
        return delivery_id

    async def remove(self, endpoint_id: str, *, by: str) -> None:
        """What waits for it is not sent any more. Raises `NotFound`."""
        if not await self._scripts.remove(endpoint_id):
            raise NotFound("webhook endpoint", endpoint_id)
        log.info("webhook_endpoint.removed", endpoint=endpoint_id, by=by)

    def now_us(self) -> int:
        """The time of this process, by which keys end."""
        return microseconds_of(self._clock.now())

    async def _apply(self, endpoint_id: str, change_of: Callable[[Endpoint], Endpoint]) -> Endpoint:
        while True:
            stored = await self._scripts.save(
                change_of(await self.get(endpoint_id)), secrets.token_hex(8), create=False
            )
            match stored:
                case Endpoint():
                    return stored
                case TooMany(most):
                    raise _too_many(most)
                case None:
                    raise NotFound("webhook endpoint", endpoint_id)
                case ChangedMeanwhile():
                    pass

    def _changed(self, before: Endpoint, change: EndpointChange) -> Endpoint:
        """Raises `InvalidRequest` for a member that is not allowed."""
        after = before
        if change.url is not None:
            self._check_url(change.url)
            after = replace(after, url=change.url)
        if change.types is not None:
            after = replace(after, types=checked_types(change.types))
        if change.graphs is not None:
            after = replace(after, graphs=self._checked_graphs(change.graphs))
        if change.owner is not None:
            after = replace(after, for_owner=_checked_owner(change.owner))
        if change.all_owners:
            after = replace(after, for_owner=None)
        if change.format is not None:
            after = replace(after, format=change.format)
        if change.description is not None:
            after = replace(after, description=_short("description", change.description) or None)
        if change.concurrency is not None:
            if not 1 <= change.concurrency <= MOST_CONCURRENCY:
                raise InvalidRequest("concurrency", f"must be between 1 and {MOST_CONCURRENCY}")
            after = replace(after, concurrency=change.concurrency)
        return after

    def _checked_graphs(self, graphs: Sequence[str]) -> tuple[str, ...]:
        if len(graphs) > _MOST_GRAPHS:
            raise InvalidRequest("graphs", f"names more than {_MOST_GRAPHS} graphs: leave it out for all graphs")
        for graph_id in graphs:
            if graph_id not in self._graphs:
                problem = f"there is no graph {graph_id!r}{did_you_mean(graph_id, list(self._graphs))}"
                raise InvalidRequest("graphs", problem, known=self._graphs)
        return tuple(dict.fromkeys(graphs))


def _checked_owner(owner: str) -> str:
    if not owner:
        raise InvalidRequest(
            "owner",
            "is empty: name an owner. A new endpoint without one receives the events of all owners; to change one that "
            "has an owner, name null (command: --all-owners)",
        )
    return checked_owner(owner, "owner")


def _short(field: str, text: str) -> str:
    if len(text) > _MOST_CHARS:
        raise InvalidRequest(field, f"is longer than {_MOST_CHARS} characters")
    if any(character < " " or character == "\x7f" for character in text):
        raise InvalidRequest(field, "has control characters")
    return text


def _too_many(most: int) -> Conflict:
    return Conflict(f"there are {most} webhook endpoints already, which is the most: remove one that is not needed")
