"""Workers of certain versions, as scripts see them: what each serves, and its entry among the live workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ormsgpack

from slipway.graph_versions.scripts import VersionScripts
from slipway.graphs.served_version import ServedVersion
from slipway.runs.record import Run, run_from
from tests.runs.conftest import LEASE_MS, Stores
from tests.waiting import wait_until

GRAPH = "steps"


@dataclass(frozen=True, slots=True)
class VersionedWorker:
    """A worker that serves versions of the graph `steps`."""

    stores: Stores
    name: str
    serves: bytes
    group: str
    messages: list[bytes | None]

    async def claim(self, limit: int = 100) -> list[Run]:
        """The runs that it claims now."""
        claimed = await self.stores.queues[0].run_claim(
            self.name, limit, LEASE_MS, serves=self.serves, group=self.group
        )
        return [run_from(fields) for fields in claimed.runs]

    async def wait_ms(self) -> float | None:
        """In how many ms its next claim finds a job, as a claim says that finds nothing."""
        claimed = await self.stores.queues[0].run_claim(self.name, 100, LEASE_MS, serves=self.serves, group=self.group)
        assert claimed.runs == []
        return claimed.due_in_ms

    async def leave(self) -> None:
        """The worker claims nothing more."""
        await self.stores.queues[0].renew_leases([], lease_ms=LEASE_MS, stops_as=f"{self.group} {self.name}")

    async def wakes(self) -> int:
        """How often it was woken since it was asked last."""
        await self.stores.pipeline.send("PUBLISH", self.stores.shards.home.control(self.name), "end")
        await wait_until(lambda: b"end" in self.messages)
        wakes = [each for each in self.messages if each in (b"wake", b"wake last")]
        self.messages.clear()
        return len(wakes)


async def worker_of(
    stores: Stores,
    *names: str,
    schema: str | dict[str, str] = "",
    declared: bool = True,
    at_resume: bool = False,
    default: str | None = None,
    current: str | None = None,
    ramping: str | None = None,
    graph_id: str = GRAPH,
) -> VersionedWorker:
    """Registers a live worker that serves these versions, the oldest first; the last is the default. `schema` is that
    of all, or by name."""
    schemas = schema if isinstance(schema, dict) else dict.fromkeys(names, schema)
    versions = [ServedVersion(graph_id, name, schemas[name], f"build-{name}", declared) for name in names]
    members: dict[str, Any] = {
        "versions": {version.name: (version.schema, version.build) for version in versions},
        "default": default or names[-1],
    }
    members |= {"at_resume": True} if at_resume else {}
    members |= {"current": current} if current else {}
    members |= {"ramping": ramping} if ramping else {}
    group, serves = "-".join([graph_id, *names]), ormsgpack.packb({graph_id: members})
    messages: list[bytes | None] = []
    worker = VersionedWorker(stores, f"host:1:{group}", serves, group, messages)
    await stores.subscriber.subscribe(stores.shards.home.control(worker.name), messages.append)
    await VersionScripts(stores.pipeline, stores.shards).register(versions, serves=serves, group=group)
    await stores.queues[0].renew_leases([], lease_ms=LEASE_MS, claims_as=f"{group} {worker.name}")
    return worker
