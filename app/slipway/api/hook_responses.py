"""The responses to deliveries of incoming webhooks."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from slipway.api.responses import JsonResponse
from slipway.hooks.handling import HookAnswer

DELIVERY_HEADER: Final = "slipway-delivery"
"""The id of the delivery's record, for `GET /ops/hooks/{hook}/deliveries/{delivery}`."""
REPEATED_HEADER: Final = "slipway-repeated"
"""`true` if the delivery was answered before: status and body are those of the first answer."""


def hook_response(answer: HookAnswer) -> Response:
    """The stored answer."""
    headers = {DELIVERY_HEADER: answer.delivery}
    if answer.repeated:
        headers[REPEATED_HEADER] = "true"
    return JsonResponse(answer.content, answer.status, headers)
