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
    """A run to be made."""

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

    def from_handler(self, shown: Mapping[str, Any]) -> RunsCreate:
        found = super().from_handler(shown)
        if found.kwargs.temporary != self.kwargs.temporary:
            raise self.handler_error("changed kwargs.temporary, which cannot be changed")
        return found.model_copy(update={"multitask_strategy": self._strategy(found), "kwargs": self._durable(found)})

    def reserved_names(self, before: HandlerValue) -> list[tuple[str, list[str]]]:
        assert isinstance(before, RunsCreate)
        new, old = self.kwargs, before.kwargs
        return (
            super().reserved_names(before)
            + reserved_in_config("kwargs.config.configurable", configurable_of(new.config), configurable_of(old.config))
            + reserved_in_config("kwargs.context", new.context, old.context)
        )

    def _strategy(self, found: RunsCreate) -> MultitaskStrategy:
        """`prevent_insert_if_inflight` and the strategy `reject` are one thing under two names."""
        if found.prevent_insert_if_inflight == (found.multitask_strategy == "reject"):
            return found.multitask_strategy
        if found.multitask_strategy != self.multitask_strategy:
            if found.prevent_insert_if_inflight == self.prevent_insert_if_inflight:
                return found.multitask_strategy
            raise self.handler_error(
                "left prevent_insert_if_inflight and multitask_strategy that contradict each other"
            )
        return "reject" if found.prevent_insert_if_inflight else "enqueue"

    def _durable(self, found: RunsCreate) -> RunOptions:
        """`checkpoint_during` is the old spelling of `durability`."""
        kwargs, before = found.kwargs, self.kwargs
        durability = kwargs.durability
        if durability == before.durability and kwargs.checkpoint_during != before.checkpoint_during:
            durability = "async" if kwargs.checkpoint_during else "exit"
        return replace(kwargs, durability=durability, checkpoint_during=durability != "exit")
