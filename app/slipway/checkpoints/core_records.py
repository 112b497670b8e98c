"""The stored form of one checkpoint and of its pending writes, for the core checkpointer.

Scripts read the head of a record: the checkpoint's values, its parent, its run. Only Python reads the body. The body
omits everything that is in the head or in the record's key, so that a superstep stores few bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import ormsgpack
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, PendingWrite, writes_sort_key

from slipway.checkpoints.base_checkpointer import StoredWrite
from slipway.checkpoints.similar_values import SimilarValues, dictionary_of
from slipway.checkpoints.stored_form import StoredForm
from slipway.errors import StateRefused, StoredDataError
from slipway.redis.checkpoint_keys import DICTIONARY_FIELD
from slipway.serialization.turns import let_others_continue

LARGE_STORED_BYTES: Final = 4 * 1024
"""Stored bytes, which are often compressed to a tenth, from which decoding may take milliseconds."""

_DICTIONARY: Final = DICTIONARY_FIELD.encode()
_HEAD_LENGTH_BYTES: Final = 4
_OUTSIDE_BODY: Final = frozenset({"id", "channel_values", "channel_versions"})
_DELTAS: Final = "counters_since_delta_snapshot"
_PULL, _PUSH = "~__pregel_pull, ", "~__pregel_push, "
"""The prefixes of nearly all task paths. Each is stored as one control character."""


def pack_record(
    checkpoint: Checkpoint, parent_id: str, metadata: dict[str, Any], form: StoredForm
) -> tuple[bytes, str]:
    """The record of a checkpoint without its channel values, and the id of its run ("" for none)."""
    versions: list[Any] = []
    for pair in checkpoint["channel_versions"].items():
        versions += pair
    body_metadata, run_id = metadata, metadata.get("run_id")
    if isinstance(run_id, str):
        body_metadata = metadata.copy()
        del body_metadata["run_id"]
    else:
        run_id = ""
    try:
        head = ormsgpack.packb([versions, parent_id, run_id, list(metadata.get(_DELTAS) or ())])
    except TypeError as error:
        raise StateRefused(f"a channel's name or version, or the run's id, cannot be stored: {error}") from error
    body = {name: value for name, value in checkpoint.items() if name not in _OUTSIDE_BODY}
    return len(head).to_bytes(_HEAD_LENGTH_BYTES) + head + form.seal_record(form.encode([body, body_metadata])), run_id


def deltas_of(data: bytes) -> list[str]:
    """The channels of a record that may have to be rebuilt from its ancestors."""
    body_at = _HEAD_LENGTH_BYTES + int.from_bytes(data[:_HEAD_LENGTH_BYTES])
    return list(ormsgpack.unpackb(data[_HEAD_LENGTH_BYTES:body_at])[3])


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A stored checkpoint without its channel values."""

    versions: list[Any]
    parent_id: str
    rest: dict[str, Any]
    metadata: CheckpointMetadata

    @classmethod
    def unpack(cls, data: bytes, form: StoredForm) -> CheckpointRecord:
        """Raises `StoredDataError` when the record is damaged."""
        body_at = _HEAD_LENGTH_BYTES + int.from_bytes(data[:_HEAD_LENGTH_BYTES])
        try:
            versions, parent_id, run_id, _ = ormsgpack.unpackb(data[_HEAD_LENGTH_BYTES:body_at])
            rest, metadata = form.loads(data[body_at:])
            if not (isinstance(versions, list) and isinstance(rest, dict) and isinstance(metadata, dict)):
                raise TypeError("it has other parts")
        except (ValueError, TypeError) as error:
            raise StoredDataError(f"the record of a checkpoint is damaged: {error}") from error
        if run_id:
            metadata["run_id"] = run_id
        return cls(versions, parent_id, rest, cast("CheckpointMetadata", metadata))

    async def checkpoint(self, checkpoint_id: str, blobs: Iterable[bytes | None], form: StoredForm) -> Checkpoint:
        """The complete checkpoint. `blobs` are the stored values in the order of `versions`. The event loop continues
        while a large one is decoded."""
        channels, values = self.versions[::2], dict[str, Any]()
        for channel, blob in zip(channels, blobs, strict=True):
            if blob is not None:
                values[channel] = form.loads(blob) if len(blob) < LARGE_STORED_BYTES else await _loaded(blob, form)
        checkpoint: dict[str, Any] = {
            **self.rest,
            "id": checkpoint_id,
            "channel_versions": dict(zip(channels, self.versions[1::2], strict=True)),
            "channel_values": values,
        }
        return checkpoint  # type: ignore[return-value]


