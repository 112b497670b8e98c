"""What the nodes of the releases have executed: each line of a file is a node that has started or ended."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from langgraph.config import get_config

from tests.waiting import wait_until

FILE: Final = "EFFECTS"
"""Environment variable: the file to which nodes append."""


@dataclass(frozen=True, slots=True)
class Executed:
    """One line."""

    thread: str
    release: str
    """The release whose code was executed."""
    node: str
    event: str
    """`started` or `ended`."""
    pid: int


def hold_of(executed: Path, node: str) -> Path:
    """The node waits before it does anything as long as this file exists. `executed` is the file of all lines."""
    return executed.with_name(f"{node}.held")


class Execution:
    """A node of a release: a context that records its start and its end. One that asks does not end."""

    def __init__(self, release: str, node: str) -> None:
        self._release, self._node = release, node

    async def __aenter__(self) -> None:
        self._append("started")
        held = hold_of(Path(os.environ[FILE]), self._node)
        await wait_until(lambda: not held.exists(), within_s=120)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._append("ended")

    def _append(self, event: str) -> None:
        thread = str(get_config()["configurable"]["thread_id"])
        line = json.dumps(asdict(Executed(thread, self._release, self._node, event, os.getpid())))
        with Path(os.environ[FILE]).open("a") as file:
            file.write(f"{line}\n")


def read_executed(path: Path) -> list[Executed]:
    """All complete lines, oldest first."""
    text = path.read_text() if path.exists() else ""
    return [Executed(**json.loads(line)) for line in text.rpartition("\n")[0].splitlines()]


def step(release: str, name: str) -> Any:
    """A node that writes its name and its release to the channel `log`."""

    async def node(state: dict[str, Any]) -> dict[str, Any]:
        async with Execution(release, name):
            return {"log": [f"{name}@{release}"]}

    return node
