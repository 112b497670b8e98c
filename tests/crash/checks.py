"""What must be true of a run's log whatever was killed."""

from __future__ import annotations

import json

from tests.crash.clients import Reader

Entry = tuple[str, str, bytes]


def log_is_whole(log: list[Entry], attempts: int) -> None:
    """It begins with the run, ends once, announces every attempt that failed, and shows each state once."""
    names = [name for _, name, _ in log]
    assert names[0] == "metadata"
    assert names.count("end") == 1
    assert names[-1] == "end"
    announced = [data_of(frame)["attempt"] for _, name, frame in log if name == "metadata"]
    assert announced == sorted(set(announced))
    assert announced[-1] <= attempts
    shown = [data_of(frame) for _, name, frame in log if name == "values"]
    counts = [state["count"] for state in shown if "count" in state and "__interrupt__" not in state]
    assert counts == list(range(1, len(counts) + 1)), counts


def reader_has_all(reader: Reader, log: list[Entry]) -> None:
    """No event is missing, none came twice."""
    assert reader.ids == [event_id for event_id, _, _ in log]


def data_of(frame: bytes) -> dict[str, int]:
    """The JSON of an event."""
    data: dict[str, int] = json.loads(frame.split(b"data: ", 1)[1])
    return data
