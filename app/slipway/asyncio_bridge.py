"""From the thread of a synchronous node to the event loop, where everything that talks to Redis lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def wait_from_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]], refusal: str) -> T:
    """What `work` comes to on `loop`, waited for in another thread than an event loop's.

    On an event loop it would wait for itself: there it raises `RuntimeError(refusal)`, and `work` is not begun.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run_coroutine_threadsafe(work(), loop).result()
    raise RuntimeError(refusal)
