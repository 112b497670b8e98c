"""Handler values of operations on threads, and on existing runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict

from slipway.access.handler_values.base import Action, HandlerModel, HandlerValue, Id, IfExists, Metadata
from slipway.graphs.sections import Minutes
from slipway.protocol_types import Limit, Offset, Strategy

RunStatus = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]


# threads


class Ttl(HandlerModel):
    """How long a thread lives, in minutes, and what is done then."""

    ttl: Minutes
    strategy: Strategy = "delete"


class ThreadsCreate(HandlerValue):
    """A thread to be made."""

    OPERATION = "threads:create"
    STORES = True

    thread_id: Id
    metadata: Metadata
    if_exists: IfExists
    ttl: Ttl | None = None


class ThreadCreateForRun(ThreadsCreate):
    """A thread that is made for a run, whose id and fate are the run's."""

    FIXED = frozenset({"thread_id", "if_exists", "ttl"})


class ThreadCopy(ThreadsCreate):
    """A thread that is made with the past of another."""

    FIXED = frozenset({"if_exists", "ttl"})


class ThreadsRead(HandlerValue):
    """A thread, or a run of it."""

    OPERATION = "threads:read"
    FIXED = frozenset({"thread_id", "run_id"})

    thread_id: Id
    run_id: Id | None = None


class ThreadsUpdate(HandlerValue):
    """Metadata to be merged into a thread."""

    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id", "action"})
    STORES = True

    thread_id: Id
    metadata: Metadata
    action: Action | None = None


class StateWrite(HandlerValue):
    """A state to be written."""

    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id"})

    thread_id: Id


class RunSelection(HandlerModel):
    """Which runs: those with these ids, or those of a status."""

    model_config = ConfigDict(extra="allow")

    run_ids: list[Id] | None
    status: Literal["pending", "running", "all"] | None


class RunsCancel(HandlerValue):
    """Runs to be cancelled, of one thread or of all."""

    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id"})

    thread_id: Id | None
    action: Action
    metadata: RunSelection


class RunCancel(RunsCancel):
    """One run to be cancelled."""

    thread_id: Id

    def from_handler(self, shown: Mapping[str, Any]) -> RunCancel:
        found = super().from_handler(shown)
        if (found.metadata.run_ids, found.metadata.status) != (self.metadata.run_ids, self.metadata.status):
            raise self.handler_error("changed metadata.run_ids or metadata.status, which say what is asked about")
        return found


class BusyThreadCancel(RunCancel):
    """Whatever a thread is busy with, to be cancelled for a new run by the run's strategy."""

    FIXED = frozenset({"thread_id", "action"})


class ThreadsDelete(HandlerValue):
    """A thread, or a run of it; no thread means all those that are wanted."""

    OPERATION = "threads:delete"
    FIXED = frozenset({"thread_id", "run_id"})

    thread_id: Id | None
    run_id: Id | None = None


class ThreadsSearch(HandlerValue):
    """Threads that are searched for."""

    OPERATION = "threads:search"

    metadata: Metadata
    values: Metadata
    status: ThreadStatus | None
    limit: Limit
    offset: Offset
    ids: list[Id] | None = None
    thread_id: Id | None = None


class ThreadsCount(ThreadsSearch):
    """Threads that are counted: a count has no page, so both are 0."""

    FIXED = frozenset({"limit", "offset"})

    limit: Offset = 0
    offset: Offset = 0


class RunsSearch(HandlerValue):
    """Runs of a thread that are listed."""

    OPERATION = "threads:search"
    FIXED = frozenset({"thread_id"})

    thread_id: Id
    metadata: Metadata
    status: RunStatus | None
    limit: Limit
    offset: Offset
