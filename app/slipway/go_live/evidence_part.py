"""Tests and backups on file: what people have recorded, and how old it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slipway.clock import iso, microseconds_of
from slipway.go_live.check import Check, Part
from slipway.go_live.evidence import KINDS, Evidence, EvidenceStore
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, passed, warned
from slipway.health.server_info import read_info
from slipway.loopback import is_loopback
from slipway.redis.connection import Address

DAY_S: Final = 86_400.0
OLD_AFTER_S: Final = {
    "load-test": 180 * DAY_S,
    "failure-test": 180 * DAY_S,
    "backup": 26 * 3600.0,
    "restore-test": 180 * DAY_S,
}
"""Seconds after which evidence of each kind is a warning. A daily backup may be two hours late."""

CODES: Final = {kind: f"evidence.{kind.replace('-', '_')}" for kind in KINDS}


async def _tests(inputs: Inputs) -> Sequence[Line]:
    stored, now_us = (
        await EvidenceStore(inputs.pipeline, inputs.shards.processes).all(),
        microseconds_of(inputs.clock.now()),
    )
    return [_line(kind, stored.get(kind), now_us) for kind in KINDS if kind != "backup"]


def _line(kind: str, evidence: Evidence | None, now_us: int) -> Line:
    fix = f'slipway doctor record {kind} --note "what was done, and the result"'
    if evidence is None:
        return warned(CODES[kind], "none on file: nobody knows", fix)
    age_s = (now_us - evidence.at_us) / 1e6
    note = f": {evidence.note}" if evidence.note else ""
    found = f"{_age(age_s)} ago by {evidence.by}{note}"
    if age_s > OLD_AFTER_S[kind]:
        return warned(CODES[kind], f"too old: {found}", fix)
    return passed(CODES[kind], found)


async def _backup(inputs: Inputs) -> Sequence[Line]:
    """The evidence, or the time of the last snapshot of a server on this machine: a snapshot on the disk of the server
    is no backup before somebody copies it elsewhere."""
    kind, code = "backup", CODES["backup"]
    evidence, now = (await EvidenceStore(inputs.pipeline, inputs.shards.processes).all()).get(kind), inputs.clock.now()
    now_us = microseconds_of(now)
    line = _line(kind, evidence, now_us)
    if not line.fix:
        return [line]
    address, info = Address(inputs.settings.redis), await read_info(inputs.pipeline)
    saved = info.get("rdb_last_save_time", "")
    own = address.path is not None or is_loopback(address.host)
    changes = info.get("rdb_changes_since_last_save", "")
    if own and saved.isdigit() and int(saved) > int(now_us / 1e6) - int(info.get("uptime_in_seconds", 0)) + 1:
        moment = f"{iso(int(saved) * 1_000_000)[:19]}Z, {changes} changes ago"
        found = f"{line.found}; the last snapshot of this server is of {moment}"
        return [warned(code, found, f"copy it to another place, then `slipway doctor record {kind}`")]
    return [warned(code, line.found, f"slipway doctor record {kind} at the end of each backup (docs/go-live.md)")]


def _age(seconds: float) -> str:
    if seconds < 2 * 3600:
        return f"{max(seconds, 0) / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 3 * DAY_S else f"{seconds / DAY_S:.0f} days"


PART: Final = Part(
    "evidence",
    "Tests and backups on file",
    (
        Check(
            {
                CODES["load-test"]: "A load test, recorded in the last 180 days.",
                CODES["failure-test"]: "A test with killed processes, recorded in the last 180 days.",
                CODES["restore-test"]: "A restore of a backup, recorded in the last 180 days.",
            },
            _tests,
        ),
        Check({CODES["backup"]: "A backup, recorded in the last 26 hours."}, _backup),
    ),
)
