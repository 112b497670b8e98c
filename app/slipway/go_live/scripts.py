"""The stub of evidence."""

from __future__ import annotations

from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_EVIDENCE_RECORD = load("evidence_record")


class EvidenceScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def record(self, kind: str, stored: str, *, replace: bool) -> bytes:
        """Stores the JSON of a kind, unless that on file is of a later time and is not to be replaced. Returns what is
        on file then."""
        arguments = self._args(kind=kind, stored=stored, replace=replace)
        reply: bytes = await self._pipeline.run(_EVIDENCE_RECORD, [], arguments)
        return reply

    async def read(self) -> Fields:
        """JSON by kind."""
        return fields_of(await self._pipeline.send("HGETALL", self._keys.evidence, repeatable=True))
