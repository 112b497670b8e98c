"""Which versions a new run may get, by the rollout of its graph, by langgraph.json and by its request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from slipway.graphs.served_version import Moves
from slipway.graphs.version_choice import NO_CHOICE, VersionChoice
from slipway.rollouts.record import WHOLE, Ramp, Rollout
from slipway.serialization.json_encoding import dumps

VERSION_HEADER: Final = "x-slipway-version"
VERSION_METADATA: Final = "slipway_version"
"""The header and the member of the metadata by which an operator names the version of one run."""
_NAMING_FIELDS: Final = frozenset({VERSION_HEADER, VERSION_METADATA})


@dataclass(frozen=True, slots=True)
class DeclaredChoice:
    """What langgraph.json says about the versions of a graph."""

    default: str | None
    """None if it declares no versions: then the worker that claims the first run of a thread decides."""
    moves: Moves


@dataclass(frozen=True, slots=True)
class Requested:
    """What a request contains that rules about testers may look at. Names of headers are in lower case."""

    headers: Mapping[str, str]
    metadata: Mapping[str, Any]

    @property
    def named(self) -> tuple[str, str] | None:
        """The version that the request names for its run, and the field in which it does. The JSON of a value that is
        not a text counts: 2 is version 2."""
        if (version := self.headers.get(VERSION_HEADER)) is not None:
            return version, VERSION_HEADER
        version = self.metadata.get(VERSION_METADATA)
        if version is None:
            return None
        return version if isinstance(version, str) else dumps(version).decode(), f"metadata.{VERSION_METADATA}"

    def names_by_rule(self, ramp: Ramp) -> bool:
        """Whether it names the ramping version in a field that a rule for testers permits."""
        if self.named is None or self.named[0] != ramp.version:
            return False
        return any(rule.matches(self.headers, self.metadata) for rule in ramp.testers if rule.name in _NAMING_FIELDS)


def choice_of(
    rollout: Rollout | None, declared: DeclaredChoice, graph_id: str, thread_id: str, requested: Requested
) -> VersionChoice:
    """The choice for a run on this thread, without a version that an operator names."""
    if rollout is None:
        if declared.default is None:
            return NO_CHOICE
        return VersionChoice(new=declared.default, current=declared.default, moves=declared.moves)
    ramp = rollout.ramp
    ramps = ramp is not None and gets_ramp(ramp, graph_id, thread_id, requested)
    return VersionChoice(
        new=ramp.version if ramp is not None and ramps else rollout.current,
        current=rollout.current,
        moves=declared.moves,
        ramping=None if ramp is None else ramp.version,
        rolled_out=True,
    )


def gets_ramp(ramp: Ramp, graph_id: str, thread_id: str, requested: Requested) -> bool:
    """Whether a new thread gets the ramping version. The answer for a thread changes only from no to yes when the
    weight grows."""
    if any(rule.matches(requested.headers, requested.metadata) for rule in ramp.testers):
        return True
    return bucket_of(graph_id, thread_id) < ramp.weight


def bucket_of(graph_id: str, thread_id: str) -> int:
    """One of 10,000 buckets, the same in every process and release."""
    digest = blake2b(f"{graph_id}\0{thread_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % WHOLE
