"""How long a process may take to stop after SIGTERM. The parts follow each other:

    drain_s            each run may reach the end of its superstep; then it is released
    RELEASE_WITHIN_S   the remaining runs are stopped within their superstep and released
    CLOSE_WITHIN_S     the process ends its background work and closes its connections

When Redis is unavailable and the project's code does not end, a worker needs the whole time: `CLOSE_WITHIN_S` is longer
than its parts together, so that a busy machine does not make it late.

Then the supervisor kills it. With the default of 25 s for `drain_s` that is 29 s after SIGTERM. Heroku, for example,
kills every process after 30 s.
"""

from __future__ import annotations

from typing import Final

RELEASE_WITHIN_S: Final = 2.0
"""Seconds within which executions must release their runs after they were stopped within a superstep. A release needs
one script, so only an unavailable Redis takes longer. Then the leases expire."""

CLOSE_WITHIN_S: Final = 2.0

HEALTH_RECORD_WITHIN_S: Final = 0.25
"""The part in which a worker deletes the record of its health. Otherwise the record expires."""

LAST_HEARTBEAT_WITHIN_S: Final = 0.5
"""The part in which a process sends its last heartbeat. Otherwise it is listed among the live workers until its entry
expires."""

EXIT_WITHIN_S: Final = 0.75
"""The part in which tasks and threads of the project's code have to end after the work of the process."""


def kill_after_s(drain_s: float) -> float:
    """Seconds after SIGTERM after which a supervisor kills a web or worker process."""
    return drain_s + RELEASE_WITHIN_S + CLOSE_WITHIN_S
