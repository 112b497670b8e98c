"""A Redis hash as a dict, and the field names that records of several kinds share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Fields = dict[str, bytes]
"""Field names and values of one hash."""

METADATA_PREFIX: Final = "m:"
"""The prefix of the fields of a record that hold one member of its metadata each."""


def fields_of(flat: Sequence[bytes]) -> Fields:
    """The fields in a flat reply (name, value, name, value, …), which is how HGETALL and the scripts reply."""
    values = iter(flat)
    return {name.decode(): value for name, value in zip(values, values, strict=True)}
