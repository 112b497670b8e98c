"""Processes: web processes, workers, supervisors, their duties, and the project's arq jobs."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import (
    AFTER_S,
    CHECKPOINTER,
    COUNT,
    GRAPHS,
    HOST,
    JOB,
    JOBS,
    PID,
    PROBLEM,
    RETRY_IN_S,
    WORKER,
)
from slipway.telemetry.table.runs import CHILD, RUNS

_PORT: Final = Field("port", Unit.NUMBER, "the port")
_AUTH: Final = Field("auth", Unit.FLAG, "whether the project has an auth file")
_ALLOWED_HOSTS: Final = Field("allowed_hosts", Unit.NAMES, "the host names that requests may name")
_RUNS_LEFT: Final = Field("runs_left", Unit.COUNT, "the runs that were still executing")
_JOBS_LEFT: Final = Field("jobs_left", Unit.COUNT, "the arq jobs that were still executing")
_HOW: Final = Field("how", Unit.TEXT, "how the process started or ended")
_EXITS: Final = Field("exits", Unit.COUNT, "how often it exited in a row")
_MISSING: Final = Field("missing", Unit.NAMES, "the processes that are not ready")
_THREADS: Final = Field("threads", Unit.COUNT, "the other threads of the process")
_LEFT: Final = Field("left", Unit.NAMES, "the threads and tasks that did not end")
_QUEUE: Final = Field("queue", Unit.NAME, "the queue of the arq jobs")
_FUNCTIONS: Final = Field("functions", Unit.NAMES, "the functions of the arq jobs")
_DUTY: Final = Field("duty", Unit.NAME, "the duty")

_EVENTS: Final = (
    info(
        "web.starting",
        "A web process starts to listen.",
        *(HOST, _PORT, GRAPHS, CHECKPOINTER, _AUTH, _ALLOWED_HOSTS),
    ),
    info("worker.ready", "A worker claims runs.", WORKER, GRAPHS),
    info("worker.draining", "A worker claims no more runs, and ends those that it executes.", RUNS),
    info("worker.drained", "A worker has ended or released its runs.", _RUNS_LEFT),
    info("dev.checkpointer", "`slipway dev` has chosen a checkpointer.", CHECKPOINTER),
    warning("dev.not_ready", "`slipway dev` still waits for processes.", _MISSING, AFTER_S),
    info("dev.stopping", "`slipway dev` stops its processes."),
    info("valkey.orphan_stopped", "A server that an earlier `slipway dev` left behind was stopped.", PID),
    info("child.started", "A supervisor has started a process.", CHILD, PID, _HOW),
    warning("child.exited", "A process of a supervisor exited by itself.", CHILD, PID, _HOW, RETRY_IN_S),
    error("child.crash_loop", "A process exits again and again soon after its start.", CHILD, _EXITS, _HOW),
    error("child.cannot_start", "A process cannot start until a person fixes its settings.", CHILD, PID),
    error("child.not_started", "The system has no memory or process left.", CHILD, PROBLEM, RETRY_IN_S),
    warning("child.killed", "A process did not stop in time.", CHILD, PID, AFTER_S),
    error("child.exit_handler_failed", "What follows the exit of a process failed.", CHILD, has_exception=True),
    warning("fork.refused", "A process has several threads, so its children start without forking.", _THREADS),
    warning("fork.failed", "A process could not fork, so its children start without forking.", PROBLEM),
    warning(
        "process.code_left",
        "The process exits although code of the project did not end.",
        *(_LEFT, COUNT),
        has_exception=True,
    ),
    warning("duty.skipped", "A round of a duty was left out, because Redis does not answer.", _DUTY, PROBLEM),
    error(
        "duty.failed",
        "A round of a duty failed because of a fault. The next round follows. The same fault again has no traceback.",
        *(_DUTY, PROBLEM),
        has_exception=True,
    ),
    warning("health.not_recorded", "A worker could not record that it works.", PROBLEM),
    info("arq.started", "The project's arq jobs are executed from now on.", _QUEUE, _FUNCTIONS),
    error(
        "arq.failed",
        "The project's arq application failed. Only the first of several failures has a traceback.",
        *(PROBLEM, RETRY_IN_S, JOBS),
        has_exception=True,
    ),
    info("arq.recovered", "The project's arq application works again."),
    error(
        "arq.job_unfinished",
        "An arq job ended without its result being stored. Another worker executes it again.",
        *(JOB, PROBLEM, RETRY_IN_S),
        has_exception=True,
    ),
    info("arq.draining", "No more arq jobs are started.", JOBS),
    info("arq.drained", "The arq jobs have ended.", _JOBS_LEFT),
    warning("arq.shutdown_unfinished", "`on_shutdown` of the arq application did not end in time.", AFTER_S),
    error("arq.shutdown_failed", "`on_shutdown` of the arq application raised.", PROBLEM, has_exception=True),
)

AREA: Final = Area("Processes", _EVENTS)
