"""Reads single records of graph versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from slipway.graph_versions.record import RegisteredVersion
from slipway.graphs.structure import GraphStructure
from slipway.redis.read_stubs import ReadStubs
from slipway.serialization.compression import decompressed


class VersionReads(ReadStubs):
    """Each method takes one round trip."""

    async def version(self, graph_id: str, name: str) -> RegisteredVersion | None:
        """A registered version; None if there is none of this name."""
        field = f"{graph_id}@{name}"
        stored = await self._pipeline.send("HGET", self._keys.graph_versions, field, repeatable=True)
        return None if stored is None else RegisteredVersion.from_stored(field, orjson.loads(stored))

    async def structures(self, schemas: Iterable[str]) -> dict[str, GraphStructure]:
        """The structures of these schemas, without those that are not known."""
        asked = list(dict.fromkeys(schemas))
        if not asked:
            return {}
        stored = await self._pipeline.send("HMGET", self._keys.graph_structures, *asked, repeatable=True)
        return {
            schema: GraphStructure.from_json(orjson.loads(decompressed(text)))
            for schema, text in zip(asked, stored, strict=True)
            if text is not None
        }

    async def build(self, build_id: str) -> dict[str, Any] | None:
        """What the runs of a build were made from (`graphs/builds.py`); None if it is not known."""
        stored = await self._pipeline.send("HGET", self._keys.builds, build_id, repeatable=True)
        return None if stored is None else orjson.loads(stored)
