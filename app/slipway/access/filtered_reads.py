"""Reads the part of a stored record that a filter looks at, and nothing else.

Each member of a record's metadata is a field of its own (`m:<name>`), so whether a caller may have the record is found
out at the same cost for a small record, for a large one, and for one that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from slipway.access.filters import AccessFilter
from slipway.redis.pipeline import Pipeline

MEMBER: Final = "m:"
"""What is in front of a member's name in its field."""


@dataclass(frozen=True, slots=True)
class FilteredFields:
    """`plain` are the values of the fields that were read beside the metadata; `members` has the stored JSON of each
    member that the filter names, None for one that the record does not have."""

    plain: tuple[bytes | None, ...]
    members: Mapping[str, bytes | None]

    @property
    def metadata(self) -> dict[str, Any]:
        """The members that the record has, parsed."""
        return {name: orjson.loads(text) for name, text in self.members.items() if text is not None}


def members_of(only: AccessFilter) -> list[str]:
    """The members of the metadata that `only` looks at, in a fixed order."""
    return sorted(only.member_names())


async def read_filtered(pipeline: Pipeline, key: str, only: AccessFilter, *plain: str) -> FilteredFields:
    """The fields `plain` of the record at `key`, and the members that `only` looks at; one round trip."""
    names = members_of(only)
    held = await pipeline.send("HMGET", key, *plain, *(MEMBER + name for name in names), repeatable=True)
    return filtered_fields(held, len(plain), names)


def filtered_fields(held: list[bytes | None], plain: int, names: list[str]) -> FilteredFields:
    """A reply that begins with `plain` other fields, followed by the members `names`."""
    return FilteredFields(tuple(held[:plain]), dict(zip(names, held[plain:], strict=True)))
