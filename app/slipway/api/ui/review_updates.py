"""The data that the pages of reviews load while they are open: which reviews have changed, and one review as it is now.

The stream has no log: each message is `{"review_id": …}`, and null means that any review may have changed. The first
message is null, so a page that loads its data when it receives this message misses no change. A stream lasts a few
minutes at most. Then the browser opens another one, and the user is authorized again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from slipway.api.auth.access_check import owner_of
from slipway.api.auth.reviews import may_see, readable_review
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.api.streams.access_watch import no_event
from slipway.api.streams.event_streams import STREAM_HEADERS, Blocks, StreamOptions, stream_response
from slipway.api.ui.rendering import HEADERS
from slipway.api.ui.review_data import STATE_TEXTS, card_data, for_browsers, title_of
from slipway.reviews.notifications import ReviewNotifications
from slipway.reviews.record import Review
from slipway.runs.audit import AuditEntry
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.sse_frames import encode_block

STREAM_LASTS_S: Final = 300.0

_CALL_ENDS: Final = frozenset({"tool.called", "tool.failed", "tool.rejected", "tool.denied"})


async def events(request: Request) -> ASGIApp:
    """The ids of reviews that change, of those that the user may see."""
    notifications, owner = services_of(request).review_notifications, owner_of(request)

    async def visible(ids: list[str | None]) -> list[str | None]:
        if owner is None:
            return ids
        reviews = await services_of(request).reviews.get_many([each for each in ids if each is not None])
        seen: list[str | None] = [each.review_id for each in reviews if each is not None and may_see(request, each)]
        return seen + [each for each in ids if each is None]

    options = StreamOptions(headers={**HEADERS, **STREAM_HEADERS}, final_event=no_event)
    return stream_response(request, _blocks(notifications, visible), options)


async def _blocks(
    notifications: ReviewNotifications, visible: Callable[[list[str | None]], Awaitable[list[str | None]]]
) -> AsyncGenerator[Blocks, None]:
    ends_at = asyncio.get_running_loop().time() + STREAM_LASTS_S
    changed = _ChangedReviews()
    with notifications.subscribed(changed.add) as subscribed:
        await subscribed
        changed.add(None)
        while True:
            try:
                async with asyncio.timeout_at(ends_at):
                    await changed.wait()
            except TimeoutError:
                return
            if ids := await visible(changed.take()):
                yield Blocks([encode_block("", dumps({"review_id": review_id})) for review_id in ids])


class _ChangedReviews:
    """The reviews that have changed and are not sent yet, each once; [None] if any may have changed."""

    def __init__(self) -> None:
        self._ids: dict[str | None, None] = {}
        self._event = asyncio.Event()

    def add(self, review_id: str | None) -> None:
        self._ids[review_id] = None
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def take(self) -> list[str | None]:
        ids, self._ids = self._ids, {}
        self._event.clear()
        return [None] if None in ids else list(ids)


async def review_now(request: Request) -> Response:
    """The review with its history, and the other questions of its run."""
    review = await readable_review(request)
    return JsonResponse(await page_data(request, review), headers=dict(HEADERS))


async def _executed(services: Services, review: Review) -> list[AuditEntry]:
    """What the run that continued with the answer did with the call of the tool that was asked about."""
    if review.gateway_call is None or review.resumed_by is None:
        return []
    entries = await services.audit.read(review.resumed_by)
    return [entry for entry in entries if entry.details.get("call") == review.gateway_call.call]


async def page_data(request: Request, review: Review) -> dict[str, object]:
    """The data of the page of a review. `awaits_call` is true while the tool that was asked about may still be
    called."""
    services = services_of(request)
    history, executed, of_run = await asyncio.gather(
        services.reviews.history(review), _executed(services, review), services.reviews.of_run(review.run_id)
    )
    others = [each for each in of_run if each.review_id != review.review_id]
    return card_data(request, review) | {
        "title": title_of(review),
        "state_text": STATE_TEXTS[review.state],
        "history": for_browsers([entry.public() for entry in (*history, *executed)]),
        "awaits_call": bool(
            review.gateway_call and review.resumed_by and not any(entry.action in _CALL_ENDS for entry in executed)
        ),
        "others": [
            {"review_id": each.review_id, "title": title_of(each), "state_text": STATE_TEXTS[each.state]}
            for each in others
        ],
        "server_time": services.clock.now().isoformat(timespec="milliseconds"),
    }
