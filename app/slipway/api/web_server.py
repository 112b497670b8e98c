"""The uvicorn server of a web process."""

from __future__ import annotations

import signal
from types import FrameType
from typing import cast

import uvicorn
from starlette.applications import Starlette

from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.processes.readiness import report_ready


class WebServer(uvicorn.Server):
    """Reports readiness to the supervisor, and ends the responses in progress when it stops. uvicorn alone would wait
    for event streams until its shutdown timeout."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app, self._responses_in_progress = app, cast("ResponsesInProgress", app.state.responses_in_progress)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Raises `ConfigError` when the host app cannot start."""
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

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Ends the responses in progress before uvicorn stops."""
        self._responses_in_progress.close()
        await super().shutdown(sockets)  # type: ignore[arg-type]
