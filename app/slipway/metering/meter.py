"""The meter of one attempt: counts the calls of models and tools before they are made, and what they have used.

**Reserve, then settle.** A call of a model counts with the most that it may use, from before it is made until it ends.
So parallel calls cannot pass a ceiling together. The reservation is stored before the call is made: after a crash, the
next attempt counts the call with what was reserved. A call that ends is stored with the next write group. Only then is
a call counted in budgets, which are in a shard of their own: an attempt that no longer owns its run uses no budget.

**Any thread.** A coroutine stores a reservation over the pipeline of the process. A synchronous call does so over a
connection of its own (`BlockingCalls`), so it may block the event loop. The two may arrive in another order than they
were made in. So each reservation has a revision, and the script that counts it in budgets remembers the revision until
its reply has arrived (`redis/lua/budget_reserve.lua`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

import structlog

from slipway.accounting.counting import Ceilings
from slipway.accounting.metered_usage import ModelUsage
from slipway.budget_counts.scripts import BudgetedRun, BudgetReservation, NoRoom
from slipway.budget_counts.store import BudgetStore
from slipway.budgets import Budget, BudgetEntry, Budgets, Counted, budget_owner, entries_of
from slipway.checkpoints.moved_ids import known_namespace
from slipway.errors import CeilingHit, Fenced, OutputUnbounded
from slipway.metering.model_calls import ModelCall, ReportedUsage
from slipway.metering.scripts import MeterScripts
from slipway.metering.write_commands import store_metered
from slipway.model_prices import ModelPrice, PriceTable
from slipway.redis.blocking_calls import BlockingCalls
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import Run
from slipway.serialization.json_encoding import dumps

log = structlog.get_logger(__name__)

_WRITE_WITHIN_S: Final = 0.01

_UNLIMITED_OUTPUT_TOKENS: Final = 4096
"""What a call counts with that has no known bound, and that nothing limits."""

_UNREPORTED: Final[set[str]] = set()
"""The models whose missing usage this process has logged."""

Budgeted = Sequence[tuple[Budget, BudgetEntry]]
"""The budgets that limit a call, and what it adds to each."""


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """What the meters of a process have in common."""

    scripts: MeterScripts
    blocking: BlockingCalls
    """For synchronous calls."""
    shards: Shards
    prices: PriceTable
    budgets: Budgets
    counts: BudgetStore
    output_tokens: int | None
    """An assumption: what a call generates at most, where nothing else says how much. None: there is none."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is stored before a call is made."""

    metered: str
    """What the chain has used of models and tools, with what is reserved."""
    budgets: Budgeted
    counted: BudgetReservation
    """What is counted in these budgets, with corrections of calls that have ended."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A call of a model that has not ended."""

    call: ModelCall
    reserved: ModelUsage
    price: ModelPrice | None
    budgets: Budgeted


