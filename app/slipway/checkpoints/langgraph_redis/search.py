"""Lists documents by their fields, with the search indexes.

Tag queries ignore case, so every result is compared with the requested value. Queries have no time limit: with the
default limit the server would return a part of the results without saying so.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redisvl.query.filter import Tag

from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.errors import ConfigError
from slipway.redis.connection import Arg
from slipway.redis.document_keys import ROOT, DocumentNames
from slipway.redis.pipeline import Pipeline

_ALL: Final = 1_000_000
"""The most results that a server returns."""

_POLL_S: Final = 0.05


class Search:
    """Each call is one round trip."""

    def __init__(self, pipeline: Pipeline, names: DocumentNames) -> None:
        self._pipeline, self._names = pipeline, names
        key_fields = {"thread_id", "checkpoint_ns", "checkpoint_id"}
        self._indexes = {names.prefix: key_fields | {"run_id"}, names.writes.removesuffix(":"): key_fields}

    async def complete(self) -> None:
        """Returns when both indexes contain all documents. Redis fills a new index in the background; until then, a
        search returns only a part of the documents. Raises `ConfigError` when an index lacks a field."""
        for index, fields in self._indexes.items():
            while True:
                reply = await self._pipeline.send("FT.INFO", index, repeatable=True)
                info = dict(zip(reply[::2], reply[1::2], strict=True))
                if lacking := fields - {_row(attribute[:6])["attribute"] for attribute in info[b"attributes"]}:
                    raise ConfigError(
                        f"the search index {index} is of an older langgraph-checkpoint-redis and lacks "
                        f"{', '.join(sorted(lacking))}: remove it (FT.DROPINDEX {index}; the documents stay) "
                        "and start again"
                    )
                if not int(info.get(b"indexing", 0)):
                    break
                await asyncio.sleep(_POLL_S)

    async def checkpoints(self, thread_id: str) -> list[CheckpointKey]:
        """The checkpoints of a thread, newest first."""
        found = await self._find(self._names.prefix, "thread_id", thread_id, "checkpoint_ns", "checkpoint_id")
        return sorted((_checkpoint_key(row) for _, row in found), key=lambda key: key[::-1], reverse=True)

    async def writes(self, thread_id: str) -> list[tuple[CheckpointKey, str]]:
        """The pending writes of a thread: the checkpoint and the key of each."""
        index = self._names.writes.removesuffix(":")
        found = await self._find(index, "thread_id", thread_id, "checkpoint_ns", "checkpoint_id")
        return [(_checkpoint_key(row), key) for key, row in found]

    async def threads_of_run(self, run_id: str) -> set[str]:
        """The threads that have checkpoints of a run."""
        found = await self._find(self._names.prefix, "run_id", run_id, "thread_id")
        return {row["thread_id"] for _, row in found if "thread_id" in row}

    async def threads(self) -> list[str]:
        """The sorted ids of all threads that have checkpoints."""
        grouped = ("LOAD", 1, "@thread_id", "GROUPBY", 1, "@thread_id", "LIMIT", 0, _ALL, "DIALECT", 2)
        reply = await self._pipeline.send(
            "FT.AGGREGATE", self._names.prefix, "*", "TIMEOUT", 0, *grouped, repeatable=True
        )
        rows = (_row(flat) for flat in reply[1:])
        return sorted({row["thread_id"] for row in rows if row.get("thread_id")})

    async def _find(
        self, index: str, field: str, value: str, *returned_fields: str
    ) -> list[tuple[str, dict[str, str]]]:
        """(key, fields) of the documents whose `field` is exactly `value`."""
        if not value:  # an empty query would match every document
            return []
        query: list[Arg] = [str(Tag(field) == value), "RETURN", len(returned_fields) + 1, field, *returned_fields]
        query += ["LIMIT", 0, _ALL, "TIMEOUT", 0, "DIALECT", 2]
        reply = await self._pipeline.send("FT.SEARCH", index, *query, repeatable=True)
        found = ((key.decode(), _row(flat)) for key, flat in zip(reply[1::2], reply[2::2], strict=True))
        return [(key, row) for key, row in found if row.get(field) == value]


def _row(flat: list[Any]) -> dict[str, str]:
    return {
        name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True) if value is not None
    }


def _checkpoint_key(row: dict[str, str]) -> CheckpointKey:
    namespace = row.get("checkpoint_ns", ROOT)
    return CheckpointKey("" if namespace == ROOT else namespace, row.get("checkpoint_id", ""))
