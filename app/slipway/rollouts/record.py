"""The rollout of a graph: the version that threads get, the version that a share of the new threads gets instead, who
changed it, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Literal

import orjson

from slipway.serialization.json_encoding import dumps

WHOLE: Final = 10_000
"""All new threads, in the unit of weights: one hundredth of a percent."""


class VersionState(StrEnum):
    """What a rollout does with a version."""

    INACTIVE = "inactive"
    """No thread gets it."""
    CURRENT = "current"
    """New threads get it, and others move to it by their graph's rule."""
    RAMPING = "ramping"
    """A share of the new threads gets it."""
    DRAINING = "draining"
    """It was current or ramping, and threads or runs still need it."""
    DRAINED = "drained"
    """It was current or ramping, and nothing needs it any more."""


@dataclass(frozen=True, slots=True)
class RequestRule:
    """New threads whose request has this header or this metadata get the ramping version, whatever its weight."""

    source: Literal["header", "metadata"]
    name: str
    """That of a header is in lower case."""
    value: str

    def matches(self, headers: Mapping[str, str], metadata: Mapping[str, Any]) -> bool:
        """Whether the request has it. A value of the metadata that is no text is compared as JSON."""
        if self.source == "header":
            return headers.get(self.name) == self.value
        if self.name not in metadata:
            return False
        found = metadata[self.name]
        return (found if isinstance(found, str) else dumps(found).decode()) == self.value

    def __str__(self) -> str:
        return f"{self.source} {self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class Ramp:
    """The version that a share of the new threads gets."""

    version: str
    weight: int
    """How many of 10,000 new threads get it."""
    ramp_id: str
    """Distinguishes the counts of this ramp from those of an earlier one. A change of the weight keeps it."""
    since: str
    """When the version got its first share, as ISO 8601."""
    testers: tuple[RequestRule, ...] = ()

    @property
    def percent(self) -> float:
        return self.weight / 100


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout of one graph. Each change replaces it as a whole."""

    graph_id: str
    current: str
    changed_at: str
    """ISO 8601."""
    by: str
    """Who made the last change: the actor in audit trails; `slipway` for an automatic one."""
    reason: str | None = None
    """The operator's text, or why the change was automatic."""
    ramp: Ramp | None = None
    previous: str | None = None
    """The version that was current before. None after a return to it."""
    left: tuple[str, ...] = ()
    """Versions that were current or ramping, and are not now."""

    def state_of(self, version: str, *, is_needed: bool = True) -> VersionState:
        """`is_needed`: whether threads or runs still need the version."""
        if version == self.current:
            return VersionState.CURRENT
        if self.ramp is not None and version == self.ramp.version:
            return VersionState.RAMPING
        if version in self.left:
            return VersionState.DRAINING if is_needed else VersionState.DRAINED
        return VersionState.INACTIVE

    def public(self) -> dict[str, Any]:
        """The rollout as clients receive it. Weights are in percent."""
        ramp = self.ramp
        shown = None
        if ramp is not None:
            testers = [{rule.source: rule.name, "value": rule.value} for rule in ramp.testers]
            shown = {"version": ramp.version, "percent": ramp.percent, "since": ramp.since, "testers": testers}
        return {
            "graph": self.graph_id,
            "current": self.current,
            "ramping": shown,
            "previous": self.previous,
            "changed_at": self.changed_at,
            "by": self.by,
            "reason": self.reason,
        }

    def stored(self) -> str:
        """The stored form, as JSON."""
        return dumps(asdict(self)).decode()


def rollout_from(stored: bytes | str) -> Rollout:
    """The rollout of a stored value."""
    members = orjson.loads(stored)
    ramp = members["ramp"]
    if ramp is not None:
        ramp = Ramp(**{**ramp, "testers": tuple(RequestRule(**rule) for rule in ramp["testers"])})
    return Rollout(**{**members, "ramp": ramp, "left": tuple(members["left"])})


class Action(StrEnum):
    """What a change of a rollout was."""

    SET = "set"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    CLEARED = "cleared"
    """The rollout was deleted: langgraph.json decides again."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change: who, when, what and why."""

    at: str
    """ISO 8601."""
    by: str
    action: Action
    summary: str
    """A sentence."""
    reason: str | None = None
    automatic: bool = False

    def public(self) -> dict[str, Any]:
        """The entry as clients receive it."""
        return asdict(self) | {"action": self.action.value}

    def stored(self) -> str:
        """The stored form, as JSON."""
        return dumps(self.public()).decode()


def entry_from(stored: bytes) -> HistoryEntry:
    """The entry of a stored value."""
    members = orjson.loads(stored)
    return HistoryEntry(**{**members, "action": Action(members["action"])})