class Meter:
    """Counts for one attempt. `on_hit` is called for each ceiling that is hit, in the thread that counts; in the event
    loop are called: `on_unpriced` for each model whose price is unknown, `store_usage` when a superstep of a subgraph
    was counted. Every method may be called in any thread, if its docstring says nothing else."""

    def __init__(
        self,
        config: MeterConfig,
        writer: AttemptWriter,
        ceilings: Ceilings,
        *,
        on_hit: Callable[[CeilingHit], None],
        on_unpriced: Callable[[str], None],
        store_usage: Callable[[], None],
    ) -> None:
        self._config, self._writer, self._run = config, writer, writer.run
        self._ceilings, self._usage = ceilings, ceilings.metered
        self._on_hit, self._on_unpriced, self._store_usage = on_hit, on_unpriced, store_usage
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._lock = threading.RLock()
        self._open: dict[UUID, _Open] = {}
        self._in_flight: set[int] = set()
        """The revisions of the reservations whose script may be executed again."""
        self._closed = False
        self._ended: list[BudgetEntry] = []
        """Corrections of budgets for calls that have ended, which are not sent yet."""
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def _counts_money(self) -> bool:
        """Whether somebody wants to know what calls cost. Without a price table the price of every model is unknown."""
        return bool(self._config.prices.prices) or "max_cost_usd" in self._ceilings.limits

    # tools

    def count_tool_call(self, node: str | None = None) -> None:
        """Counts a call that is about to be made. Raises `CeilingHit`, and then the run ends. `reserve_tool_call`
        must follow before the call is made."""
        with self._lock:
            try:
                self._ceilings.count_tool_call(node)
            except CeilingHit as hit:
                self._on_hit(hit)
                raise

    async def reserve_tool_call(self) -> Reservation:
        """Counts a call of a tool, which was counted in memory, in the budgets. The caller stores `metered` before the
        call is made. Raises `CeilingHit` if a budget has no room, and then the run ends; and `StoreUnavailable`."""
        reservation = self._reservation(self._tool_entries())
        await self._count(reservation, self._config.counts)
        return reservation

    async def release_tool_call(self, reservation: Reservation) -> None:
        """Takes the call out of the budgets again, because it is not made."""
        if reservation.budgets:
            await self._config.counts.release(reservation.counted)

    def nested_task(self, namespace: str, superstep: int) -> None:
        """Counts a task of a subgraph, with its superstep. Raises `CeilingHit`, and then the run ends."""
        with self._lock:
            try:
                if not self._ceilings.count_nested(known_namespace(namespace), superstep):
                    return
            except CeilingHit as hit:
                self._on_hit(hit)
                raise
        self._in_loop(lambda: self._closed or self._store_usage())

    def _budgets(self) -> Sequence[Budget]:
        """The budgets that apply now."""
        if not self._config.budgets.any:
            return ()
        owner = budget_owner(self._run.metadata, self._run.owner)
        budgets = self._config.budgets
        return budgets.of_run(owner, self._run.graph_id, budgets.clock.now())

    def _tool_entries(self) -> Budgeted:
        return entries_of(self._budgets(), {"tool_calls": 1})

    def _exhausted(self, budgets: Budgeted, refused: NoRoom, node: str | None = None) -> CeilingHit:
        """The error for the budget that has no room. The run ends with it."""
        budget, entry = budgets[refused.position]
        hit = budget.exhausted(entry[1], refused.used, entry[2], node)
        self._on_hit(hit)
        return hit

    # models

    def reserve(self, call_id: UUID, call: ModelCall, node: str | None = None) -> None:
        """Reserves in memory the most that a call may use. Raises `CeilingHit` if the sum could pass a ceiling, and
        then the run ends; `OutputUnbounded` if something limits the call, and nothing says how much it generates.
        `store_reservation` must follow before the call is made."""
        price, applying = self._config.prices.price_of(call.model, call.provider), self._budgets()
        output = self._most_output(call, price, applying, node) * call.choices
        with self._lock:
            tokens = self._usage.expected_input(call.model, call.input_tokens)
            cost = price.most_cost_nano(tokens, output) if price else 0
            reserved = ModelUsage(1, tokens, output, 0, cost)
            budgets = entries_of(applying, {"tokens": reserved.tokens, "cost_usd": cost})
            try:
                self._ceilings.reserve_model_call(call.model, reserved, node)
            except CeilingHit as hit:
                self._on_hit(hit)
                raise
            self._open[call_id] = _Open(call, reserved, price, budgets)

    def _most_output(
        self, call: ModelCall, price: ModelPrice | None, budgets: Sequence[Budget], node: str | None
    ) -> int:
        """The most tokens of one answer."""
        of_table = price.max_output_tokens if price else None
        most = call.max_output_tokens or of_table or call.most_output_tokens or self._config.output_tokens
        if most is None and (limited_by := self._limit_of_output(price, budgets)) is not None:
            log.warning("model.unbounded", model=call.model, limited_by=limited_by, run=self._run.run_id)
            raise OutputUnbounded(call.model, limited_by, node)
        return most or _UNLIMITED_OUTPUT_TOKENS

    def _limit_of_output(self, price: ModelPrice | None, budgets: Sequence[Budget]) -> str | None:
        """What limits how much a call generates: a ceiling or a budget, in words."""
        counted: list[Counted] = ["tokens", "cost_usd"] if price is not None and price.output > 0 else ["tokens"]
        for name in counted:
            if f"max_{name}" in self._ceilings.limits:
                return f"the ceiling max_{name}"
            for budget in budgets:
                if budget.limits.get(name) is not None:
                    return f"the budget {name} ({budget.scope_and_period})"
        return None

    async def store_reservation(self, call_id: UUID | None, node: str | None = None) -> None:
        """Stores the usage with all reservations, and counts this call in the budgets. Called in the event loop. Raises
        `CeilingHit` if a budget has no room, `Fenced`, and `StoreUnavailable`. `call_id` None: a call of a tool. One
        round trip, and another one if there are budgets."""
        reservation = self._reservation(self._budgeted(call_id), with_ended=True)
        await self._store(reservation, self._config.scripts, self._config.counts, call_id, node)

    def store_reservation_blocking(self, call_id: UUID | None, node: str | None = None) -> None:
        """The same for a synchronous call, in any thread, which it blocks."""
        shards, reservation = self._config.shards, self._reservation(self._budgeted(call_id), with_ended=True)

        def store(pipeline: Pipeline) -> Awaitable[None]:
            scripts, counts = MeterScripts(pipeline, shards), BudgetStore(pipeline, shards)
            return self._store(reservation, scripts, counts, call_id, node)

        self._config.blocking.call(store)

    def _budgeted(self, call_id: UUID | None) -> Budgeted:
        with self._lock:
            opened = None if call_id is None else self._open.get(call_id)
        return self._tool_entries() if opened is None else opened.budgets

    def _reservation(self, budgets: Budgeted, *, with_ended: bool = False) -> Reservation:
        """Each reservation has a text and a revision of its own: calls of several threads may be counted before the
        first of them is stored. `_count` must follow, or `_forget`."""
        with self._lock:
            ended = list[BudgetEntry]()
            if with_ended:
                ended, self._ended = self._ended, ended
            counted = self._counted([entry for _, entry in budgets], ended)
            return Reservation(self._usage.stored(), budgets, counted)

    def _counted(self, entries: Sequence[BudgetEntry], ended: Sequence[BudgetEntry]) -> BudgetReservation:
        """A reservation with the next revision of the usage."""
        self._usage.revision += 1
        run, revision = self._run, self._usage.revision
        self._in_flight.add(revision)
        return BudgetReservation(
            BudgetedRun(run.run_id, run.graph_id, _owner_json(run)),
            f"{run.run_id}:{run.incarnation}:{run.attempt}",
            revision,
            min(self._in_flight),
            entries,
            ended,
        )

    def _forget(self, reservation: Reservation) -> None:
        """The script of the reservation will not be sent again."""
        with self._lock:
            self._in_flight.discard(reservation.counted.revision)

    async def _store(
        self, made: Reservation, scripts: MeterScripts, counts: BudgetStore, call_id: UUID | None, node: str | None
    ) -> None:
        """Stores a reservation, and then counts it. Raises what `store_reservation` raises."""
        try:
            is_owner = await scripts.reserve(self._run, made.metered)
        except BaseException:
            self._give_back(made)
            raise
        if not is_owner:
            self._give_back(made)
            self._in_loop(self._writer.mark_fenced)
            raise Fenced(f"attempt {self._run.attempt} of run {self._run.run_id} no longer owns it")
        await self._count(made, counts, call_id, node)

    def _give_back(self, made: Reservation) -> None:
        """Corrections that were not sent are sent later."""
        with self._lock:
            self._in_flight.discard(made.counted.revision)
            self._ended[:0] = made.counted.ended
        self._in_loop(self._write_soon)

    async def _count(
        self, made: Reservation, counts: BudgetStore, call_id: UUID | None = None, node: str | None = None
    ) -> None:
        """Counts a reservation in its budgets. Raises `CeilingHit` and `StoreUnavailable`."""
        counted = made.counted
        if not counted.entries and not counted.ended:
            return self._forget(made)
        try:
            refused = await counts.reserve(counted)
        except BaseException:  # it is unknown whether Redis has it
            self._in_loop(lambda: self._correct(replace(counted, entries=())))  # which has the same revision
            raise
        if refused is None:
            return self._forget(made)
        self._give_back(made)
        if call_id is not None:
            with self._lock:
                if (opened := self._open.pop(call_id, None)) is not None:
                    self._usage.release(opened.call.model, opened.reserved)
        self._in_loop(self._write_soon)
        raise self._exhausted(made.budgets, refused, node)

    def _correct(self, counted: BudgetReservation) -> None:
        """Sends corrections in the background. Called in the event loop."""
        if counted.ended:
            task = self._config.counts.correct(counted)
            task.add_done_callback(lambda task: self._in_flight.discard(counted.revision))

    def settle(self, call_id: UUID, used: ReportedUsage | None, *, rejected: bool = False) -> ModelUsage | None:
        """Counts what a call has used that has ended, and returns it; None for a call that is not open. `used` None:
        the provider did not say it, so the call counts with what was reserved. `rejected`: the provider has rejected
        the call, so it used nothing."""
        with self._lock:
            opened = self._open.pop(call_id, None)
            if opened is None:
                return None
            actual = ModelUsage(calls=1) if rejected else _actual(opened, used)
            model, priced = opened.call.model, opened.price is not None
            if used is not None:
                self._usage.learn_input(model, opened.call.input_tokens, used.input)
            newly_unpriced = self._counts_money and not priced and model not in self._usage.unpriced_models
            metered = rejected or (used is not None and used.input > 0)
            self._ceilings.settle_model_call(model, opened.reserved, actual, metered=metered, priced=priced)
            self._ended += [_correction(entry, opened.reserved, actual) for _, entry in opened.budgets]
        if newly_unpriced:
            self._in_loop(lambda: self._on_unpriced(model))
        self._in_loop(self._write_soon)
        return actual

    def report_missing_usage(self, call_id: UUID) -> None:
        """Logs that a call has ended without saying what it has used, once for each model of the process. Called before
        the call is settled."""
        opened = self._open.get(call_id)
        if opened is not None and opened.call.model not in _UNREPORTED:
            _UNREPORTED.add(opened.call.model)
            log.warning(
                "model.usage_missing",
                model=opened.call.model,
                run=self._run.run_id,
                problem="its package reports no tokens, so its calls count with what was reserved: see docs/models.md",
            )

    # the end

    def close(self) -> None:
        """Counts all calls whose end was not seen with what was reserved for them, and stores it with the last write
        group. Called in the event loop, when the graph does not execute any more."""
        with self._lock:
            self._closed = True
            if self._open:
                self._open.clear()
                self._usage.settle_all_reserved()
                self._add_usage()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write()

    # writing

    def _write_soon(self) -> None:
        """Stores what has changed with a write group, unless the reservation of another call takes it along before."""
        if self._closed:
            self._send_corrections()
        elif self._write_timer is None:
            self._write_timer = self._loop.call_later(_WRITE_WITHIN_S, self._write)

    def _write(self) -> None:
        self._write_timer = None
        self._send_corrections()
        self._add_usage()

    def _send_corrections(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
            if not ended:
                return
            correction = self._counted((), ended)
        self._correct(correction)

    def _add_usage(self) -> None:
        with self._lock:
            stored, revision = self._usage.stored(), self._usage.revision
        self._writer.add_command(store_metered(self._config.shards.records, self._run.run_id, stored, revision))

    def _in_loop(self, callback: Callable[[], object]) -> None:
        """Calls it now in the event loop, and soon from another thread."""
        if threading.get_ident() == self._loop_thread:
            callback()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)


def _owner_json(run: Run) -> str | None:
    owner = run.metadata.get("owner")
    return None if owner is None else dumps(owner).decode()


def _actual(opened: _Open, used: ReportedUsage | None) -> ModelUsage:
    if used is None:
        return opened.reserved
    read = used.input or opened.reserved.input
    cost = opened.price.cost_nano(read, used.output, used.cached, used.written) if opened.price else 0
    return ModelUsage(1, read, used.output, used.cached, cost)


def _correction(entry: BudgetEntry, reserved: ModelUsage, used: ModelUsage) -> BudgetEntry:
    """What the end of a call adds to a budget, to which its reservation was added."""
    budget_id, field, _, limit, ends_ms = entry
    amount = used.tokens - reserved.tokens if field == "tokens" else used.cost_nano - reserved.cost_nano
    return budget_id, field, amount, limit, ends_ms
