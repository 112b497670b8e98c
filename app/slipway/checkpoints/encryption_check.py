"""Checks whether stored states are encrypted, without a key and without importing a checkpointer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from typing import Final

import orjson

from slipway.checkpoints.langgraph_redis.document_reads import DocumentReads
from slipway.checkpoints.reads import CheckpointReads
from slipway.checkpoints.scripts import CheckpointScripts
from slipway.redis.document_keys import DocumentNames
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.encryption import MARK
from slipway.settings import Settings

_THREADS: Final = 20
"""How many threads are checked at least: those of each shard that changed last."""


async def are_encrypted(pipeline: Pipeline, shards: Shards, settings: Settings) -> bool:
    """Whether a value of one of the latest threads is encrypted. Two or three round trips."""
    each = math.ceil(_THREADS / shards.count)
    reads = (CheckpointReads(pipeline, keys).latest_threads(each) for keys in shards.threads)
    latest = [thread_ids for thread_ids in await asyncio.gather(*reads) if thread_ids]
    if settings.checkpointer == "core":
        scripts = CheckpointScripts(pipeline, shards)
        return any(await asyncio.gather(*(scripts.has_value_with_mark(thread_ids, MARK) for thread_ids in latest)))
    documents = DocumentReads(pipeline, shards.records, DocumentNames(settings.langgraph_redis_prefix))
    threads = [thread_id for thread_ids in latest for thread_id in thread_ids]
    return any(await asyncio.gather(*(_is_encrypted(documents, thread_id) for thread_id in threads)))


async def _is_encrypted(documents: DocumentReads, thread_id: str) -> bool:
    """Whether the latest document of a thread is encrypted. Its metadata is `slipway:` and the value in base64."""
    latest = await documents.latest(thread_id, "")
    if latest is None:
        return False
    found = orjson.loads(await documents.metadata(latest))
    text = found[0].partition(":")[2] if found and isinstance(found[0], str) else ""
    try:
        return base64.b64decode(text[:4])[:1] == MARK
    except binascii.Error:
        return False
