"""Executes a deploy check of the project of these settings, over one connection, which only reads."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final

from slipway.checkpoints.factory import open_checkpointer, serde_of
from slipway.deploy_checks.check import CheckedVerdict, DeployCheck
from slipway.deploy_checks.new_versions import new_graphs
from slipway.deploy_checks.reads import DeployCheckReads
from slipway.deploy_checks.report import DeployReport
from slipway.deploy_checks.unknown_migrations import unknown_migrations
from slipway.graph_versions.reads import VersionReads
from slipway.graph_versions.record import KnownVersions
from slipway.graph_versions.scripts import VersionScripts
from slipway.graphs.interface import Graphs
from slipway.graphs.langgraph_json import read
from slipway.progress import ShowProgress, show_nothing
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.deployment_shards import shards_of
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.rollouts.scripts import RolloutScripts
from slipway.settings import Settings
from slipway.thread_moves.mover import migrations_of
from slipway.thread_moves.planning import MovePlanner
from slipway.thread_positions.reader import PositionReader

_WORK: Final = "threads checked"

Receive = Callable[[CheckedVerdict], None]

Connection = tuple[Pipeline, Shards]


async def run_check(
    settings: Settings,
    graphs: Graphs,
    *,
    allowed: Collection[str] = (),
    receive: Receive = lambda checked: None,
    show: ShowProgress = show_nothing,
    connection: Connection | None = None,
    most: int | None = None,
    within_s: float | None = None,
) -> tuple[DeployReport, DeployCheck]:
    """The report about all threads, and the check, which knows the structures that it has compared. `receive` gets
    each verdict. `allowed`: see `DeployReport`. Uses `connection`, or opens one. Stops after about `most` threads or
    `within_s` seconds; then the report is not complete. Raises `ConfigError` for migrations that cannot be loaded, and
    `StoreUnavailable`."""
    report, ends = DeployReport(allowed), None if within_s is None else time.monotonic() + within_s
    async with _connected(settings, connection) as open_connection:
        check, known = await _check_on(open_connection, settings, graphs)
        report.warnings = list(unknown_migrations(graphs, check.planner.migrations, known))
        total = report.total = await check.reads.number_of_threads()
        async for number, verdicts in check.pages():
            report.read += number
            for checked in verdicts:
                report.add(checked)
                receive(checked)
            show(_WORK, min(report.read, total), total)
            if (most is not None and report.read >= most) or (ends is not None and time.monotonic() > ends):
                report.complete = report.read >= total
                break
    return report, check


@asynccontextmanager
async def _connected(settings: Settings, connection: Connection | None) -> AsyncIterator[Connection]:
    if connection is not None:
        yield connection
        return
    pipeline = pipeline_to(Address(settings.redis), "slipway check-deploy", patience_s=settings.redis_patience_worker_s)
    await pipeline.open()
    try:
        yield pipeline, shards_of(settings)
    finally:
        await pipeline.close()


async def _check_on(connection: Connection, settings: Settings, graphs: Graphs) -> tuple[DeployCheck, KnownVersions]:
    pipeline, shards = connection
    migrations = await migrations_of(graphs)
    serde = serde_of(settings, read(settings.config).checkpointer.serde, graphs, preserve_unknown=True)
    checkpointer = await open_checkpointer(settings.checkpointer, settings, serde, pipeline, shards)
    versions = VersionReads(pipeline, shards.home)
    known = await VersionScripts(pipeline, shards).read()
    rollouts = await RolloutScripts(pipeline, shards).read_all()
    check = DeployCheck(
        graphs,
        await new_graphs(graphs, known, rollouts),
        DeployCheckReads(pipeline, shards),
        versions,
        PositionReader(checkpointer),
        MovePlanner(graphs, checkpointer, versions, migrations),
    )
    return check, known
