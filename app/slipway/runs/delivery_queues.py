"""Where the webhook of a run waits to be called. The names are those of the keys (`redis/keys.py`)."""

from __future__ import annotations

from typing import Final, Literal

DeliveryQueue = Literal["deliveries", "internal_deliveries"]

EXTERNAL: Final[DeliveryQueue] = "deliveries"
"""Webhooks that are a URL with a host: workers call them."""
INTERNAL: Final[DeliveryQueue] = "internal_deliveries"
"""Webhooks that are a path of this deployment: web processes call them."""


def delivery_queue_of(webhook: str | None) -> DeliveryQueue | None:
    """None for a run without a webhook."""
    if not webhook:
        return None
    return INTERNAL if webhook.startswith("/") else EXTERNAL
