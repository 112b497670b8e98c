"""Which documents there are: what only the search indexes know.

Tags do not tell upper from lower case, so every answer is compared with what was asked. A query has no time limit:
by its own the server would answer with a part of what there is, and not say so.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redisvl.query.filter import Tag

from slipway.errors import ConfigError
from slipway.redis.connection import Arg
from slipway.redis.document_keys import ROOT, DocumentNames
from slipway.redis.pipeline import Pipeline

_ALL: Final = 1_000_000
"""The most that a server gives."""

_POLL_S: Final = 0.05

Place = tuple[str, str]
"""A checkpoint in its thread: (namespace, id)."""


class Search:
    """On one pipeline, under one prefix; one round trip a call."""

    def __init__(self, pipeline: Pipeline, names: DocumentNames) -> None:
        self._pipeline, self._names = pipeline, names
        place = {"thread_id", "checkpoint_ns", "checkpoint_id"}
        self._indexes = {names.prefix: place | {"run_id"}, names.writes.removesuffix(":"): place}

    async def complete(self) -> None:
        """Return once both indexes know every document: one that is made over existing documents goes through them in
        the background, and until then would tell of a part. Raises `ConfigError` when one lacks a field."""
        for index, fields in self._indexes.items():
            while True:
                reply = await self._pipeline.send("FT.INFO", index, repeatable=True)
                told = dict(zip(reply[::2], reply[1::2], strict=True))
                if lacking := fields - {_row(attribute[:6])["attribute"] for attribute in told[b"attributes"]}:
                    raise ConfigError(
                        f"the search index {index} is of an older langgraph-checkpoint-redis and lacks "
                        f"{', '.join(sorted(lacking))}: remove it (FT.DROPINDEX {index}; the documents stay) "
                        "and start again"
                    )
                if not int(told.get(b"indexing", 0)):
                    break
                await asyncio.sleep(_POLL_S)

    async def checkpoints(self, thread_id: str) -> list[Place]:
        """The checkpoints of a thread, newest first."""
        found = await self._find(self._names.prefix, "thread_id", thread_id, "checkpoint_ns", "checkpoint_id")
        return sorted((_place(row) for _, row in found), key=lambda place: place[::-1], reverse=True)

    async def writes(self, thread_id: str) -> list[tuple[Place, str]]:
        """The pending writes of a thread: of which checkpoint, and each one's key."""
        index = self._names.writes.removesuffix(":")
        found = await self._find(index, "thread_id", thread_id, "checkpoint_ns", "checkpoint_id")
        return [(_place(row), key) for key, row in found]

    async def threads_of_run(self, run_id: str) -> set[str]:
        """The threads that hold checkpoints of a run."""
        found = await self._find(self._names.prefix, "run_id", run_id, "thread_id")
        return {row["thread_id"] for _, row in found if "thread_id" in row}

    async def threads(self) -> list[str]:
        """Every thread that has checkpoints, in order."""
        grouped = ("LOAD", 1, "@thread_id", "GROUPBY", 1, "@thread_id", "LIMIT", 0, _ALL, "DIALECT", 2)
        reply = await self._pipeline.send(
            "FT.AGGREGATE", self._names.prefix, "*", "TIMEOUT", 0, *grouped, repeatable=True
        )
        rows = (_row(flat) for flat in reply[1:])
        return sorted({row["thread_id"] for row in rows if row.get("thread_id")})

    async def _find(self, index: str, field: str, value: str, *wanted: str) -> list[tuple[str, dict[str, str]]]:
        """(key, fields) of the documents whose `field` is exactly `value`."""
        if not value:  # a query for nothing finds everything
            return []
        query: list[Arg] = [str(Tag(field) == value), "RETURN", len(wanted) + 1, field, *wanted]
        query += ["LIMIT", 0, _ALL, "TIMEOUT", 0, "DIALECT", 2]
        reply = await self._pipeline.send("FT.SEARCH", index, *query, repeatable=True)
        found = ((key.decode(), _row(flat)) for key, flat in zip(reply[1::2], reply[2::2], strict=True))
        return [(key, row) for key, row in found if row.get(field) == value]


def _row(flat: list[Any]) -> dict[str, str]:
    return {
        name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True) if value is not None
    }


def _place(row: dict[str, str]) -> Place:
    namespace = row.get("checkpoint_ns", ROOT)
    return "" if namespace == ROOT else namespace, row.get("checkpoint_id", "")
