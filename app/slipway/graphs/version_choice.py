"""Which version of its graph a new run gets.

The web process decides what depends on the request and on the rollout. `run_create.lua` decides what depends on the
thread: its version, and what is open on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from slipway.graphs.served_version import Moves


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChoice:
    """The versions among which the script chooses. A graph with undeclared versions and no rollout has none: then the
    worker that claims the run decides."""

    new: str | None = None
    """The version of a thread that has none yet."""
    current: str | None = None
    """The version to which other threads move, as `moves` permits."""
    moves: Moves = "at-next-run"
    ramping: str | None = None
    """The version to which the rollout gives a share of the new threads. Its threads stay with it. The script counts
    new threads by version while it is set."""
    rolled_out: bool = False
    """Whether a rollout names `current`. Only then it may be older than the version of the thread."""
    explicit: str | None = None
    """The version that an operator named for this run. It wins over all others; the version of the thread changes when
    the run starts."""

    def members(self) -> dict[str, Any]:
        """What the script receives: the members that are set, and `moves`. Empty if there is nothing to choose."""
        named = {"new": self.new, "current": self.current, "ramping": self.ramping, "explicit": self.explicit}
        members: dict[str, Any] = {name: version for name, version in named.items() if version is not None}
        if not members:
            return {}
        return members | {"moves": self.moves} | ({"rolled_out": True} if self.rolled_out else {})


NO_CHOICE: Final = VersionChoice()
