"""Opens the graph of a thread outside a run, to read or write the thread's state.

A factory may return another graph for each config. It therefore receives the config of the run that wrote the state:
the newest run of the thread that a worker has started. Without such a run (the thread is a copy, or its runs were
deleted) it receives the config of the thread record, which contains the assistant's `configurable`.

The graph has the version to which the thread is pinned or, if that one has no name of its own, the version with the
same fingerprint. If this process serves neither, the state is read with the default version. It is written only if
langgraph.json declares no versions: LangGraph drops the values of channels that a graph does not have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.store.base import BaseStore

from slipway.access.users import User, user_configurable
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.errors import GraphUnavailable, NotFound
from slipway.graphs.interface import AccessContext, Graph, Graphs, with_checkpointer
from slipway.graphs.loaded_version import is_undeclared_name
from slipway.graphs.served_version import ServedVersion
from slipway.runs.record import Run
from slipway.runs.store import RunStore
from slipway.threads.record import Thread

_NOT_FOR_GRAPHS: Final = frozenset({"ceilings", "checkpoint_id", "checkpoint_ns", "checkpoint_map"})
"""`ceilings` are for the server. A checkpoint is for the run that started from it."""


class ThreadGraphOpener:
    """Opens graphs for `ThreadStateStore`. Opening a graph without a factory reads nothing."""

    def __init__(
        self, graphs: Graphs, runs: RunStore, checkpointer: BaseCheckpointer, store: BaseStore | None = None
    ) -> None:
        self._graphs, self._runs, self._checkpointer, self._store = graphs, runs, checkpointer, store

    @asynccontextmanager
    async def for_reading(self, thread: Thread, user: User | None) -> AsyncIterator[Graph]:
        """Opens the thread's graph. A factory receives `user`, who reads the state, in its runtime."""
        config: RunnableConfig = {}
        if self._graphs.has_factory(_graph_id(thread), self._version(thread)):
            config = await self.config(thread, user)
        async with self._open(thread, config, "threads.read", self._checkpointer) as graph:
            yield graph

    @asynccontextmanager
    async def for_writing(
        self, thread: Thread, config: RunnableConfig, checkpointer: BaseCheckpointer
    ) -> AsyncIterator[Graph]:
        """Opens the thread's graph with `checkpointer`, for a state write with this `config`. Raises `GraphUnavailable`
        if this process does not serve the version to which the thread is pinned."""
        self._check_pin(thread)
        async with self._open(thread, config, "threads.update", checkpointer) as graph:
            yield graph

    def version(self, thread: Thread) -> ServedVersion:
        """The version with which the thread's graph is opened."""
        return self._graphs.version(_graph_id(thread), self._version(thread))

    def max_state_bytes(self, thread: Thread) -> int | None:
        """The ceiling that `langgraph.json` sets for the thread's graph; None leaves that of the deployment."""
        limit = self._graphs.spec(_graph_id(thread)).ceilings.get("max_state_bytes")
        return None if limit is None else int(limit)

    async def config(self, thread: Thread, user: User | None) -> RunnableConfig:
        """The config for the thread's graph. Costs two or three reads."""
        run = await self._last_run(thread)
        config = thread.config if run is None else run.options.config
        ids = {"graph_id": _graph_id(thread), "thread_id": thread.thread_id}
        if isinstance(assistant_id := thread.metadata.get("assistant_id"), str):
            ids["assistant_id"] = assistant_id
        return cast(
            RunnableConfig, {**config, "configurable": {**_configurable(config), **user_configurable(user), **ids}}
        )

    async def _last_run(self, thread: Thread) -> Run | None:
        """The run that probably wrote the thread's state, if it executed the thread's graph."""
        run = await self._runs.last_started(thread.thread_id)
        if run is None:
            run = await self._run_of_checkpoint(thread.thread_id)
        return run if run is not None and run.graph_id == thread.graph_id else None

    async def _run_of_checkpoint(self, thread_id: str) -> Run | None:
        """A copied thread has no runs. Its checkpoints name the runs of the thread that it was copied from."""
        latest = await self._checkpointer.latest(thread_id)
        run_id = latest.metadata.get("run_id") if latest else None
        if not isinstance(run_id, str):
            return None
        try:
            return await self._runs.find(run_id)
        except NotFound:
            return None

    @asynccontextmanager
    async def _open(
        self, thread: Thread, config: RunnableConfig, access: AccessContext, checkpointer: BaseCheckpointer
    ) -> AsyncIterator[Graph]:
        opened = self._graphs.open(_graph_id(thread), config, access, version=self._version(thread))
        async with opened as graph:
            yield with_checkpointer(graph, checkpointer, self._store)

    def _version(self, thread: Thread) -> str | None:
        """None stands for the default version."""
        graph_id, pin, schema = _graph_id(thread), thread.version, thread.schema or ""
        if self._graphs.serves(graph_id, pin):
            return pin
        if pin is None or not is_undeclared_name(pin, schema):
            return None
        return next((each.name for each in self._graphs.versions(graph_id) if each.schema == schema), None)

    def _check_pin(self, thread: Thread) -> None:
        graph_id, pin = _graph_id(thread), thread.version
        if pin is None or self._version(thread) or self._graphs.spec(graph_id).default_version is None:
            return
        served = ", ".join(version.name for version in self._graphs.versions(graph_id))
        raise GraphUnavailable(
            f"thread {thread.thread_id!r} is pinned to {graph_id}@{pin}, and this process serves {served}: add version "
            f"{pin} to slipway.graphs.{graph_id}.versions, or move the thread with slipway threads move"
        )


def _graph_id(thread: Thread) -> str:
    assert thread.graph_id is not None
    return thread.graph_id


def _configurable(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (config.get("configurable") or {}).items() if name not in _NOT_FOR_GRAPHS}
