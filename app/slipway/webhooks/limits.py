"""The settings of deliveries that the scripts need."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that the scripts need."""

    concurrency: int
    """Calls of one target at once, if it has no number of its own."""
    disable_after_s: int
    """0: never."""
    delivered_keep_s: int
    dead_keep_s: int


def limits_of(settings: Settings) -> Limits:
    """The settings of deliveries."""
    return Limits(
        concurrency=settings.webhook_concurrency,
        disable_after_s=settings.webhook_disable_after_s,
        delivered_keep_s=settings.delivered_keep_s,
        dead_keep_s=settings.dead_letter_keep_s,
    )
