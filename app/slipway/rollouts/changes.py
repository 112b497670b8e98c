"""The changes of a rollout, without Redis: each function returns the rollout after the change, or raises and changes
nothing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from slipway.errors import Conflict, InvalidRequest
from slipway.rollouts.record import WHOLE, Action, HistoryEntry, Ramp, RequestRule, Rollout
from slipway.value_problems import did_you_mean

_MOST_LEFT: Final = 10
"""Of how many earlier versions a rollout says whether something still needs them."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who makes a change, when (ISO 8601) and why."""

    by: str
    at: str
    reason: str | None = None
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class GraphVersions:
    """The versions of a graph that can be rolled out."""

    graph_id: str
    names: Sequence[str]
    """In the order in which they were registered, the oldest first."""
    default: str | None = None
    """The version that new threads get without a rollout, if langgraph.json declares it."""
    workers: Mapping[str, int] = field(default_factory=dict)
    """How many live workers serve a version."""
    old: frozenset[str] = frozenset()
    """Versions that no live worker serves and langgraph.json does not declare."""

    def check(self, field: str, version: str) -> None:
        """Raises `InvalidRequest` for an unknown version."""
        if version not in self.names:
            problem = f"graph {self.graph_id!r} has no version {version!r}{did_you_mean(version, self.names)}"
            raise InvalidRequest(field, problem, known=self.names)

    def warning(self, version: str) -> str | None:
        """What an operator must know who gives threads this version."""
        if self.workers.get(version):
            return None
        return f"no live worker serves {self.graph_id}@{version}: its runs wait until one does"


@dataclass(frozen=True, slots=True)
class Change:
    """A rollout after a change, and the entry of its history. `rollout` is None if it is deleted."""

    rollout: Rollout | None
    entry: HistoryEntry
    warning: str | None = None
    """What the operator must know, although the change was made."""

    def shown(self) -> dict[str, Any]:
        """The rollout and the change as receivers of webhooks get them."""
        return {"rollout": None if self.rollout is None else self.rollout.public(), "change": self.entry.public()}


def set_weights(
    before: Rollout | None,
    versions: GraphVersions,
    weights: Mapping[str, int],
    who: Who,
    *,
    testers: Sequence[RequestRule] | None = None,
) -> Change:
    """Gives each version its share of the new threads, in hundredths of a percent. One version may ramp beside the
    current one, which has what remains. Without a rollout the current version is the older of two that have weights,
    else the default of langgraph.json, else the only other version with live workers. `testers` None keeps the rules
    of a version that ramps already.

    Raises `InvalidRequest` for weights over 100 %, an unknown version, or two that would ramp, and `Conflict` if it is
    not known which version is current."""
    for version in weights:
        versions.check("versions", version)
    total = sum(weights.values())
    if total > WHOLE:
        raise InvalidRequest("versions", f"the weights are {_percent(total)} together, more than 100 %")
    current = _current_of(before, versions, weights)
    ramping = [version for version in weights if version != current]
    if len(ramping) != 1:
        raise _not_one_ramp(ramping, current)
    if current in weights and total != WHOLE:
        raise InvalidRequest("versions", f"the weights are {_percent(total)} together; leave out {current!r}, the rest")
    (version,) = ramping
    earlier = before.ramp if before is not None else None
    if earlier is not None and earlier.version != version:
        raise Conflict(
            f"version {earlier.version!r} of graph {versions.graph_id!r} is ramping; only one version can: promote it "
            f"or roll it back first",
            ramping=earlier.version,
        )
    if earlier is None:
        ramp = Ramp(version, weights[version], secrets.token_hex(6), who.at, tuple(testers or ()))
    else:
        kept = earlier.testers if testers is None else tuple(testers)
        ramp = replace(earlier, weight=weights[version], testers=kept)
    rules = "".join(f", and those with {rule}" for rule in ramp.testers)
    summary = f"version {version} gets {_percent(ramp.weight)} of the new threads{rules}; all others get {current}"
    left = tuple(each for each in (before.left if before is not None else ()) if each != version)
    after = _changed(before, versions.graph_id, current, who, ramp=ramp, left=left)
    return Change(after, _entry(Action.SET, summary, who), versions.warning(version))


