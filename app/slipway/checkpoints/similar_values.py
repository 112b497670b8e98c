"""The values that a superstep has produced, as the dictionary with which its joined writes are compressed.

A reducer has put what the tasks wrote into the channels of the next checkpoint, so the writes consist of parts of its
values. Compressed with these as the dictionary, they need a tenth of the bytes. The values stay stored as long as the
writes do: what deletes checkpoints treats them as used (`checkpoint_prune.lua`, `core_retention.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import ormsgpack

from slipway.checkpoints.stored_form import StoredForm
from slipway.redis.checkpoint_keys import blob_field

_FROM_BYTES: Final = 128
"""The smallest value that is worth a name in a dictionary."""
_MOST_BYTES: Final = 256 * 1024
"""The largest dictionary. The compression reads all of it."""


@dataclass(frozen=True, slots=True)
class SimilarValues:
    """`fields` name values in the state of the thread. `dictionary` are their encoded bytes, in this order."""

    fields: tuple[str, ...] = ()
    dictionary: bytes = b""

    @classmethod
    def among(cls, namespace: str, values: Iterable[tuple[str, str | int | float, bytes]]) -> Self:
        """Those of the channel values that a dictionary has room for. Each is a channel, a version and encoded
        bytes."""
        fields, parts, size = [], [], 0
        for channel, version, encoded in values:
            if len(encoded) >= _FROM_BYTES and size + len(encoded) <= _MOST_BYTES:
                fields.append(blob_field(namespace, channel, version))
                parts.append(encoded)
                size += len(encoded)
        return cls(tuple(fields), b"".join(parts))

    def packed_fields(self) -> bytes:
        """The names as scripts read them, empty without any."""
        return ormsgpack.packb(self.fields) if self.fields else b""


def unpacked_fields(packed: bytes) -> list[str]:
    """The names of the values, as `packed_fields` returns them."""
    return list(ormsgpack.unpackb(packed)) if packed else []


def dictionary_of(stored: Sequence[bytes | None], form: StoredForm) -> bytes:
    """The dictionary of these stored values."""
    return b"".join(form.unsealed(value) for value in stored if value is not None)
