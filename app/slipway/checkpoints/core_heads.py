"""What a checkpoint of the core checkpointer says about where its thread is, from a reply without large values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from langgraph.checkpoint.base import writes_sort_key
from langgraph.checkpoint.serde.types import TASKS

from slipway.checkpoints.checkpoint_head import CheckpointHead, HeadWrite, is_own
from slipway.checkpoints.core_records import CheckpointRecord, complete_path, deltas_of
from slipway.checkpoints.scripts import PositionRow
from slipway.checkpoints.stored_form import StoredForm

_BRANCH: Final = "branch:"


def head_of_row(row: PositionRow, form: StoredForm, empty: frozenset[bytes]) -> CheckpointHead:
    """`empty` are the `empty_values` of the form. Raises `StoredDataError` when the record is damaged."""
    record = CheckpointRecord.unpack(row.record, form)
    channels = record.versions[::2]
    stored = {name: value for name, value in zip(channels, row.values, strict=True) if value is not None}
    return CheckpointHead(
        row.checkpoint_id,
        int(record.metadata.get("step", -1)),
        dict(zip(channels, record.versions[1::2], strict=True)),
        record.rest["versions_seen"],
        frozenset(stored).union(deltas_of(row.record)),
        frozenset(name for name, value in stored.items() if isinstance(value, bytes) and form.unsealed(value) in empty),
        {
            name: form.loads(value)
            for name, value in stored.items()
            if isinstance(value, bytes) and is_own(name) and not name.startswith(_BRANCH)
        },
        [write for _, write in sorted(_writes(row.writes, form), key=lambda each: each[0])],
    )


def empty_values(form: StoredForm) -> frozenset[bytes]:
    """The encoded forms of all values that say nothing."""
    values: Sequence[Any] = (None, "", b"", [], (), {}, set(), frozenset())
    return frozenset(form.encode(value) for value in values)


def _writes(flat: Sequence[bytes], form: StoredForm) -> Iterator[tuple[tuple[str, str, int], HeadWrite]]:
    """The writes with the keys of their order."""
    for field, channel, path, value in zip(*(iter(flat),) * 4, strict=True):
        task_id, _, position = field.decode().rpartition("\0")
        name, task_path = channel.decode(), complete_path(path.decode())
        sent = form.loads(value) if name == TASKS else None
        yield writes_sort_key(task_path, task_id, int(position)), HeadWrite(task_id, task_path, name, sent)
