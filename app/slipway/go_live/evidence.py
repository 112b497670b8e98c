"""Evidence: what an operator has recorded about tests and backups, which Slipway cannot see itself.

Of each kind the one of the latest time is stored, with its time, the name of the operator and a note. It says what a
person said: the checklist shows its age, and nothing more follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from slipway.clock import iso
from slipway.errors import InvalidRequest
from slipway.go_live.scripts import EvidenceScripts
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.json_encoding import dumps
from slipway.value_problems import did_you_mean

KINDS: Final[Mapping[str, str]] = {
    "load-test": "The deployment was tested with the load that is expected.",
    "failure-test": "Workers, web processes and Redis were killed under load, and what happened was as expected.",
    "backup": "A backup of the data of Redis was made.",
    "restore-test": "A backup was restored, and threads of it continued.",
}
"""What a person can record, and what it says."""

MOST_CHARACTERS: Final = 500
_SLACK_US: Final = 300 * 1_000_000
"""How far in the future a time may be: the clocks of two machines differ."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The latest evidence of one kind. Times are in µs since 1970."""

    kind: str
    at_us: int
    """When it happened, as the operator says."""
    by: str
    note: str
    recorded_us: int

    def public(self) -> dict[str, Any]:
        """The members in JSON."""
        return {
            "kind": self.kind,
            "at": iso(self.at_us),
            "by": self.by,
            "note": self.note or None,
            "recorded_at": iso(self.recorded_us),
        }


def new_evidence(kind: str, at_us: int | None, by: str, note: str, now_us: int) -> Evidence:
    """Raises `InvalidRequest` for an unknown kind, a time in the future, and a text that is too long or not
    printable."""
    if kind not in KINDS:
        raise InvalidRequest("kind", f"{kind!r} is not known{did_you_mean(kind, KINDS)}", known=list(KINDS))
    if at_us is not None and at_us > now_us + _SLACK_US:
        raise InvalidRequest("at", f"{iso(at_us)} is in the future: record what has happened")
    for name, text in (("note", note), ("by", by)):
        if len(text) > MOST_CHARACTERS or not text.isprintable():
            raise InvalidRequest(name, f"must be one printable line of at most {MOST_CHARACTERS} characters")
    return Evidence(kind, now_us if at_us is None else at_us, by, note, now_us)


class EvidenceStore:
    """The stored evidence. Each method takes one round trip."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._scripts = EvidenceScripts(pipeline, keys)

    async def record(self, evidence: Evidence, *, replace: bool = False) -> Evidence:
        """Stores it instead of what is on file of its kind, unless that is of a later time (`at_us`) and is not to be
        replaced, in one script. Returns what is on file then."""
        members = {
            "at_us": evidence.at_us,
            "by": evidence.by,
            "note": evidence.note,
            "recorded_us": evidence.recorded_us,
        }
        stored = await self._scripts.record(evidence.kind, dumps(members).decode(), replace=replace)
        return _evidence_from(evidence.kind, stored)

    async def all(self) -> dict[str, Evidence]:
        """By kind. Kinds of later releases are left out."""
        stored = await self._scripts.read()
        return {kind: _evidence_from(kind, members) for kind, members in stored.items() if kind in KINDS}


def _evidence_from(kind: str, stored: bytes) -> Evidence:
    members = orjson.loads(stored)
    return Evidence(kind, members["at_us"], members["by"], members["note"], members["recorded_us"])
