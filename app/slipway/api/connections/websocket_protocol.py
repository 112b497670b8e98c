"""The protocol of a WebSocket's connection, which ends when the client does not read."""

from __future__ import annotations

from asyncio.transports import BaseTransport
from typing import cast

import structlog
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from slipway.api.connections.limits import ANSWER_READ_WITHIN_S
from slipway.api.connections.rejections import address_of
from slipway.api.connections.server_config import ServerConfig
from slipway.api.connections.unread_responses import UnreadResponse

log = structlog.get_logger(__name__)


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn limits the size of a message (`ws_max_size`), and reads no further message before the application has
    received the last one. This class ends the connections of clients that do not read; closing alone would wait for
    them."""

    _unread: UnreadResponse | None = None
    _closing_since: float | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        timeout_s = cast("ServerConfig", self.config).limits.response_read_timeout_s
        self._unread = UnreadResponse(self.transport, timeout_s)

    def check_deadlines(self, now: float) -> None:
        """Closes the connection if the client does not read. `now` is the time of the event loop."""
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > ANSWER_READ_WITHIN_S:
                self.transport.abort()
        elif self._unread is not None and self._unread.is_stalled(now):
            log.info("http.client_rejected", code="client.not_reading", client=address_of(self.client))
            cast("ServerConfig", self.config).count_rejected("client.not_reading")
            self.transport.abort()
