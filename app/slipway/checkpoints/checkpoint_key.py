"""How a checkpoint is named within its thread, and in the configs of LangGraph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig


class CheckpointKey(NamedTuple):
    """A checkpoint within its thread. The root graph has the namespace ""."""

    namespace: str
    checkpoint_id: str

    @classmethod
    def from_configurable(cls, configurable: Mapping[str, Any]) -> CheckpointKey:
        """The checkpoint that a config names; it must have a checkpoint id."""
        return cls(configurable.get("checkpoint_ns", ""), str(configurable["checkpoint_id"]))

    def config(self, thread_id: str) -> RunnableConfig:
        """The reverse of `from_configurable`."""
        return {
            "configurable": {
                "thread_id": thread_id,
                "checkpoint_ns": self.namespace,
                "checkpoint_id": self.checkpoint_id,
            }
        }
