"""Makes one call of a webhook, and reads little of the response."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from slipway.redaction.credential_patterns import REDACTED
from slipway.redaction.redact import redact_message

READ_BYTES: Final = 4096
"""The most bytes of a response that are read; then the connection is closed."""
READ_WITHIN_S: Final = 2.0
"""The longest time for them. What counts is the status, which has arrived before."""
EXCERPT_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Response:
    """The response of a receiver, and the begin of its body as text."""

    status: int
    retry_after: str | None
    excerpt: str


async def post(
    client: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]
) -> Response:
    """Sends a POST. Redirects are not followed: what is signed is meant for the URL that was checked. `secrets` are
    replaced in the excerpt, because a receiver may return what it received. Raises what httpx raises."""
    async with client.stream("POST", url, content=body, headers=headers, follow_redirects=False) as response:
        read = await _first_bytes(response)
        retry_after = response.headers.get("retry-after")
        return Response(response.status_code, retry_after, _excerpt(response, read, secrets))


async def _first_bytes(response: httpx.Response) -> bytes:
    """At most `READ_BYTES`, as they were sent: decompressing could make them many."""
    read = b""
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) >= READ_BYTES:
                    break
    except (TimeoutError, httpx.TransportError, OSError):
        pass  # the status counts, not the body
    return read[:READ_BYTES]


def _excerpt(response: httpx.Response, read: bytes, secrets: Sequence[str]) -> str:
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return f"[{len(read)} encoded bytes]" if read else ""
    text = read.decode(errors="replace")
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return redact_message(text)[:EXCERPT_CHARS]