def _current_of(before: Rollout | None, versions: GraphVersions, weights: Mapping[str, int]) -> str:
    if before is not None:
        return before.current
    if len(weights) == 2 and sum(weights.values()) == WHOLE:
        return min(weights, key=versions.names.index)
    if versions.default is not None and versions.default not in weights:
        return versions.default
    others = [version for version in versions.names if versions.workers.get(version) and version not in weights]
    if len(others) == 1:
        return others[0]
    raise Conflict(
        f"graph {versions.graph_id!r} has no rollout yet, langgraph.json names no other version that is current, and "
        f"{len(others)} others have live workers: give both weights, such as 1=90% 2=10%"
    )


def _not_one_ramp(ramping: Sequence[str], current: str) -> InvalidRequest:
    if ramping:
        names = " and ".join(repr(version) for version in ramping)
        return InvalidRequest("versions", f"only one version can ramp beside {current!r}, not {names}")
    return InvalidRequest("versions", f"version {current!r} is current already: name the version that gets a share")


def promoted(before: Rollout | None, versions: GraphVersions, who: Who, version: str | None = None) -> Change:
    """Makes the ramping version, or `version`, the current one. Raises `InvalidRequest` for an unknown version and
    `Conflict` if nothing is ramping, or if another version is."""
    ramp = before.ramp if before is not None else None
    if version is None:
        if ramp is None:
            raise Conflict(f"no version of graph {versions.graph_id!r} is ramping: name the version to promote")
        version = ramp.version
    versions.check("version", version)
    if ramp is not None and ramp.version != version:
        raise Conflict(f"version {ramp.version!r} is ramping: promote it or roll it back first", ramping=ramp.version)
    current = before.current if before is not None else versions.default
    if version == current and before is not None:
        raise Conflict(f"version {version!r} of graph {versions.graph_id!r} is current already")
    replaced = current if current != version else None
    instead = f" instead of {replaced}" if replaced is not None else ""
    left = (before.left if before is not None else ()) + ((replaced,) if replaced is not None else ())
    after = _changed(before, versions.graph_id, version, who, previous=replaced, left=_without(left, version))
    entry = _entry(Action.PROMOTED, f"version {version} is current{instead}", who)
    return Change(after, entry, versions.warning(version))


def rolled_back(before: Rollout | None, graph_id: str, who: Who) -> Change:
    """Ends the ramp or, if nothing is ramping, makes the version current that was current before. Raises `Conflict` if
    there is neither."""
    if before is None or (before.ramp is None and before.previous is None):
        raise Conflict(
            f"graph {graph_id!r} has nothing to roll back: no version is ramping, and no other one was current before"
        )
    if before.ramp is not None:
        version = before.ramp.version
        left = (*_without(before.left, version), version)
        summary = f"version {version} gets no new threads; all get {before.current}"
        after = _changed(before, graph_id, before.current, who, left=left, previous=before.previous)
    else:
        assert before.previous is not None
        left = (*_without(before.left, before.previous), before.current)
        summary = f"version {before.previous} is current again instead of {before.current}"
        after = _changed(before, graph_id, before.previous, who, left=left)
    return Change(after, _entry(Action.ROLLED_BACK, summary, who))


def cleared(before: Rollout | None, graph_id: str, who: Who) -> Change:
    """Deletes the rollout: langgraph.json decides again which version threads get. Raises `Conflict` if there is
    none, or if a version is ramping."""
    if before is None:
        raise Conflict(f"graph {graph_id!r} has no rollout")
    if before.ramp is not None:
        raise Conflict(
            f"version {before.ramp.version!r} is ramping: promote it or roll it back first", ramping=before.ramp.version
        )
    return Change(None, _entry(Action.CLEARED, "langgraph.json decides which version threads get", who))


def _changed(
    before: Rollout | None,
    graph_id: str,
    current: str,
    who: Who,
    *,
    left: tuple[str, ...],
    ramp: Ramp | None = None,
    previous: str | None = None,
) -> Rollout:
    if ramp is not None and before is not None:
        previous = before.previous
    return Rollout(graph_id, current, who.at, who.by, who.reason, ramp, previous, left[-_MOST_LEFT:])


def _entry(action: Action, summary: str, who: Who) -> HistoryEntry:
    return HistoryEntry(who.at, who.by, action, summary, who.reason, who.automatic)


def _without(versions: Sequence[str], version: str) -> tuple[str, ...]:
    return tuple(each for each in versions if each != version)


def _percent(weight: int) -> str:
    return f"{weight / 100:g} %"
