"""Request bodies of deliveries."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from slipway.api.bodies.body import StrictBody, WithoutNul
from slipway.webhooks.delivery_summary import DeliveryState

MOST_REPLAYED: Final = 1000
Text = Annotated[str, Field(min_length=1, max_length=1000), WithoutNul]


class ReplayBody(StrictBody):
    """Which deliveries are sent again: those that meet all conditions. Without `state`: dead letters."""

    state: Annotated[DeliveryState, Field(strict=False)] = DeliveryState.DEAD
    endpoint_id: Text | None = None
    type: Text | None = None
    run_id: Text | None = None
    owner: Text | None = None
    created_after: Text | None = None
    """ISO 8601. At this time or later."""
    created_before: Text | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_REPLAYED)] = MOST_REPLAYED
    """At most so many, the oldest first. The response has a cursor if there are more."""
    cursor: Text | None = None
    """The member `next` of the response before."""