def pack_write(channel: str, task_path: str, value: bytes) -> bytes:
    """`value` is in its stored form already."""
    return ormsgpack.packb((channel, _short(task_path), value))


def joined_writes(
    writes: Iterable[tuple[StoredWrite, bytes]], form: StoredForm, similar: SimilarValues
) -> tuple[bytes, bytes]:
    """The writes of a superstep that has ended, each with its encoded value, as one value, and the packed names of the
    values that are its dictionary."""
    joined = [[each.task_id, each.position, each.channel, _short(each.task_path), encoded] for each, encoded in writes]
    return form.seal_similar(form.encode(joined), similar.dictionary), similar.packed_fields()


def _short(task_path: str) -> str:
    """A usual prefix of the task path is stored as one byte."""
    if task_path.startswith(_PULL):
        return f"\1{task_path[len(_PULL) :]}"
    if task_path.startswith(_PUSH):
        return f"\2{task_path[len(_PUSH) :]}"
    return task_path


def complete_path(path: str) -> str:
    """The task path of a stored write."""
    if path[:1] == "\1":
        return _PULL + path[1:]
    return _PUSH + path[1:] if path[:1] == "\2" else path


async def _loaded(stored: bytes, form: StoredForm) -> Any:
    """A value that may be large."""
    value = await form.loads_in_turns(stored)
    await let_others_continue()
    return value


async def stored_writes(fields: list[bytes], similar: Sequence[bytes | None], form: StoredForm) -> list[StoredWrite]:
    """The writes of a checkpoint, in the order in which LangGraph applies them. `similar` are the stored values that
    are the dictionary of the joined ones. The event loop continues while a large write is decoded."""
    writes: dict[tuple[str, int], StoredWrite] = {}
    try:
        for name, data in zip(fields[::2], fields[1::2], strict=True):
            if b"\0" not in name and name != _DICTIONARY:
                for task_id, position, channel, path, value in form.loads(data, dictionary_of(similar, form)):
                    writes[task_id, position] = StoredWrite(task_id, complete_path(path), position, channel, value)
        for name, data in zip(fields[::2], fields[1::2], strict=True):
            task_id, separator, index = name.decode().rpartition("\0")
            position = int(index) if separator else 0
            # a write that was repeated after the writes of its superstep were joined replaces nothing
            if separator and (position < 0 or (task_id, position) not in writes):
                channel, path, value = ormsgpack.unpackb(data)
                writes[task_id, position] = StoredWrite(task_id, complete_path(path), position, channel, value)
    except (ValueError, TypeError) as error:
        raise StoredDataError(f"a pending write is damaged: {error}") from error
    ordered = sorted(writes.values(), key=lambda write: writes_sort_key(write.task_path, write.task_id, write.position))
    loaded = []
    for write in ordered:
        is_large = len(write.value) >= LARGE_STORED_BYTES
        value = await _loaded(write.value, form) if is_large else form.loads(write.value)
        loaded.append(write._replace(value=value))
    return loaded


async def pending_writes(fields: list[bytes], similar: Sequence[bytes | None], form: StoredForm) -> list[PendingWrite]:
    """The same writes in LangGraph's form."""
    return [(write.task_id, write.channel, write.value) for write in await stored_writes(fields, similar, form)]
