"""Whether a cron may have a run made: asked for its owner each time that it is due, and for whoever makes or changes
it.

The owner is who made the cron; the user record is stored with it as it was then, and renewed when the owner changes
the cron. What is asked is what a request for the same run would be asked for, with the filters as they are now, and
for a cron on a thread `threads:read` too, since its owner gets to see what its runs make of the thread.
"""

from __future__ import annotations

from app.access.permissions import Permissions
from app.run_permits import permitted_run
from app.runs.runs import NewRun
from app.services import Services


async def permitted_firing(services: Services, permissions: Permissions, new: NewRun, *, on_thread: bool) -> NewRun:
    """The run of a due time as the authorize handlers leave it. Raises what `permitted_run` raises."""
    return await permitted_run(services, permissions, new, stateless=not on_thread, reads=on_thread)
