"""A Redis hash as a dict, and the field names that records of several kinds share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

Fields = dict[str, bytes]
"""Field names and values of one hash."""

METADATA_PREFIX: Final = "m:"
"""The prefix of the fields of a record that hold one member of its metadata each."""

CONFIG_PREFIX: Final = "c:"
"""The prefix of the fields of a thread that hold one member of its config each."""


def prefixed(prefix: str, members: Mapping[str, str]) -> dict[str, str]:
    """The fields that hold these members, given as JSON texts."""
    return {prefix + name: text for name, text in members.items()}


def flat(fields: Mapping[str, str]) -> list[str]:
    """The fields as a list (name, value, name, value, …), which scripts write unchanged."""
    return [text for field in fields.items() for text in field]


def fields_of(flat: Sequence[bytes]) -> Fields:
    """The fields in a flat reply (name, value, name, value, …), which is how HGETALL and the scripts reply."""
    values = iter(flat)
    return {name.decode(): value for name, value in zip(values, values, strict=True)}
