"""What must be true of a run's log whatever was killed."""

from __future__ import annotations

import json
from typing import Any

from tests.crash.clients import Reader
from tests.crash.effects import Effect

Entry = tuple[str, str, bytes]


def log_is_whole(log: list[Entry], attempts: int) -> None:
    """It begins with the run, ends once, announces every attempt that failed, and shows each state once."""
    names = [name for _, name, _ in log]
    ids = [tuple(int(part) for part in event_id.split("-")) for event_id, _, _ in log]
    assert ids == sorted(set(ids))
    assert names.count("error") <= 1
    assert names[0] == "metadata"
    assert names.count("end") == 1
    assert names[-1] == "end"
    announced = [data_of(frame)["attempt"] for _, name, frame in log if name == "metadata"]
    assert announced == sorted(set(announced))
    assert announced[-1] <= attempts
    shown = [data_of(frame) for _, name, frame in log if name == "values"]
    counts = [state["count"] for state in shown if "count" in state and "__interrupt__" not in state]
    assert counts == list(range(1, len(counts) + 1)), counts


def log_tells_all(log: list[Entry], graph: str, given: dict[str, Any]) -> None:
    """Checks that the complete log of a run of one of our graphs with this input has the state of every superstep once,
    and the error or interrupt of the run."""
    names = [name for _, name, _ in log]
    shown = [data_of(frame) for _, name, frame in log if name == "values"]
    assert names.count("error") == (graph == "fails")
    asked = [state for state in shown if "__interrupt__" in state]
    assert len(asked) == (graph == "asks")
    if graph == "fan":
        lengths = [len(state.get("done", [])) for state in shown]
        assert lengths == sorted(lengths)
        assert sorted(shown[-1]["done"]) == list(range(len(given["parts"])))
        return
    counts = [state["count"] for state in shown if "count" in state and "__interrupt__" not in state]
    assert counts == list(range(1, (given["upto"] if graph == "steps" else 1) + 1)), counts


def undone(graph: str, given: dict[str, Any], effects: list[Effect]) -> list[str]:
    """What a run must have done, by the counter outside, and has not. Supersteps of a fan are told apart by task."""
    done = {(effect.step if graph == "steps" else effect.task) for effect in effects if effect.what == "done"}
    if graph == "steps":
        return [f"superstep {step}" for step in range(1, given["upto"] + 1) if step not in done]
    tasks = [f"part {number}" for number in range(len(given["parts"]))] + ["gather"] if graph == "fan" else ["work"]
    return [task for task in tasks if task not in done]


def reader_has_all(reader: Reader, log: list[Entry]) -> None:
    """No event is missing, none came twice."""
    assert reader.ids == [event_id for event_id, _, _ in log]


def data_of(frame: bytes) -> dict[str, Any]:
    """The JSON of an event."""
    data: dict[str, Any] = json.loads(frame.split(b"data: ", 1)[1])
    return data
