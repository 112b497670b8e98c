"""Whether a cron may have a run made: asked for its owner each time that it is due, and for whoever makes or changes
it.

The owner is who made the cron; the user record is stored with it as it was then, and renewed when the owner changes
the cron. What is asked is what a request for the same run would be asked for, with the filters as they are now, and
for a cron on a thread `threads:read` too, since its owner gets to see what its runs make of the thread.

Somebody else who changed the cron has said what its runs do, and maybe where their webhook goes: they are asked about
as well, each time.
"""

from __future__ import annotations

from slipway.access.permissions import Permissions
from slipway.runs.permits import permit_use, permitted_run
from slipway.runs.record import NewRun
from slipway.services import Services


async def permitted_firing(services: Services, permissions: Permissions, new: NewRun, *, on_thread: bool) -> NewRun:
    """The run of a due time as the authorize handlers leave it. Raises what `permitted_run` raises."""
    return await permitted_run(services, permissions, new, stateless=not on_thread, reads=on_thread)


async def check_firing(services: Services, permissions: Permissions, new: NewRun, *, on_thread: bool) -> None:
    """Whether somebody who changed the cron may have this run made. What the handlers write for them is not taken over:
    the run is the owner's. Raises what `permitted_firing` raises, and `NotFound` for a thread that is hidden from
    them."""
    await permit_use(services, permissions, new.assistant_id)
    permitted = await permitted_firing(services, permissions, new, on_thread=on_thread)
    if on_thread:
        await services.threads.check_access(new.thread_id, permitted.only)
