"""The stubs of single documents: pointers to latest checkpoints, and the counter of stored bytes."""

from __future__ import annotations

from slipway.redis.document_keys import DocumentNames
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline


class DocumentReads:
    """One round trip each."""

    def __init__(self, pipeline: Pipeline, keys: Keys, names: DocumentNames) -> None:
        self._pipeline, self._keys, self._names = pipeline, keys, names

    async def latest(self, thread_id: str, namespace: str) -> str | None:
        """The name of the latest checkpoint of a namespace; None when it has none."""
        name = await self._pipeline.send("GET", self._names.pointer(thread_id, namespace), repeatable=True)
        return None if name is None else str(name.decode())

    async def metadata(self, name: str) -> bytes:
        """The metadata of the checkpoint with this name, in a JSON array; an empty array when it does not exist."""
        metadata: bytes | None = await self._pipeline.send("JSON.GET", name, "$.metadata", repeatable=True)
        return metadata or b"[]"

    async def stored_bytes(self, thread_id: str) -> int | None:
        """What the budget of the thread counts; None when nothing counted it yet."""
        counted = await self._pipeline.send("GET", self._keys.document_bytes(thread_id), repeatable=True)
        return None if counted is None else int(counted)

    async def set_stored_bytes(self, thread_id: str, size: int) -> None:
        """Does nothing when the thread is counted already."""
        await self._pipeline.send("SET", self._keys.document_bytes(thread_id), size, "NX", repeatable=True)

    async def delete_stored_bytes(self, thread_id: str) -> None:
        await self._pipeline.send("DEL", self._keys.document_bytes(thread_id), repeatable=True)
