"""The queues in which deliveries of webhooks wait, and the origin whose calls are limited together. A queue has the
name of its key kind (`redis/keys.py`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from slipway.access.users import identity_of, owner_of_user
from slipway.serialization.json_encoding import dumps

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


def webhook_origin(webhook: str | None, user: Mapping[str, Any] | None) -> str | None:
    """The digest of scheme, host and port of a webhook, and of the owner of its run (its user, if there is no owner).
    The calls of one origin are limited together, and wait together while it fails: with the owner in it, nobody can
    delay the webhooks of another owner by naming the same host. None if there is no such URL."""
    try:
        parts = urlsplit(webhook or "")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:  # a port that is not a number: creating the run rejects it
        return None
    if not parts.hostname:
        return None
    owner = owner_of_user(user) or identity_of(user)
    origin = dumps([owner, parts.scheme, parts.hostname.rstrip("."), port])
    return hashlib.sha256(origin).hexdigest()[:32]
