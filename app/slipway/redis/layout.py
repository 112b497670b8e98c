"""The layout version: which key names, fields and formats the data in Redis have.

`LAYOUT` is the version that this release reads and writes. A change of a key name, field or format that an older or
newer release would misread raises `LAYOUT` by one and adds an upgrade (`health/layout_upgrades.py`). A record in Redis
has two numbers: `version`, the layout of what is stored, and `required`, the layout that a process must have. An
upgrade first raises `required`, so that processes of older releases no longer start, then changes the records, then
raises `version`. If it is interrupted, the next start repeats it.

The record also has the number of shards, which never changes: with another number, no thread would be found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import structlog

from slipway.errors import ConfigError
from slipway.progress import ShowProgress, show_nothing
from slipway.redis.layout_scripts import LayoutScripts, StoredLayout
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.versions import version_of

log = structlog.get_logger(__name__)

LAYOUT: Final = 2
"""The layout version of this release."""

OLDEST: Final = 1
"""The oldest layout that this release can upgrade."""

UNRECORDED: Final = 0
"""The layout of data without a layout record: releases before the first recorded layout wrote them."""

Upgrade = Callable[[Pipeline, Shards, ShowProgress], Awaitable[None]]
"""Changes all records from one layout to the next. It may be repeated, and may run in two processes at once."""


NO_UPGRADES: Final[Mapping[int, Upgrade]] = MappingProxyType({})


class LayoutRecord:
    """Checks and changes the layout record of one deployment."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._pipeline, self._shards = pipeline, shards
        self._scripts = LayoutScripts(pipeline, shards.layout)

    async def read(self) -> StoredLayout:
        """One round trip; two if there is no layout record: then the indexes show whether there are data."""
        stored = await self._scripts.record()
        if stored.version is None and await self._scripts.has_data(self._shards):
            return replace(stored, version=UNRECORDED)
        return stored

    async def problem(self) -> str | None:
        """Why a process of this release must not use the data any more: a later release has upgraded them. One round
        trip."""
        return newer_layout_problem(await self._scripts.record())

    async def check(self, *, accept_older: bool = False, may_be_first: bool = False) -> None:
        """Raises `ConfigError` unless there are no data or they have the layout of this release, or with `accept_older`
        one that it can upgrade. With `may_be_first`, the layout of this release and the number of shards are stored
        if there are no data: processes with another number would not find what the caller is about to store."""
        stored = await self.read()
        if stored.version is None and may_be_first:
            stored = await self._raise(version=LAYOUT)
        _reject_newer(stored)
        self._reject_other_shards(stored)
        if stored.version is not None and stored.version < LAYOUT:
            self._reject_too_old(stored.version)
            if accept_older:
                return
            raise ConfigError(
                f"the data in Redis have layout {stored.version}, and this release has layout {LAYOUT}: run "
                "`slipway release`, which upgrades them, or the release that wrote them"
            )

    async def check_or_upgrade(
        self, upgrades: Mapping[int, Upgrade] = NO_UPGRADES, show: ShowProgress = show_nothing
    ) -> None:
        """Stores the layout of this release and the number of shards if there are no data, and upgrades data of an
        older layout. `upgrades` are found by the layout that they begin with. Raises `ConfigError` if the data have a
        newer layout, or another number of shards."""
        stored = await self.read()
        _reject_newer(stored)
        self._reject_other_shards(stored)
        if stored.version == LAYOUT:
            return
        if stored.version is not None:
            await self._upgrade(stored.version, upgrades, show)
        stored = await self._raise(version=LAYOUT)
        _reject_newer(stored)
        self._reject_other_shards(stored)

    def _reject_other_shards(self, stored: StoredLayout) -> None:
        count = self._shards.count
        if stored.version is None or stored.shards == count:
            return
        raise ConfigError(
            f"SLIPWAY_SHARDS is {count}, and the data in Redis under the key prefix {self._shards.prefix!r} were "
            f"stored with {stored.shards}: set SLIPWAY_SHARDS={stored.shards}, or use another key prefix"
        )

    def _reject_too_old(self, version: int) -> None:
        if version < OLDEST:
            raise ConfigError(
                f"the data in Redis under the key prefix {self._shards.prefix!r} have layout {version}, which this "
                f"release ({version_of('slipway')}) cannot upgrade: set SLIPWAY_KEY_PREFIX to another prefix, or use "
                "an empty database"
            )

    async def _upgrade(self, version: int, upgrades: Mapping[int, Upgrade], show: ShowProgress) -> None:
        self._reject_too_old(version)
        _reject_newer(await self._raise(version=None))
        for step in range(version, LAYOUT):
            log.info("layout.upgrade_started", from_layout=step, to_layout=step + 1)
            await upgrades[step](self._pipeline, self._shards, show)
        log.info("layout.upgraded", layout=LAYOUT)

    async def _raise(self, *, version: int | None) -> StoredLayout:
        return await self._scripts.raise_to(
            required=LAYOUT, version=version, release=version_of("slipway"), shards=self._shards.count
        )


def newer_layout_problem(stored: StoredLayout) -> str | None:
    """Why a process of this release must not use the data; None if it may."""
    needed = max(stored.required, stored.version or 0)
    if needed <= LAYOUT:
        return None
    return (
        f"the data in Redis have layout {needed}, and this release ({version_of('slipway')}) has layout {LAYOUT}: "
        f"run release {stored.release} or a later one"
    )


def _reject_newer(stored: StoredLayout) -> None:
    if (problem := newer_layout_problem(stored)) is not None:
        raise ConfigError(problem)
