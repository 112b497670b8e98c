"""Failpoints: places where a test kills or stops a process, to verify that another process continues its runs.

`SLIPWAY_FAILPOINT=name` kills this process with SIGKILL the first time that it reaches the failpoint `name`, and
`name:3` the third time. `SLIPWAY_FAILPOINT_SIGNAL=SIGSTOP` suspends it instead. `arm` reads both variables once, when a
command starts; without them `reach` does nothing.

An attempt reaches these failpoints, in this order:

    claim                 the run is claimed; nothing else has happened
    guard                 the timers of the ceilings are running; the graph is not open yet
    load                  the graph is open, and the newest checkpoint was read
    superstep             a superstep starts: the first is `superstep`, the second `superstep:2`
    checkpoint            a write group of the attempt was acknowledged
    before_settle         the graph has returned; the run is not settled yet
    after_settle          the run is settled; this process has not returned from it yet
    release               the graph was drained; the run is not released yet

A move of a thread to another version of its graph, by an attempt before `load` or by an operator, reaches these:

    thread_move           all that it changes is computed; nothing is stored
    thread_moved          all of it is stored; this process has not returned from it yet

A call of a tool reaches these:

    tool_called           it is permitted and its arguments are valid; nothing is stored
    tool_begun            its begin is stored, and its approval if it needs one; the tool is not executed yet
    tool_acted            the tool was executed; its result is not stored yet
    tool_ended            its result is stored; the node has not got it yet

A try to deliver a webhook reaches these:

    webhook_claimed       the delivery is claimed; its body is not made yet
    webhook_stored        its body is stored; nothing is sent
    webhook_called        the receiver has responded; the result is not stored yet

Operations that need two scripts have a failpoint between them:

    due_run_created       the run of a cron's due time is created; the cron still has that due time
    cron_problem_told     webhook endpoints are told of a problem of a cron, which does not show it yet
    hook_stored           a delivery to a hook is stored; what it asks for is not done yet
    review_answered       the last answer that a run needed is stored; the run is not resumed yet
    shared_record_decided a shared record is changed in the first of several shards; the others have no copies yet
    switched_on           a switch is on; the runs that paused there are not queued yet
    state_edited          the state of a run is edited; the run is not resumed or retried yet
    thread_deleted        a thread is deleted; its crons and checkpoints are not deleted yet

A check of the indexes of all records of a kind has one after each page except the last:

    index_page_checked

A rotation of encryption keys has one after each page of keys, and one between the copy of a log and its replacement:

    rotate
    log_copied

The retention of checkpoints has one after each step:

    checkpoints_pruned
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
    "thread_move",
    "thread_moved",
    "tool_called",
    "tool_begun",
    "tool_acted",
    "tool_ended",
    "webhook_claimed",
    "webhook_stored",
    "webhook_called",
    "due_run_created",
    "cron_problem_told",
    "hook_stored",
    "review_answered",
    "shared_record_decided",
    "switched_on",
    "state_edited",
    "thread_deleted",
    "index_page_checked",
    "rotate",
    "log_copied",
    "checkpoints_pruned",
)


def _do_nothing(name: str) -> None:
    pass


reach: Callable[[str], None] = _do_nothing
"""Called at each failpoint: `failpoints.reach("claim")`."""


def arm() -> None:
    """Activates the failpoint that the environment names. Raises `ConfigError` if it does not exist."""
    global reach  # noqa: PLW0603
    requested = os.environ.get(VARIABLE)
    if requested:
        reach = _trigger(requested, signal.SIGSTOP if os.environ.get(SIGNAL) == HALT else signal.SIGKILL)


def _trigger(requested: str, kind: signal.Signals) -> Callable[[str], None]:
    chosen, _, nth = requested.partition(":")
    if chosen not in NAMES or not (nth or "1").isdigit():
        raise ConfigError(
            f"{VARIABLE}: {requested!r} is not a failpoint. Choose one of {', '.join(NAMES)}, or one with `:3`."
        )
    remaining = int(nth or 1)

    def count(name: str) -> None:
        nonlocal remaining
        if name == chosen:
            remaining -= 1
            if remaining == 0:
                os.kill(os.getpid(), kind)

    return count
