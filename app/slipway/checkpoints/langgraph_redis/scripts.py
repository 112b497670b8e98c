"""The script stubs of checkpoints that are stored as documents. `<at>` is `<thread>:<ns>:<checkpoint>`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from slipway.checkpoints.scripts import CopyResult
from slipway.redis.checkpoint_keys import thread_record
from slipway.redis.connection import Arg
from slipway.redis.document_keys import DocumentNames, counter
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_READ = load("document_read")
_HEADS = load("document_heads")
_REMOVE = load("document_remove")
_COPY = load("document_copy")

CheckpointEntry = tuple[bytes, list[bytes]]
"""The document of a checkpoint, and the documents of its pending writes."""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """The first `checkpoints_read` of the requested checkpoints, without those that do not exist. `stored_bytes` counts
    all documents of the thread; None if they were never counted."""

    stored_bytes: int | None
    checkpoints_read: int
    entries: list[CheckpointEntry]


@dataclass(frozen=True, slots=True)
class LatestDocument:
    """`has_pointer`: the namespace has a pointer to its latest checkpoint. `entry` is None if that checkpoint does not
    exist. `stored_bytes` counts all documents of the thread; None if they were never counted."""

    stored_bytes: int | None
    has_pointer: bool
    entry: CheckpointEntry | None


@dataclass(frozen=True, slots=True)
class DocumentHead:
    """The fields of a checkpoint without its values. `channels` have a stored value; `metadata` is still encoded."""

    at: str
    run_id: str
    parent_id: str
    metadata: Any
    channels: frozenset[str]


class DocumentScripts(ScriptStubs):
    """Each method takes one round trip."""

    def __init__(self, pipeline: Pipeline, keys: Keys, names: DocumentNames) -> None:
        super().__init__(pipeline, keys)
        self._names = names

    async def read_latest(self, thread_id: str, namespace: str, *, page_bytes: int) -> LatestDocument:
        """Reads the checkpoint that the pointer of a namespace names."""
        keys = [counter(self._keys, thread_id), self._names.pointer(thread_id, namespace)]
        used, has_pointer, entries = await self._pipeline.run(_READ, keys, [*self._names.prefixes, page_bytes])
        entry = (entries[0][0], entries[0][1]) if entries else None
        return LatestDocument(int(used) if used else None, bool(has_pointer), entry)

    async def read(self, thread_id: str, ats: Sequence[str], *, page_bytes: int) -> DocumentPage:
        """Reads checkpoints until the page has `page_bytes`."""
        used, read, entries = await self._pipeline.run(
            _READ, [counter(self._keys, thread_id)], [*self._names.prefixes, page_bytes, *ats]
        )
        return DocumentPage(
            int(used) if used else None, int(read), [(document, writes) for document, writes in entries]
        )

    async def heads(self, ats: Sequence[str]) -> list[DocumentHead]:
        """Reads the heads of those checkpoints that exist."""
        rows = await self._pipeline.run(_HEADS, [], [self._names.checkpoints, *ats])
        return [
            DocumentHead(
                at.decode(),
                orjson.loads(run_id)[0],
                orjson.loads(parent_id)[0],
                orjson.loads(metadata)[0],
                frozenset(channel.decode() for channel in channels),
            )
            for at, run_id, parent_id, metadata, channels in rows
        ]

    async def remove(
        self,
        thread_id: str,
        ats: Sequence[str],
        write_keys: Sequence[str],
        pointers: Sequence[tuple[str, str]],
        incarnation: str | None,
    ) -> int:
        """Deletes checkpoints with their pending writes, and the writes with these keys. `pointers` are the namespaces,
        as `<thread>:<ns>`, each with the `<at>` of its latest checkpoint afterwards ("" for none). Returns the number
        of deleted checkpoints; -1 and deletes nothing if the thread is busy or was not created at `incarnation` (""
        if it must not exist), unless `incarnation` is None."""
        guards = [] if incarnation is None else [thread_record(self._keys, thread_id)]
        flat_pointers = [text for pointer in pointers for text in pointer]
        arguments: list[Arg] = [incarnation or "", *self._names.prefixes, len(ats), *ats, len(write_keys), *write_keys]
        reply = await self._pipeline.run(
            _REMOVE, [counter(self._keys, thread_id), *guards], [*arguments, *flat_pointers]
        )
        return int(reply)

    async def copy(
        self,
        source_id: str,
        target_id: str,
        checkpoints: Sequence[str],
        namespaces: Sequence[str],
        incarnations: tuple[str, str] | None,
    ) -> CopyResult:
        """Copies the checkpoints `<ns>:<checkpoint>` and the pointers of the namespaces. With `incarnations`, the
        creation times of source and target, only if both threads were created then."""
        both = (source_id, target_id)
        guards = [thread_record(self._keys, name) for name in both] if incarnations else []
        reply = await self._pipeline.run(
            _COPY,
            [*(counter(self._keys, name) for name in both), *guards],
            [
                *(incarnations or ("", "")),
                *self._names.prefixes,
                *both,
                len(checkpoints),
                *checkpoints,
                *namespaces,
            ],
        )
        return CopyResult(reply.decode())
