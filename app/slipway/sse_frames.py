"""Server-sent events as bytes. No other Python module encodes this format. Scripts use the Lua function
`sse_frame`, which builds the same bytes (`tests/runs/test_sse_frames.py` compares both).

A *frame* is one event without its id, because Redis assigns the id when the frame is appended to an event log. A
*block* is what a client receives: the frame, its id line, and a blank line.

Lines end with CRLF and the JSON data is one line, so a frame is complete when a client reads its `data` line.
"""

from __future__ import annotations

import re
from typing import Final

PING: Final = b": heartbeat\r\n"
"""A comment. No blank line follows it: older JavaScript clients read a blank line as an empty event."""

RETRY: Final = b"retry: 1000\r\n"
"""Makes a browser reconnect after 1000 ms. It must be a part of the first event block, because older JavaScript clients
read a separate block as an empty event."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_ID: Final = b"id: "


def event_name(text: str) -> str:
    """`text` with its control characters replaced, so that it is one line. Names of nodes may contain any character."""
    return _CONTROL.sub("\ufffd", text) if _CONTROL.search(text) else text


def encode_frame(name: str, data: bytes) -> bytes:
    """The frame of an event. `name` must be one line (see `event_name`), and `data` compact JSON. If the name is empty,
    browsers receive the event as a `message`."""
    if not name:
        return b"data: %b\r\n" % data
    return b"event: %b\r\ndata: %b\r\n" % (name.encode(), data)


def encode_block(name: str, data: bytes, event_id: str = "") -> bytes:
    """An event as clients receive it. If it has no id, a client cannot resume after it."""
    return with_id(encode_frame(name, data), event_id)


def with_id(frame: bytes, event_id: str) -> bytes:
    """The block of a frame. `event_id` may be empty."""
    return b"%bid: %b\r\n\r\n" % (frame, event_id.encode()) if event_id else frame + b"\r\n"


def frame_of(block: bytes) -> bytes:
    """The frame of a block that has an id."""
    return block.rpartition(_ID)[0]


def name_of(frame: bytes) -> str:
    """The event name of a frame or block that has one."""
    return frame.partition(b"\r\n")[0].removeprefix(b"event: ").decode()


def data_of(frame: bytes) -> bytes:
    """The JSON data of a frame or block that has a name."""
    return frame.partition(b"\r\ndata: ")[2].partition(b"\r\n")[0]
