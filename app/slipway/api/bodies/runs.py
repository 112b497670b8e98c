"""Request bodies of runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from slipway.api.bodies.body import Body, Configurable, Metadata, StreamModes, Uuid
from slipway.api.bodies.config import CheckpointBody, ConfigBody
from slipway.graphs.spec import Durability
from slipway.protocol_types import CommandBody, DelayS, JsonObject, MultitaskStrategy, Nodes, Webhook
from slipway.run_options import RunOptions


class RunBody(Body):
    """`feedback_keys` and `stream_resumable` are stored and shown, and have no effect."""

    assistant_id: str
    input: Any = None
    command: CommandBody | None = None
    config: ConfigBody = Field(default_factory=ConfigBody)
    context: Configurable = {}
    metadata: Metadata = {}
    checkpoint: CheckpointBody | None = None
    checkpoint_id: Uuid | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    stream_mode: StreamModes = ["values"]
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    multitask_strategy: MultitaskStrategy = "enqueue"
    if_not_exists: Literal["reject", "create"] = "reject"
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    after_seconds: DelayS = 0
    webhook: Webhook | None = None
    durability: Durability | None = None
    checkpoint_during: bool | None = None
    feedback_keys: list[str] | None = None
    strict_resume: bool = False

    @property
    def durable(self) -> Durability:
        """`checkpoint_during` is the older name: true is `async`, false is `exit`."""
        if self.durability is not None:
            return self.durability
        return "exit" if self.checkpoint_during is False else "async"

    @property
    def chooses_durability(self) -> bool:
        """Whether the client named a durability; otherwise that of the graph applies."""
        return self.durability is not None or self.checkpoint_during is not None

    @property
    def start_from(self) -> JsonObject | None:
        """The reference of the checkpoint to start from, which clients send in `checkpoint` or in `checkpoint_id`."""
        reference = self.checkpoint.public() if self.checkpoint else {}
        if self.checkpoint_id:
            reference.setdefault("checkpoint_id", self.checkpoint_id)
        return reference or None

    def options(self, *, temporary: bool) -> RunOptions:
        """`temporary` says that the thread is created for this run and is deleted with it."""
        return RunOptions(
            input=self.input,
            command=self.command.public() if self.command else None,
            config=self.config.public(),
            context=self.context,
            stream_mode=list(self.stream_mode or ["values"]),
            interrupt_before=self.interrupt_before,
            interrupt_after=self.interrupt_after,
            webhook=self.webhook,
            feedback_keys=self.feedback_keys,
            temporary=temporary,
            subgraphs=self.stream_subgraphs,
            resumable=self.stream_resumable,
            checkpoint_during=self.durable != "exit",
            durability=self.durable,
            checkpoint=self.start_from,
            strict_resume=self.strict_resume,
        )


class CancelBody(Body):
    """Selects the runs to cancel: all runs with a status, or some runs of one thread by their ids."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: Uuid | None = None
    run_ids: Annotated[list[Uuid], Field(min_length=1, max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> CancelBody:
        named = self.thread_id is not None and self.run_ids is not None
        if (self.thread_id is None) != (self.run_ids is None) or named == (self.status is not None):
            raise ValueError("give either status, or thread_id and run_ids")
        return self
