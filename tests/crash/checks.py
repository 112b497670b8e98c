"""Assertions that hold for the event log and the effects of a run, whichever processes were killed."""

from __future__ import annotations

import json
from typing import Any

from tests.crash.clients import Reader
from tests.crash.effects import Effect

Entry = tuple[str, str, bytes]


def assert_log_is_consistent(log: list[Entry], attempts: int) -> None:
    """The log starts with `metadata`, has one `end`, names its attempts in order, and has each state once."""
    names = [name for _, name, _ in log]
    ids = [tuple(int(part) for part in event_id.split("-")) for event_id, _, _ in log]
    assert ids == sorted(set(ids))
    assert names.count("error") <= 1
    assert names[0] == "metadata"
    assert names.count("end") == 1
    assert names[-1] == "end"
    announced_attempts = [data_of(frame)["attempt"] for _, name, frame in log if name == "metadata"]
    assert announced_attempts == sorted(set(announced_attempts))
    assert announced_attempts[-1] <= attempts
    states = [data_of(frame) for _, name, frame in log if name == "values"]
    counts = [state["count"] for state in states if "count" in state and "__interrupt__" not in state]
    assert counts == list(range(1, len(counts) + 1)), counts


def assert_log_is_complete(log: list[Entry], graph: str, graph_input: dict[str, Any]) -> None:
    """The log of an ended run of `graph` has the state of each superstep once, and the error or interrupt of the
    run."""
    names = [name for _, name, _ in log]
    states = [data_of(frame) for _, name, frame in log if name == "values"]
    assert names.count("error") == (graph == "fails")
    interrupted = [state for state in states if "__interrupt__" in state]
    assert len(interrupted) == (graph == "asks")
    if graph == "fan":
        lengths = [len(state.get("done", [])) for state in states]
        assert lengths == sorted(lengths)
        assert sorted(states[-1]["done"]) == list(range(len(graph_input["parts"])))
        return
    counts = [state["count"] for state in states if "count" in state and "__interrupt__" not in state]
    assert counts == list(range(1, (graph_input["upto"] if graph == "steps" else 1) + 1)), counts


def missing_work(graph: str, graph_input: dict[str, Any], effects: list[Effect]) -> list[str]:
    """The work of a run that has no effect `done`: supersteps of `steps` by number, other graphs by task."""
    done = {(effect.step if graph == "steps" else effect.task) for effect in effects if effect.event == "done"}
    if graph == "steps":
        return [f"superstep {step}" for step in range(1, graph_input["upto"] + 1) if step not in done]
    tasks = (
        [f"part {number}" for number in range(len(graph_input["parts"]))] + ["gather"] if graph == "fan" else ["work"]
    )
    return [task for task in tasks if task not in done]


def assert_reader_received_all(reader: Reader, log: list[Entry]) -> None:
    """The reader received each event of the log exactly once, in order."""
    assert reader.ids == [event_id for event_id, _, _ in log]


def data_of(frame: bytes) -> dict[str, Any]:
    """The JSON data of a frame."""
    data: dict[str, Any] = json.loads(frame.split(b"data: ", 1)[1])
    return data
