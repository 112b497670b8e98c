"""The config of the server, which its connections share."""

from __future__ import annotations

import asyncio
from typing import cast

import uvicorn
from starlette.applications import Starlette

from slipway.api.connections.limits import limits_of
from slipway.api.request_metrics import RequestMetrics
from slipway.settings import Settings


class ServerConfig(uvicorn.Config):
    """uvicorn's config for `app`, and the limits of its connections."""

    def __init__(
        self, app: Starlette, settings: Settings, *, http: type[asyncio.Protocol], ws: type[asyncio.Protocol]
    ) -> None:
        super().__init__(
            app,
            host=settings.host,
            port=settings.port,
            http=http,
            ws=ws,
            ws_max_size=settings.max_body_bytes,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the middleware `ClientAddress` reads them, from the proxies in the settings only
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=int(settings.drain_s),
        )
        self.limits = limits_of(settings)
        self._metrics = cast("RequestMetrics", app.state.metrics)

    def count_rejected(self, code: str) -> None:
        """Counts a client that was rejected before its request reached the application."""
        self._metrics.count_rejected(code)
