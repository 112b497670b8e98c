"""Whether a cron may have a run made: asked for its owner each time that it is due, and for whoever makes or changes
it.

The owner is who made the cron; the user record is stored with it as it was then, and renewed when the owner changes
the cron. What is asked is what a request for the same run would be asked for, with the filters as they are now, and
for a cron on a thread `threads:read` too, since its owner gets to see what its runs make of the thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.access.custom_auth import CustomAuth
from app.access.permissions import Permissions
from app.access.users import User
from app.run_permits import permitted_run
from app.runs.runs import NewRun
from app.services import Services

ANSWER_WITHIN_S: Final = 10.0
"""How long a handler may take that is asked in the background, where one cron must not hold up the others."""


async def permitted_firing(services: Services, permissions: Permissions, new: NewRun, *, on_thread: bool) -> NewRun:
    """The run of a due time as the authorize handlers leave it. Raises what `permitted_run` raises."""
    return await permitted_run(services, permissions, new, stateless=not on_thread, reads=on_thread)


def permissions_of(auth: CustomAuth | None, user: Mapping[str, Any] | None) -> Permissions:
    """Those of a stored user (`User.stored`). Who is nobody is the project's own code, or was there before the auth
    file: everything is allowed."""
    return Permissions(None, None) if user is None else Permissions(auth, User(user), ANSWER_WITHIN_S)
