"""The pages for people: start a run, follow it, answer its interrupts."""

from __future__ import annotations

from slipway.api.ui.site import routes

__all__ = ["routes"]
