"""The effects of nodes, counted outside the server: each node appends lines to a file."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the file. `event` is "begin" or "done", `at` is the time in seconds since 1970."""

    run: str
    attempt: int
    step: int
    task: str
    event: str
    pid: int
    at: float


class Effects:
    """Reads the file that `project/graphs.py` writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[Effect]:
        """All effects, oldest first. A last line that is not complete yet is left out."""
        text = self.path.read_text() if self.path.exists() else ""
        complete, _, _ = text.rpartition("\n")
        return [Effect(**json.loads(line)) for line in complete.splitlines()]

    def of_run(self, run_id: str) -> list[Effect]:
        return [effect for effect in self.all() if effect.run == run_id]

    def by_run(self) -> dict[str, list[Effect]]:
        runs: dict[str, list[Effect]] = defaultdict(list)
        for effect in self.all():
            runs[effect.run].append(effect)
        return runs

    def has_started(self, run_id: str, step: int | None = None) -> bool:
        """Whether a node of the run has started, in this superstep if one is named."""
        return any(step is None or effect.step == step for effect in self.of_run(run_id))

    def times_done(self, run_id: str) -> Counter[tuple[int, str]]:
        """How often each task was done, by (superstep, task)."""
        return Counter((effect.step, effect.task) for effect in self.of_run(run_id) if effect.event == "done")


@dataclass(frozen=True, slots=True)
class Repetition:
    """The work that later attempts repeated. `supersteps` counts the supersteps that an attempt executed again, and
    `most` is the largest number of one attempt. With `skipped`, an attempt left out a superstep that no attempt
    executed."""

    attempts: int
    supersteps: int
    most: int
    skipped: bool


def repetition(effects: list[Effect]) -> Repetition:
    """Compares the supersteps of each attempt of one run with those of the attempts before it."""
    steps: dict[int, set[int]] = defaultdict(set)
    for effect in effects:
        steps[effect.attempt].add(effect.step)
    repeated, most, skipped = 0, 0, False
    reached: int | None = None
    for attempt in sorted(steps):
        first = min(steps[attempt])
        if reached is not None:
            overlap = max(reached - first + 1, 0)
            repeated, most = repeated + overlap, max(most, overlap)
            skipped = skipped or first > reached + 1
        executed = steps[attempt]
        skipped = skipped or executed != set(range(min(executed), max(executed) + 1))
        reached = max(executed) if reached is None else max(reached, *executed)
    return Repetition(len(steps), repeated, most, skipped)
