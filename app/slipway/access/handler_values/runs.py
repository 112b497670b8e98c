"""Handler values of `threads:create_run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from slipway.access.handler_values.base import HandlerValue, Id, Metadata, configurable_of, reserved_in_config
from slipway.protocol_types import DelayS, MultitaskStrategy
from slipway.run_options import RunOptions

IfNotExists = Literal["create", "reject"]


class RunsCreate(HandlerValue):
    """`kwargs` are the run options, `after_seconds` is the delay before the run is due."""

    OPERATION = "threads:create_run"
    FIXED = frozenset({"assistant_id", "thread_id", "run_id", "status", "action"})
    STORES = True

    assistant_id: Id
    thread_id: Id
    run_id: Id
    status: Literal["pending"] = "pending"
    metadata: Metadata
    prevent_insert_if_inflight: bool
    multitask_strategy: MultitaskStrategy
    if_not_exists: IfNotExists
    after_seconds: DelayS
    kwargs: RunOptions
    action: None = None

    def from_handler(self, data: Mapping[str, Any]) -> RunsCreate:
        changed = super().from_handler(data)
        if changed.kwargs.temporary != self.kwargs.temporary:
            raise self.handler_error("changed kwargs.temporary, which cannot be changed")
        strategy, options = self._multitask_strategy(changed), self._with_one_durability(changed)
        return changed.model_copy(update={"multitask_strategy": strategy, "kwargs": options})

    def reserved_names(self, before: HandlerValue) -> list[tuple[str, list[str]]]:
        assert isinstance(before, RunsCreate)
        new, old = self.kwargs, before.kwargs
        return (
            super().reserved_names(before)
            + reserved_in_config("kwargs.config.configurable", configurable_of(new.config), configurable_of(old.config))
            + reserved_in_config("kwargs.context", new.context, old.context)
        )

    def _multitask_strategy(self, changed: RunsCreate) -> MultitaskStrategy:
        """`prevent_insert_if_inflight` means the same as the strategy `reject`: a handler can change either."""
        if changed.prevent_insert_if_inflight == (changed.multitask_strategy == "reject"):
            return changed.multitask_strategy
        if changed.multitask_strategy != self.multitask_strategy:
            if changed.prevent_insert_if_inflight == self.prevent_insert_if_inflight:
                return changed.multitask_strategy
            raise self.handler_error(
                "changed prevent_insert_if_inflight and multitask_strategy to values that contradict each other"
            )
        return "reject" if changed.prevent_insert_if_inflight else "enqueue"

    def _with_one_durability(self, changed: RunsCreate) -> RunOptions:
        """`checkpoint_during` is the old name of `durability`: a handler can change either."""
        options, before = changed.kwargs, self.kwargs
        durability = options.durability
        if durability == before.durability and options.checkpoint_during != before.checkpoint_during:
            durability = "async" if options.checkpoint_during else "exit"
        return replace(options, durability=durability, checkpoint_during=durability != "exit")
