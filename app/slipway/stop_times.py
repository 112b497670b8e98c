"""How long a process may take to stop after SIGTERM. The parts follow each other:

    drain_s            each run may reach the end of its superstep; then it is released
    RELEASE_WITHIN_S   the remaining runs are stopped within their superstep and released
    CLOSE_WITHIN_S     the process ends its background work and closes its connections

Then the supervisor kills it. With the default of 25 s for `drain_s` that is 29 s after SIGTERM. Heroku, for example,
kills every process after 30 s.
"""

from __future__ import annotations

from typing import Final

RELEASE_WITHIN_S: Final = 2.0
"""Seconds within which executions must release their runs after they were stopped within a superstep. A release needs
one script, so only an unavailable Redis takes longer. Then the leases expire."""

CLOSE_WITHIN_S: Final = 2.0


def kill_after_s(drain_s: float) -> float:
    """Seconds after SIGTERM after which a supervisor kills a web or worker process."""
    return drain_s + RELEASE_WITHIN_S + CLOSE_WITHIN_S
