"""Handler values of operations on threads, and on existing runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict

from slipway.access.handler_values.base import Action, HandlerModel, HandlerValue, Id, IfExists, Metadata
from slipway.graphs.official_sections import Minutes
from slipway.protocol_types import Limit, Offset, Strategy

RunStatus = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]


class Ttl(HandlerModel):
    """Time to live of a thread in minutes, and what happens when it expires."""

    ttl: Minutes
    strategy: Strategy = "delete"


class ThreadsCreate(HandlerValue):
    OPERATION = "threads:create"
    STORES = True

    thread_id: Id
    metadata: Metadata
    if_exists: IfExists
    ttl: Ttl | None = None


class ThreadCreateForRun(ThreadsCreate):
    """A thread is created for a run. Its id and its time to live depend on the run."""

    FIXED = frozenset({"thread_id", "if_exists", "ttl"})


class ThreadCopy(ThreadsCreate):
    """A thread is created with the checkpoints of another thread."""

    FIXED = frozenset({"if_exists", "ttl"})


class ThreadsRead(HandlerValue):
    """Without `run_id` a thread is read, otherwise one of its runs."""

    OPERATION = "threads:read"
    FIXED = frozenset({"thread_id", "run_id"})

    thread_id: Id
    run_id: Id | None = None


class ThreadsUpdate(HandlerValue):
    """Metadata is merged into a thread."""

    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id", "action"})
    STORES = True

    thread_id: Id
    metadata: Metadata
    action: Action | None = None


class StateWrite(HandlerValue):
    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id"})

    thread_id: Id


class RunSelection(HandlerModel):
    """Runs, either by their ids or by their status."""

    model_config = ConfigDict(extra="allow")

    run_ids: list[Id] | None
    status: Literal["pending", "running", "all"] | None


class RunsCancel(HandlerValue):
    """Runs of one thread, or of all threads, are cancelled."""

    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id"})

    thread_id: Id | None
    action: Action
    metadata: RunSelection


class RunCancel(RunsCancel):
    """Cancels one run, which `metadata` identifies. A handler cannot select other runs."""

    thread_id: Id

    def from_handler(self, data: Mapping[str, Any]) -> RunCancel:
        changed = super().from_handler(data)
        if (changed.metadata.run_ids, changed.metadata.status) != (self.metadata.run_ids, self.metadata.status):
            raise self.handler_error("changed metadata.run_ids or metadata.status, which identify the run")
        return changed


class BusyThreadCancel(RunCancel):
    """The active run of a thread is cancelled by the multitask strategy of a new run."""

    FIXED = frozenset({"thread_id", "action"})


class ThreadsDelete(HandlerValue):
    """A thread or one of its runs is deleted. Without `thread_id`: all threads of an assistant."""

    OPERATION = "threads:delete"
    FIXED = frozenset({"thread_id", "run_id"})

    thread_id: Id | None
    run_id: Id | None = None


class ThreadsSearch(HandlerValue):
    OPERATION = "threads:search"

    metadata: Metadata
    values: Metadata
    status: ThreadStatus | None
    limit: Limit
    offset: Offset
    ids: list[Id] | None = None
    thread_id: Id | None = None


class ThreadsCount(ThreadsSearch):
    """Threads are counted. `limit` and `offset` have no effect on a count."""

    FIXED = frozenset({"limit", "offset"})

    limit: Offset = 0
    offset: Offset = 0


class RunsSearch(HandlerValue):
    """Searches the runs of one thread: for runs there is no other operation than that of threads."""

    OPERATION = "threads:search"
    FIXED = frozenset({"thread_id"})

    thread_id: Id
    metadata: Metadata
    status: RunStatus | None
    limit: Limit
    offset: Offset


class AllRunsSearch(HandlerValue):
    """Searches the runs of all threads."""

    OPERATION = "threads:search"
    FIXED = frozenset({"thread_id", "offset"})

    thread_id: None
    metadata: Metadata
    status: RunStatus | None
    limit: Limit
    offset: Offset
