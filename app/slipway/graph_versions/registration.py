"""Registers the versions that a process serves, when it starts and whenever they change."""

from __future__ import annotations

import asyncio

import structlog

from slipway.graph_versions.scripts import VersionScripts
from slipway.graph_versions.served_graphs import ServedGraphs
from slipway.graphs.interface import Graphs
from slipway.graphs.structure import GraphStructure
from slipway.serialization.compression import compressed
from slipway.serialization.json_encoding import dumps

log = structlog.get_logger(__name__)


class VersionRegistration:
    """Registers the versions of this process. `is_worker`: it claims runs, so others learn what it serves."""

    def __init__(self, scripts: VersionScripts, graphs: Graphs, served: ServedGraphs, *, is_worker: bool) -> None:
        self._scripts, self._graphs, self.served, self._is_worker = scripts, graphs, served, is_worker

    async def register(self) -> int:
        """Registers the versions with their builds and structures. Returns how many of the versions no other live
        worker serves with this code: then runs that are held may be executable now. 0 if this process claims no runs.
        Raises `StoreUnavailable`."""
        self.served.refresh()
        builds: dict[str, bytes] = {}
        structures: dict[str, bytes] = {}
        for version in self.served.versions():
            builds[version.build] = dumps(self._graphs.build(version.graph_id, version.name).to_json())
            structure = await self._graphs.structure(version.graph_id, version.name)
            if structure is not None:
                structures[version.schema] = await asyncio.to_thread(_stored, structure)
        newly_served = await self._scripts.register(
            self.served.versions(), serves=self._serves, group=self._group, builds=builds, structures=structures
        )
        versions = [str(each) for each in self.served.versions()]
        log.info("versions.registered", versions=versions, newly_served=newly_served)
        return newly_served

    async def renew(self) -> None:
        """Registers the versions again: another process may have forgotten a worker that was suspended for long, and an
        undeclared version becomes the newest when no live worker serves a newer one."""
        await self._scripts.register(self.served.versions(), serves=self._serves, group=self._group)

    @property
    def _serves(self) -> bytes:
        return self.served.packed if self._is_worker else b""

    @property
    def _group(self) -> str | None:
        return self.served.group if self._is_worker else None


def _stored(structure: GraphStructure) -> bytes:
    return compressed(dumps(structure.to_json()))
