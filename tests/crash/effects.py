"""The counter outside the server: what the graphs' nodes did, as they wrote it down themselves."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Effect:
    """A node of a superstep began, or was done."""

    run: str
    attempt: int
    step: int
    task: str
    what: str
    pid: int
    at: float


class Effects:
    """Reads the file that `project/graphs.py` writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[Effect]:
        """Every effect, oldest first. Of a line that is just being written a reader may see a part: not yet."""
        text = self.path.read_text() if self.path.exists() else ""
        whole, _, _ = text.rpartition("\n")
        return [Effect(**json.loads(line)) for line in whole.splitlines()]

    def of(self, run_id: str) -> list[Effect]:
        """The effects of one run."""
        return [effect for effect in self.all() if effect.run == run_id]

    def by_run(self) -> dict[str, list[Effect]]:
        """The effects of every run."""
        found: dict[str, list[Effect]] = defaultdict(list)
        for effect in self.all():
            found[effect.run].append(effect)
        return found

    def begun(self, run_id: str, step: int | None = None) -> bool:
        """Whether a run has begun to do something, in a given superstep or at all."""
        return any(step is None or effect.step == step for effect in self.of(run_id))

    def done(self, run_id: str) -> Counter[tuple[int, str]]:
        """How often each (superstep, task) was done."""
        return Counter((effect.step, effect.task) for effect in self.of(run_id) if effect.what == "done")


@dataclass(frozen=True, slots=True)
class Repetition:
    """What later attempts did again. `supersteps` of one attempt's, done again by the next; `forgotten` says that an
    attempt began after a superstep that nobody did."""

    attempts: int
    supersteps: int
    most: int
    forgotten: bool


def repetition(effects: list[Effect]) -> Repetition:
    """How much of a run was done more than once, by its attempts one after the other."""
    steps: dict[int, set[int]] = defaultdict(set)
    for effect in effects:
        steps[effect.attempt].add(effect.step)
    again, most, forgotten = 0, 0, False
    reached: int | None = None
    for attempt in sorted(steps):
        first = min(steps[attempt])
        if reached is not None:
            overlap = max(reached - first + 1, 0)
            again, most = again + overlap, max(most, overlap)
            forgotten = forgotten or first > reached + 1
        within = steps[attempt]
        forgotten = forgotten or within != set(range(min(within), max(within) + 1))
        reached = max(within) if reached is None else max(reached, *within)
    return Repetition(len(steps), again, most, forgotten)
