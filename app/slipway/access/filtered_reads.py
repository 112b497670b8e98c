"""Reads only the metadata members of a stored record that an access filter checks.

Each member of a record's metadata is a field of its own (`m:<name>`). So the check costs the same for a small record, a
large record and a record that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from slipway.access.filters import AccessFilter
from slipway.redis.hash_fields import METADATA_PREFIX
from slipway.redis.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class FilteredFields:
    """`plain` has the values of the fields that the caller named. `members` maps each metadata member that the filter
    checks to its stored JSON, or to None when the record does not have it."""

    plain: tuple[bytes | None, ...]
    members: Mapping[str, bytes | None]

    @property
    def metadata(self) -> dict[str, Any]:
        """The parsed members that the record has."""
        return {name: orjson.loads(text) for name, text in self.members.items() if text is not None}


@dataclass(frozen=True, slots=True)
class FilteredMetadata:
    """The metadata members of a record that an access filter checks. They are not `up_to_date` if an earlier release,
    which did not store them as fields, changed the record last."""

    metadata: dict[str, Any]
    up_to_date: bool


def members_of(access_filter: AccessFilter) -> list[str]:
    """The metadata members that the filter checks, sorted."""
    return sorted(access_filter.member_names())


async def read_filtered(pipeline: Pipeline, key: str, access_filter: AccessFilter, *plain: str) -> FilteredFields:
    """Reads the fields `plain` of the record at `key` and the members that the filter checks. One round trip."""
    names = members_of(access_filter)
    values = await pipeline.send("HMGET", key, *plain, *(METADATA_PREFIX + name for name in names), repeatable=True)
    return filtered_fields(values, len(plain), names)


async def read_members(pipeline: Pipeline, key: str, access_filter: AccessFilter) -> FilteredMetadata | None:
    """Reads the members that the filter checks, of the record of a cron or an assistant at `key`. None if it does not
    exist. One round trip."""
    stored = await read_filtered(pipeline, key, access_filter, "updated_us", "members_of_us")
    updated_us, members_of_us = stored.plain
    return None if updated_us is None else FilteredMetadata(stored.metadata, updated_us == members_of_us)


def filtered_fields(values: Sequence[bytes | None], plain_count: int, names: Sequence[str]) -> FilteredFields:
    """Splits a reply that has `plain_count` fields, and then the metadata members `names`."""
    return FilteredFields(tuple(values[:plain_count]), dict(zip(names, values[plain_count:], strict=True)))
