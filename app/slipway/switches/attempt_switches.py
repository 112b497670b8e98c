"""The switches as one attempt at a run sees them, and how it stops before what is switched off.

Code that is about to do what can be switched off asks `CURRENT_SWITCHES`, which the execution of the attempt sets for
the tasks of its graph. `StoppedAtSwitch` then ends the task. LangGraph treats it as it treats an interrupt: it neither
retries nor stores it as an error, the other tasks of the superstep end and are stored, and it leaves all subgraphs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import Final, NoReturn

from langgraph.errors import GraphBubbleUp

from slipway.switches.record import OffSwitches, Switch


class StoppedAtSwitch(GraphBubbleUp):
    """A task stops before something that is switched off, and its run pauses."""

    def __init__(self, switch: Switch) -> None:
        super().__init__(str(switch))
        self.switch = switch


class AttemptSwitches:
    """The switches for an attempt at a run of `graph_id`. `off` returns those that are off now. `request_stop` makes
    the graph stop at its next superstep, should its code survive `StoppedAtSwitch`. `skipped_tasks` are the ids of
    tasks that end without a result, whatever is switched off: an operator has skipped them."""

    def __init__(
        self,
        graph_id: str,
        off: Callable[[], OffSwitches],
        request_stop: Callable[[], None],
        skipped_tasks: Collection[str] = (),
    ) -> None:
        self._graph_id, self._off, self._request_stop = graph_id, off, request_stop
        self.skipped_tasks = frozenset(skipped_tasks)
        self.stopped_at: Switch | None = None
        """The first switch before which the attempt has stopped."""
        self.has_stopped_task = False
        """Whether `StoppedAtSwitch` was raised within a superstep, which must then be repeated. Code of the graph may
        have replaced it by another exception."""

    @property
    def any(self) -> bool:
        """Whether anything is switched off, or a task is skipped."""
        return self._off().any or bool(self.skipped_tasks)

    @property
    def needs_gates(self) -> bool:
        """Whether a node of this graph is switched off, or a task is skipped."""
        return bool(self.skipped_tasks or self._off().nodes_of(self._graph_id))

    def check_node(self, name: str) -> None:
        """Raises `StoppedAtSwitch` if the node is switched off. Any thread may call it."""
        if (switch := self._off().nodes_of(self._graph_id).get(name)) is not None:
            self.stop_at(switch)

    def check_tool(self, name: str) -> None:
        """Raises `StoppedAtSwitch` if the tool is switched off. Any thread may call it."""
        if (switch := self._off().tool(name)) is not None:
            self.stop_at(switch)

    def stop_at(self, switch: Switch) -> NoReturn:
        """Stops the current task before something that is switched off: raises `StoppedAtSwitch`."""
        self.has_stopped_task = True
        self.stop_before_next_superstep(switch)
        raise StoppedAtSwitch(switch)

    def stop_before_next_superstep(self, switch: Switch) -> None:
        """Lets the current superstep end."""
        self.stopped_at = self.stopped_at or switch
        self._request_stop()

    def stop_if_graph_is_off(self) -> None:
        """Stops before the next superstep if the graph, or everything, is switched off."""
        if self.stopped_at is None and (switch := self._off().runs_of(self._graph_id)) is not None:
            self.stop_before_next_superstep(switch)


CURRENT_SWITCHES: Final[ContextVar[AttemptSwitches | None]] = ContextVar("current_switches", default=None)
"""None outside of a run, and in a thread that was started without the context of a node."""
