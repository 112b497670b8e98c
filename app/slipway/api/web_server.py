"""The uvicorn server of a web process."""

from __future__ import annotations

import asyncio
import signal
from types import FrameType
from typing import Final, cast

import uvicorn
from starlette.applications import Starlette

from slipway.api.connections.http_protocol import BoundedHttpProtocol
from slipway.api.connections.limits import CHECK_EVERY_S
from slipway.api.connections.open_files import allow_connections
from slipway.api.connections.server_config import ServerConfig
from slipway.api.connections.websocket_protocol import BoundedWebSocketProtocol
from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.processes.readiness import report_ready
from slipway.settings import Settings

_TICK_S: Final = 0.1
"""How often uvicorn calls `on_tick`."""
_TICKS_OF_A_CHECK: Final = round(CHECK_EVERY_S / _TICK_S)
_CHECKED: Final = (BoundedHttpProtocol, BoundedWebSocketProtocol)


def server_config(app: Starlette, settings: Settings) -> ServerConfig:
    """The config of the server of `app`."""
    return ServerConfig(app, settings, http=BoundedHttpProtocol, ws=BoundedWebSocketProtocol)


class WebServer(uvicorn.Server):
    """Reports readiness to the supervisor, and ends the responses in progress when it stops. uvicorn alone would wait
    for event streams until its shutdown timeout."""

    def __init__(self, config: ServerConfig, app: Starlette) -> None:
        super().__init__(config)
        self._limits = config.limits
        self._to_check: tuple[object, ...] = ()
        self._app, self._responses_in_progress = app, cast("ResponsesInProgress", app.state.responses_in_progress)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Raises `ConfigError` when the host app cannot start."""
        allow_connections(self._limits.max_connections)
        try:
            await super().startup(sockets)  # type: ignore[arg-type]
        except SystemExit:
            if self._app.state.startup_error is not None:
                raise self._app.state.startup_error from None
            raise
        if self.started:
            report_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Before this process serves, a signal ends it at once: there is nothing to drain, and the start may wait for
        Redis or for the host app. uvicorn would wait for the end of the start."""
        if self.started:
            super().handle_exit(sig, frame)
        else:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)

    async def on_tick(self, counter: int) -> bool:
        self._check_deadlines(counter % _TICKS_OF_A_CHECK)
        return await super().on_tick(counter)

    def _check_deadlines(self, tick: int) -> None:
        """Closes the connections of clients that take too long. Each tick checks a part of them, because the check of
        10,000 connections would delay everything else for tens of milliseconds."""
        connections = self.server_state.connections
        if tick == 0:
            self._to_check = tuple(connections)
        now = asyncio.get_running_loop().time()
        for connection in self._to_check[tick::_TICKS_OF_A_CHECK]:
            if isinstance(connection, _CHECKED) and connection in connections:
                connection.check_deadlines(now)

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Ends the responses in progress before uvicorn stops."""
        self._responses_in_progress.close()
        await super().shutdown(sockets)  # type: ignore[arg-type]
