"""A run as lines of the log name it that are not logged in the code of one of its attempts."""

from __future__ import annotations

from typing import Any, NamedTuple

from slipway.tracing.run_trace import trace_id_in


class LoggedRun(NamedTuple):
    """What is known of the run. A member that is not known, or does not exist, is empty, and is not logged."""

    run_id: str
    thread_id: str = ""
    graph_id: str = ""
    trace_id: str = ""
    """32 hexadecimal digits. Empty if nothing is traced."""

    def log_fields(self) -> dict[str, Any]:
        """The fields of a line: `run`, `thread`, `graph` and `trace`."""
        known = {"run": self.run_id, "thread": self.thread_id, "graph": self.graph_id, "trace": self.trace_id}
        return {name: value for name, value in known.items() if value}


def run_in_reply(run_id: bytes, thread_id: bytes, graph_id: bytes, trace: bytes) -> LoggedRun:
    """The run in the reply of a script. `trace` is the field of its record; an absent field is empty."""
    return LoggedRun(run_id.decode(), thread_id.decode(), graph_id.decode(), trace_id_in(trace))
