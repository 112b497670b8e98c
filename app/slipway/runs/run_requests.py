"""What a client asks of a run, as plain data: a cron can keep one, and have a run made of it at each of its times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from slipway.protocol_types import Durability, Nodes, StreamMode


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked, validated: JSON values only. `stateless` makes a thread of its own, and `temporary` says that
    the thread goes with the run. `config` has `configurable` and `metadata`; `headers` join what is configurable."""

    assistant_id: str
    input: Any
    command: dict[str, Any] | None
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    checkpoint: dict[str, Any] | None
    interrupt_before: Nodes | None
    interrupt_after: Nodes | None
    stream_mode: list[StreamMode | Literal["checkpoints/brief"]]
    subgraphs: bool
    resumable: bool
    multitask_strategy: str
    create_thread: bool
    stateless: bool
    temporary: bool
    after_s: int
    webhook: str | None
    durability: Durability
    feedback_keys: list[str] | None
    strict_resume: bool
    headers: dict[str, str]
    user: dict[str, Any] | None = None
    """Who asks (`User.stored`): whoever made a cron is who its runs are for."""
    changed_by: list[dict[str, Any]] = field(default_factory=list)
    """Other users who changed the cron, each once: its runs do what they wrote, so they must be allowed it too."""
