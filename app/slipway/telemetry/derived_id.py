"""Ids of spans that are not recorded while they last, but made from records. They are the same whenever and by
whichever process they are made."""

from __future__ import annotations

import hashlib


def derived_id(*about: object) -> str:
    """A span id for what `about` names: 16 hexadecimal digits."""
    return hashlib.sha256("\n".join(map(str, about)).encode("utf-8", "replace")).hexdigest()[:16]


def webhook_span_id(root_id: str, delivery_id: str, number: int, at_us: int) -> str:
    """Of a try to send a webhook, which began `at_us` (µs since 1970)."""
    return derived_id(root_id, "webhook", delivery_id, number, at_us)


def queue_span_id(root_id: str, started_us: int) -> str:
    """Of a wait in the queue, which began at `started_us` (µs since 1970)."""
    return derived_id(root_id, "queue", started_us)
