"""A request over a bare socket: the test receives the bytes of the response, and decides when it reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


@asynccontextmanager
async def raw_request(
    url: str, path: str, body: bytes = b"", method: str = "POST", headers: str = ""
) -> AsyncIterator[asyncio.StreamReader]:
    """Sends a request and yields the reader of its response. `headers` are more header lines, each ending in CRLF. The
    client disconnects at the end of the block."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**16)
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    try:
        yield reader
    finally:
        writer.close()
