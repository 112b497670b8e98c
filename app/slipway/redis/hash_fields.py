"""A Redis hash as a dict."""

from __future__ import annotations

from collections.abc import Sequence

Fields = dict[str, bytes]
"""Field names and values of one hash."""


def fields_of(flat: Sequence[bytes]) -> Fields:
    """The fields in a flat reply (name, value, name, value, …), which is how HGETALL and the scripts reply."""
    values = iter(flat)
    return {name.decode(): value for name, value in zip(values, values, strict=True)}
