"""The queues in which deliveries of webhooks wait. A queue has the name of its key kind (`redis/keys.py`)."""

from __future__ import annotations

from typing import Final, Literal

DeliveryQueue = Literal["deliveries", "internal_deliveries"]

EXTERNAL: Final[DeliveryQueue] = "deliveries"
"""Webhooks that are a URL with a host. Workers call them."""
INTERNAL: Final[DeliveryQueue] = "internal_deliveries"
"""Webhooks that are a path of this deployment. Web processes call them."""


def delivery_queue_of(webhook: str | None) -> DeliveryQueue | None:
    """None for a run without a webhook."""
    if not webhook:
        return None
    return INTERNAL if webhook.startswith("/") else EXTERNAL
