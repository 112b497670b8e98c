"""The layout version: which shapes of keys and records the store has.

`LAYOUT` is the version that this release reads and writes. Whoever changes a stored shape so that an older or newer
release would misread it raises `LAYOUT` by one and adds an entry to `UPGRADES`. The store has a record with two
numbers: `version`, the layout of what is stored, and `required`, the layout that a process must have. An upgrade first
raises `required`, so that processes of older releases no longer start, then changes the records, then raises
`version`. If it is interrupted, the next start repeats it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from slipway.errors import ConfigError
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.versions import version_of

log = structlog.get_logger(__name__)

LAYOUT: Final = 1
"""The layout version of this release."""

UNRECORDED: Final = 0
"""The layout of a store with data but without a layout record: releases before the first recorded layout wrote it."""

Upgrade = Callable[[Pipeline, Keys], Awaitable[None]]
"""Changes all records from one layout to the next. It may be repeated, and may run in two processes at once."""


UPGRADES: Final[Mapping[int, Upgrade]] = {}
"""By the layout that an upgrade begins with. Data of a layout that is not here cannot be upgraded."""

_RAISE: Final = load("layout_raise")
_FIELDS: Final = ("required", "version", "release")


@dataclass(frozen=True, slots=True)
class StoredLayout:
    """The layout record of a store. `version` is None while the store is empty."""

    required: int
    version: int | None
    release: str

    @classmethod
    def from_reply(cls, reply: Sequence[bytes | None]) -> StoredLayout:
        """Of the values of `required`, `version` and `release`."""
        required, version, release = reply
        return cls(int(required or 0), None if version is None else int(version), (release or b"").decode())

    def too_new(self) -> str | None:
        """Why a process of this release must not use the store; None if it may."""
        needed = max(self.required, self.version or 0)
        if needed <= LAYOUT:
            return None
        return (
            f"the data in Redis have layout {needed}, and this release ({version_of('slipway')}) has layout {LAYOUT}: "
            f"run release {self.release} or a later one"
        )


class LayoutRecord(ScriptStubs):
    """Reads and changes the layout record of one key prefix."""

    async def read(self) -> StoredLayout:
        """One round trip; two for a store without a layout record, whose indexes show whether it has data."""
        stored = await self._record()
        if stored.version is None and await self._has_data():
            return StoredLayout(stored.required, UNRECORDED, stored.release)
        return stored

    async def problem(self) -> str | None:
        """Why a process of this release must not use the store any more: a later release has upgraded it. One round
        trip."""
        return (await self._record()).too_new()

    async def _record(self) -> StoredLayout:
        return StoredLayout.from_reply(await self._pipeline.send("HMGET", self._keys.layout, *_FIELDS, repeatable=True))

    async def check(self) -> None:
        """Raises `ConfigError` unless the store is empty or has the layout of this release."""
        stored = await self.read()
        _reject_newer(stored)
        if stored.version is not None and stored.version < LAYOUT:
            self._reject_without_upgrade(stored.version)
            raise ConfigError(
                f"the data in Redis have layout {stored.version}, and this release has layout {LAYOUT}: run "
                "`slipway release`, which upgrades them, or the release that wrote them"
            )

    async def check_or_upgrade(self) -> None:
        """Gives an empty store the layout of this release, and upgrades an older store to it. Raises `ConfigError` if
        the store has a newer layout."""
        stored = await self.read()
        _reject_newer(stored)
        if stored.version == LAYOUT:
            return
        if stored.version is not None:
            await self._upgrade(stored.version)
        _reject_newer(await self._raise(version=LAYOUT))

    def _reject_without_upgrade(self, version: int) -> None:
        if missing := [step for step in range(version, LAYOUT) if step not in UPGRADES]:
            raise ConfigError(
                f"the data in Redis under the key prefix {self._keys.prefix!r} have layout {missing[0]}, which this "
                f"release ({version_of('slipway')}) cannot upgrade: set SLIPWAY_KEY_PREFIX to another prefix, or use "
                "an empty database"
            )

    async def _upgrade(self, version: int) -> None:
        self._reject_without_upgrade(version)
        _reject_newer(await self._raise(version=None))
        for step in range(version, LAYOUT):
            log.info("layout.upgrade_started", from_layout=step, to_layout=step + 1)
            await UPGRADES[step](self._pipeline, self._keys)
        log.info("layout.upgraded", layout=LAYOUT)

    async def _raise(self, *, version: int | None) -> StoredLayout:
        arguments = self._args(required=LAYOUT, version=version, release=version_of("slipway"))
        return StoredLayout.from_reply(await self._pipeline.run(_RAISE, [], arguments))

    async def _has_data(self) -> bool:
        keys = self._keys
        indexes = (keys.threads, keys.assistants, keys.crons, keys.store_namespaces)
        found = await asyncio.gather(*(self._pipeline.send("EXISTS", index, repeatable=True) for index in indexes))
        return any(found)


def _reject_newer(stored: StoredLayout) -> None:
    if (problem := stored.too_new()) is not None:
        raise ConfigError(problem)
