"""Encodes and decodes one checkpoint, or one pending write, as a document of `langgraph-checkpoint-redis`.

The layout is that package's. The values are Slipway's: each is encoded by `Serde`, then base64. The type of the
checkpoint or write, and a prefix of the metadata, mark this encoding; user data is never stored in either of them.
`ForeignValues` reads values that the package wrote.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, writes_sort_key

from slipway.checkpoints.base_checkpointer import StoredWrite
from slipway.checkpoints.channel_values import dumped
from slipway.checkpoints.langgraph_redis.foreign_values import ForeignValues
from slipway.errors import StateRefused, StoredDataError
from slipway.redis.document_keys import ROOT
from slipway.serialization.serde import TYPE, Serde

_METADATA: Final = f"{TYPE}:"
"""The prefix of metadata that Slipway wrote. The package stores a JSON object."""

_DELTAS: Final = "counters_since_delta_snapshot"


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A decoded document. `parent_id` is empty if the checkpoint has no parent."""

    thread_id: str
    namespace: str
    checkpoint_id: str
    parent_id: str
    checkpoint: Checkpoint
    metadata: CheckpointMetadata


class Documents:
    """Encodes with `serde`, and decodes what `serde` or the package has encoded."""

    def __init__(self, serde: Serde) -> None:
        self._serde, self._foreign = serde, ForeignValues(serde)

    def pack(
        self, thread_id: str, namespace: str, parent_id: str, checkpoint: Checkpoint, metadata: dict[str, Any]
    ) -> bytes:
        """Encodes a checkpoint with its channel values. Raises `StateRefused` for a value that cannot be stored."""
        body = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        run_id, source, step = metadata.get("run_id"), metadata.get("source"), metadata.get("step")
        document = {
            **self._key_fields(thread_id, namespace, checkpoint["id"]),
            "run_id": run_id if isinstance(run_id, str) else "",
            "parent_checkpoint_id": parent_id,
            "has_writes": True,  # possibly: set here, so that storing a write does not change this document
            "metadata": _METADATA + self._text(metadata),
            "checkpoint": {
                "type": TYPE,
                "v": checkpoint["v"],
                "id": checkpoint["id"],
                "body": self._text(body),
                "channel_values": {
                    channel: dumped(self._text, channel, value)
                    for channel, value in checkpoint["channel_values"].items()
                },
                "pending_sends": [],
            },
        }
        # the index skips a document in which a field has another type than the schema's
        if isinstance(source, str):
            document["source"] = source
        if type(step) is int:
            document["step"] = step
        if (created_ms := _milliseconds(checkpoint["ts"])) is not None:
            document["checkpoint_ts"] = created_ms
        return _json(document)

    def pack_write(self, thread_id: str, namespace: str, checkpoint_id: str, write: StoredWrite) -> bytes:
        return _json(
            {
                **self._key_fields(thread_id, namespace, checkpoint_id),
                "task_id": write.task_id,
                "task_path": write.task_path,
                "idx": write.position,
                "channel": write.channel,
                "type": TYPE,
                "blob": dumped(self._text, write.channel, write.value, write.task_path),
            }
        )

    @staticmethod
    def _key_fields(thread_id: str, namespace: str, checkpoint_id: str) -> dict[str, Any]:
        return {"thread_id": thread_id, "checkpoint_ns": namespace or ROOT, "checkpoint_id": checkpoint_id}

    def unpack(self, data: bytes) -> StoredCheckpoint | None:
        """Decodes a document. Returns None if it contains no checkpoint: the package creates such a document when it
        stores writes before their checkpoint. Raises `StoredDataError` when it is damaged."""
        try:
            document = orjson.loads(data)
            checkpoint = document.get("checkpoint")
            if not isinstance(checkpoint, dict):
                return None
            namespace = document["checkpoint_ns"]
            return StoredCheckpoint(
                _require_text(document["thread_id"]),
                "" if namespace == ROOT else _require_text(namespace),
                _require_text(document["checkpoint_id"]),
                _require_text(document["parent_checkpoint_id"]),
                self._checkpoint(checkpoint),
                self.metadata(document["metadata"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoredDataError(f"the document of a checkpoint is damaged: {error!r}") from error

    def _checkpoint(self, members: dict[str, Any]) -> Checkpoint:
        stored = members.get("channel_values") or {}
        if members.get("type") == TYPE:
            body = self._value(members["body"])
            values = {channel: self._value(text) for channel, text in stored.items()}
        else:
            body = {name: value for name, value in members.items() if name not in ("type", "pending_sends")}
            values = self._foreign.revive(stored)
        checkpoint: Checkpoint = body | {"channel_values": values}
        return checkpoint

    def metadata(self, stored: Any) -> CheckpointMetadata:
        if isinstance(stored, str) and stored.startswith(_METADATA):
            found = self._value(stored[len(_METADATA) :])
        else:
            found = self._foreign.revive(orjson.loads(stored) if isinstance(stored, str) else stored)
        metadata: CheckpointMetadata = _require_object(found)
        return metadata

    def deltas(self, metadata: CheckpointMetadata) -> set[str]:
        """The channels whose value may have to be rebuilt from the checkpoint's ancestors."""
        return set(metadata.get(_DELTAS) or ())

    def unpack_writes(self, writes: Iterable[bytes]) -> list[StoredWrite]:
        """A checkpoint's writes, in the order in which live execution applies them."""
        decoded: list[tuple[tuple[str, str, int], str, Any]] = []
        try:
            for write in map(orjson.loads, writes):
                key = writes_sort_key(write.get("task_path", ""), write["task_id"], int(write["idx"]))
                data = base64.b64decode(write["blob"])
                value = self._serde.loads(data) if write["type"] == TYPE else self._foreign.load(write["type"], data)
                decoded.append((key, write["channel"], value))
        except (KeyError, TypeError, ValueError) as error:
            raise StoredDataError(f"a pending write is damaged: {error!r}") from error
        decoded.sort(key=lambda write: write[0])
        return [StoredWrite(key[1], key[0], key[2], channel, value) for key, channel, value in decoded]

    def _text(self, value: Any) -> str:
        return base64.b64encode(self._serde.dumps(value)).decode()

    def _value(self, text: str) -> Any:
        try:
            return self._serde.loads(base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise StoredDataError(f"a stored value is damaged: {error}") from error


def sizes(document: bytes, writes: Sequence[bytes]) -> tuple[int, int, dict[str, int]]:
    """Bytes of a checkpoint without its values, of its writes, and of each channel's value."""
    values = (orjson.loads(document).get("checkpoint") or {}).get("channel_values") or {}
    channels = {channel: len(orjson.dumps(channel)) + 1 + len(orjson.dumps(value)) for channel, value in values.items()}
    return len(document) - sum(channels.values()), sum(map(len, writes)), channels


def _require_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def _require_object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} instead of an object")
    return value


def _milliseconds(moment: Any) -> int | None:
    try:
        return int(dt.datetime.fromisoformat(moment).timestamp() * 1000)
    except (TypeError, ValueError):
        return None


def _json(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise StateRefused(f"the name of a channel or of a task cannot be stored: {error}") from error
