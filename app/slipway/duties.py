"""What a process does again and again beside its runs and requests. No fault of a duty may stop them: a round that
fails is a line in the log, and the next one comes all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from slipway.errors import StoreUnavailable

log = structlog.get_logger(__name__)

Look = Callable[[], Awaitable[object]]
"""One round of a duty."""


async def repeat(duty: str, every_s: float, look: Look) -> NoReturn:
    """Do `look` every `every_s` seconds, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        await looked(duty, look)


async def looked(duty: str, look: Look) -> bool:
    """Whether a round of `look` came to its end."""
    try:
        await look()
    except StoreUnavailable as error:
        log.warning("duty.skipped", duty=duty, problem=str(error))
    except Exception:
        log.exception("duty.broke", duty=duty)
    else:
        return True
    return False
