"""A rotation of both checkpointers: every value is read with the new key alone."""

from __future__ import annotations

from langgraph.checkpoint.base import ChannelVersions

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.encryption_at_rest.rotation import Rotation
from slipway.progress import show_nothing
from slipway.redis.document_keys import DocumentNames
from slipway.redis.keys import Keys
from slipway.serialization.encryption import Encryption
from slipway.serialization.serde import Serde
from tests.checkpoints.conftest import (
    CheckpointerFactory,
    checkpointer_name,
    checkpointer_pipeline,
    config_of,
    documents_prefix,
    make_checkpointer,
    put,
)
from tests.encryption.conftest import NEW, OLD
from tests.shards import shards_of

__all__ = ["checkpointer_name", "checkpointer_pipeline", "make_checkpointer"]

LARGE = [f"a text that is compressed, number {number}" for number in range(300)]


async def test_checkpoints_are_rotated(make_checkpointer: CheckpointerFactory, keys: Keys) -> None:
    plain, old = make_checkpointer(), make_checkpointer(serde=Serde(encryption=Encryption([OLD])))
    values = {"a": "small", "b": LARGE}
    for thread, saver in (("p", plain), ("o", old)):
        first = await put(saver, thread, values, remark="kept")
        await saver.aput_writes(config_of(thread, first), [("a", LARGE)], "task", "path")
        later: ChannelVersions = {"a": "00000002", "b": "00000001"}
        await put(saver, thread, {"a": "later", "b": LARGE}, versions=later, parent=first)
    both, uncounted = Encryption([NEW, OLD]), await uncounted_bytes(plain, keys)
    names = DocumentNames(documents_prefix(keys))
    counts = await Rotation(plain.pipeline, shards_of(keys), names, both, values_per_s=1e9).run(show_nothing)
    assert (counts.left, counts.problems, counts.names) == (0, [], [both.first_name])
    new = make_checkpointer(serde=Serde(encryption=Encryption([NEW])))
    for thread in ("p", "o"):
        loaded = [each async for each in new.alist(config_of(thread))]
        assert [each.checkpoint["channel_values"]["a"] for each in loaded] == ["later", "small"]
        assert [each.checkpoint["channel_values"]["b"] for each in loaded] == [LARGE, LARGE]
        assert loaded[1].metadata.get("remark") == "kept"
        assert loaded[1].pending_writes == [("task", "a", LARGE)]
    assert await uncounted_bytes(plain, keys) == uncounted


async def uncounted_bytes(saver: BaseCheckpointer, keys: Keys) -> dict[str, int]:
    """By thread: the bytes that its budget counts beside those of fields, which a rotation does not change."""
    found: dict[str, int] = {}
    for thread in ("p", "o") if isinstance(saver, CoreCheckpointer) else ():
        stored = await saver.pipeline.send("HGETALL", keys.checkpoint_state(thread))
        fields = dict(zip(stored[::2], stored[1::2], strict=True))
        counted = int(fields.pop(b"n"))
        for name in await saver.pipeline.send("KEYS", keys.checkpoint_writes(thread, "*")):
            written = await saver.pipeline.send("HGETALL", name)
            fields |= dict(zip(written[::2], written[1::2], strict=True))
        found[thread] = counted - sum(len(name) + len(value) for name, value in fields.items())
    return found
