"""The pages for people: start a run, watch it, answer it. Server-rendered; what little script there is uses the API."""

from __future__ import annotations

from slipway.api.ui.site import routes

__all__ = ["routes"]
