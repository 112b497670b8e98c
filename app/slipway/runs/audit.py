"""The audit trail of a run: what people and rules decided about it, in the order in which it took effect.

The trail is a stream beside the run's record, and is deleted with the record. An entry is appended by the script that
makes the change (`redis/lua/lib/audit.lua`), by a write group of an attempt (`write_commands.append_audit`), or by
itself (`AuditTrail.append`). Details never contain a secret or an argument that a tool redacts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway.clock import iso
from slipway.errors import NotFound
from slipway.redaction.redact import redact_json
from slipway.redis.hash_fields import fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.log_reads import LogReads, RawEntry
from slipway.runs.scripts import RunScripts
from slipway.serialization.at_rest import opened_json, sealed_text
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import audit_place

MOST_ENTRIES: Final = 1000
"""The most entries that one read returns."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry: who did what, with which details."""

    action: str
    """A stable name, such as `run.paused` or `tool.denied`."""
    actor: str
    """The identity of a user, `anonymous` without an auth file, `cli:NAME` for a command, or `slipway` for a rule."""
    details: Mapping[str, Any]
    """A JSON object. Its members depend on the action."""
    entry_id: str = ""
    """The id in the stream: ms since 1970 and a number. Empty before the entry is stored."""

    @property
    def at(self) -> str:
        """When it was stored, as ISO 8601."""
        return iso(int(self.entry_id.partition("-")[0]) * 1000)

    def stored_details(self, run_id: str) -> str:
        """The details as scripts and write commands receive them, for the trail of this run, without secrets."""
        return sealed_text(redact_json(dumps(self.details)).decode(), audit_place(run_id))

    def public(self) -> dict[str, Any]:
        """The entry as clients receive it."""
        members = {"id": self.entry_id, "at": self.at, "action": self.action, "actor": self.actor}
        return members | {"details": dict(self.details)}


class AuditTrail:
    """Reads and appends entries. One round trip each."""

    def __init__(self, pipeline: Pipeline, keys: Keys, scripts: RunScripts) -> None:
        self._reads, self._scripts = LogReads(pipeline, keys), scripts

    async def append(self, run_id: str, entry: AuditEntry) -> None:
        """Appends an entry that belongs to no other change. Raises `NotFound` for an unknown run."""
        if not await self._scripts.audit_append(run_id, entry.action, entry.actor, entry.stored_details(run_id)):
            raise NotFound("run", run_id)

    async def read(self, run_id: str, *, after: str = "", limit: int = MOST_ENTRIES) -> list[AuditEntry]:
        """Up to `limit` entries, the oldest first; `after` is the id of the last entry that was read. Empty for an
        unknown run."""
        return [_entry_from(run_id, entry) for entry in await self._reads.audit(run_id, after, limit)]


def _entry_from(run_id: str, entry: RawEntry) -> AuditEntry:
    entry_id, stored = entry
    fields = fields_of(stored)
    action, actor, details = (fields[name] for name in ("action", "actor", "details"))
    return AuditEntry(action.decode(), actor.decode(), opened_json(details, audit_place(run_id)), entry_id.decode())
