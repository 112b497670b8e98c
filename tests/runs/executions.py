"""Executes runs as a worker does. The worker may crash after any write group."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from slipway.budget_counts.store import BudgetStore
from slipway.budgets import Budgets
from slipway.errors import StoreUnavailable
from slipway.execution.execution import Execution
from slipway.graphs.metering_sections import BudgetsSection
from slipway.graphs.registry import Registry
from slipway.metering.meter import MeterConfig
from slipway.metering.scripts import MeterScripts
from slipway.model_prices import ModelPrice, PriceTable
from slipway.redis.redis_commands import RedisCommand
from slipway.runs.attempt_writer import DEFAULT_LIMITS, AttemptWriter, SendLimits
from slipway.runs.record import Run
from slipway.runs.script_results import SettleResult
from slipway.runs.scripts import RunScripts
from slipway.settings import Settings
from slipway.tracing.stored_form import NO_SPANS, SpanPart
from tests.runs.conftest import TTL_S, Stores

DURABILITIES: Final = ("async", "sync", "exit")

UNLIMITED: Final = 10**6
"""More write groups than any run of these tests sends."""


class CrashingScripts(RunScripts):
    """The scripts of a worker that crashes: after `groups` write groups, no further write reaches Redis."""

    def __init__(self, stores: Stores, groups: int = UNLIMITED) -> None:
        super().__init__(stores.pipeline, stores.shards)
        self._remaining_groups = groups
        self.crashed = False

    def crash(self) -> None:
        """No further write reaches Redis."""
        self._remaining_groups = 0

    def run_apply(
        self,
        run_id: str,
        incarnation: str,
        attempt: int,
        seq: int,
        entries: Sequence[tuple[str, bytes]],
        commands: Sequence[RedisCommand],
        usage: str = "",
        spans: SpanPart = NO_SPANS,
        counts: bytes = b"",
    ) -> asyncio.Future[Any]:
        if self._remaining_groups == 0:
            self.crashed = True
            reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            reply.set_exception(StoreUnavailable("the worker of this test crashed"))
            return reply
        self._remaining_groups -= 1
        return super().run_apply(run_id, incarnation, attempt, seq, entries, commands, usage, spans, counts)

    async def run_settle(
        self, arguments: Any, commands: Sequence[RedisCommand], spans: SpanPart = NO_SPANS, counts: bytes = b""
    ) -> SettleResult:
        if self._remaining_groups == 0:
            self.crashed = True
            raise StoreUnavailable("the worker of this test crashed")
        return await super().run_settle(arguments, commands, spans, counts)


def metering_of(
    stores: Stores, prices: Mapping[str, ModelPrice] | None = None, budgets: BudgetsSection | None = None
) -> MeterConfig:
    """How the runs of a test are metered."""
    return MeterConfig(
        scripts=MeterScripts(stores.pipeline, stores.shards),
        blocking=stores.blocking,
        shards=stores.shards,
        prices=PriceTable(prices or {}),
        budgets=Budgets(budgets or BudgetsSection()),
        counts=BudgetStore(stores.pipeline, stores.shards),
        output_tokens=Settings().model_output_tokens,
    )


def execution_of(
    stores: Stores,
    graphs: Registry,
    run: Run,
    scripts: RunScripts | None = None,
    *,
    limits: SendLimits = DEFAULT_LIMITS,
    metering: MeterConfig | None = None,
) -> Execution:
    """The execution of a claimed run, as a worker creates it."""
    attempt = AttemptWriter(scripts or stores.scripts, run, limits=limits)
    return Execution(
        attempt,
        graphs,
        stores.checkpointer,
        stores.shards.of_thread(run.thread_id),
        event_ttl_s=TTL_S,
        metering=metering or metering_of(stores),
    )


async def crash_after(
    stores: Stores, graphs: Registry, run: Run, groups: int, *, limits: SendLimits = DEFAULT_LIMITS
) -> bool:
    """Executes a claimed run until its worker crashes after `groups` write groups, and reclaims the run. Returns False
    if the run ended before the crash."""
    scripts = CrashingScripts(stores, groups)
    await execution_of(stores, graphs, run, scripts, limits=limits).execute()
    if scripts.crashed:
        await stores.reap()
    return scripts.crashed


async def execute_next(stores: Stores, graphs: Registry, *, limits: SendLimits = DEFAULT_LIMITS) -> Run:
    """Claims the only due run, executes its attempt to the end, and returns the stored record."""
    run = await stores.claim_one()
    await execution_of(stores, graphs, run, limits=limits).execute()
    return await stores.reload(run)
