"""Where a test makes a process die, to see that another carries on.

`SLIPWAY_FAILPOINT=name` kills this process with SIGKILL the first time that it reaches the point of that name, and
`name:3` the third time. With `SLIPWAY_FAILPOINT_SIGNAL=SIGSTOP` it stands still there instead. `arm` reads the
variables once, when a command starts; without them `reach` is an empty function.
The points are in the order in which an attempt passes them:

    claim                 the run is ours, nothing was done about it
    guard                 timers run, the graph is not open yet
    load                  the graph is open, its newest checkpoint read
    superstep             a superstep is about to begin: the first is `superstep`, the second `superstep:2`
    checkpoint            a group of the attempt's writes has landed
    before_settle         the graph has returned; only this process knows
    after_settle          the run is settled; this process has not heard
    release               the graph was drained; the run is not handed back yet
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

from slipway.errors import ConfigError

VARIABLE: Final = "SLIPWAY_FAILPOINT"
SIGNAL: Final = "SLIPWAY_FAILPOINT_SIGNAL"
HALT: Final = "SIGSTOP"
NAMES: Final = (
    "claim",
    "guard",
    "load",
    "superstep",
    "checkpoint",
    "before_settle",
    "after_settle",
    "release",
)


def _pass_by(name: str) -> None:
    """Nothing happens here."""


reach: Callable[[str], None] = _pass_by
"""Called at a point by its name, as `failpoints.reach("claim")`."""


def arm() -> None:
    """Die where the environment says. Raises `ConfigError` for a point that is not there."""
    global reach  # noqa: PLW0603
    asked = os.environ.get(VARIABLE)
    if asked:
        reach = _bomb(asked, signal.SIGSTOP if os.environ.get(SIGNAL) == HALT else signal.SIGKILL)


def _bomb(asked: str, kind: signal.Signals) -> Callable[[str], None]:
    chosen, _, nth = asked.partition(":")
    if chosen not in NAMES or not (nth or "1").isdigit():
        raise ConfigError(
            f"{VARIABLE}: {asked!r} is not one of {', '.join(NAMES)}, or one of them and `:` and a number"
        )
    left = int(nth or 1)

    def count(name: str) -> None:
        nonlocal left
        if name == chosen:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), kind)

    return count
