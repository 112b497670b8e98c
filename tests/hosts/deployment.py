"""A deployment on hosts: Valkey, web processes and workers, each on a host of its own, some with wrong clocks."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slipway.environment_variables import variable_of
from tests.crash.cluster import CONFIG, Cluster, Process
from tests.hosts.clocks import clock_env
from tests.hosts.network import Host, Network

AHEAD_S: Final = 300
"""The clocks of hosts are this many seconds ahead of the clock of Redis, or behind it."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A host, and how many seconds its clock is ahead."""

    host: Host
    ahead_s: int = 0

    @property
    def enter(self) -> tuple[str, ...]:
        return self.host.enter

    @property
    def env(self) -> Mapping[str, str]:
        return clock_env(self.ahead_s)

    @property
    def client_address(self) -> str:
        return self.host.address("public")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The processes of a deployment, and the host of each."""

    cluster: Cluster
    valkey: Host
    webs: Mapping[Process, Host]
    workers: Mapping[Process, Host]


@asynccontextmanager
async def running(
    *, webs: Sequence[int], workers: Sequence[int], project: Path = CONFIG, **settings: Any
) -> AsyncIterator[Deployment]:
    """A deployment whose processes are ready. `webs` and `workers` have an entry for each host: how many seconds its
    clock is ahead. Call it in `in_own_namespace`."""
    network, folder = Network(), Path(tempfile.mkdtemp(prefix="slipway-hosts-"))
    valkey = await network.add_host()
    variables = {variable_of(name): str(value) for name, value in {"require_keys": "0", **settings}.items()}
    cluster = Cluster(folder, variables, project, valkey_place=Machine(valkey), valkey_address=valkey.address())
    try:
        web_hosts = [Machine(await network.add_host(is_public=True), ahead_s) for ahead_s in webs]
        worker_hosts = [Machine(await network.add_host(), ahead_s) for ahead_s in workers]
        await cluster.start_valkey()
        await cluster.pipeline.open()
        on_webs: dict[Process, Host] = {cluster.add_web(place=machine): machine.host for machine in web_hosts}
        on_workers = {cluster.add_worker(place=machine): machine.host for machine in worker_hosts}
        await cluster.start_stopped_processes()
        yield Deployment(cluster, valkey, on_webs, on_workers)
    finally:
        await cluster.close()
        await asyncio.to_thread(network.close)
        shutil.rmtree(folder, ignore_errors=True)
