"""Request bodies of threads."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from slipway.api.bodies.body import Body, Metadata, Order, Uuid
from slipway.api.bodies.thread_state import SuperstepBody
from slipway.graphs.sections import Minutes
from slipway.protocol_types import JsonObject, Limit, Offset, Strategy
from slipway.threads.extract_paths import Path, paths_of
from slipway.threads.ttl import ThreadTtl


class TtlBody(Body):
    """How long a thread lives, and what is done then."""

    ttl: Minutes | None = None
    strategy: Strategy = "delete"


def _ttl(value: Any) -> Any:
    """A bare number is minutes."""
    return {"ttl": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


TtlGiven = Annotated[TtlBody | None, BeforeValidator(_ttl, json_schema_input_type=Minutes | TtlBody | None)]


class LivingBody(Body):
    """What may say how long a thread lives."""

    ttl: TtlGiven = None

    @property
    def living(self) -> ThreadTtl | None:
        """How long, if that was said."""
        given = self.ttl
        return None if given is None or given.ttl is None else ThreadTtl(given.ttl, given.strategy)


class ThreadBody(LivingBody):
    """A thread to be made."""

    thread_id: Uuid | None = None
    metadata: Metadata = {}
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: list[SuperstepBody] = []


class ThreadPatchBody(LivingBody):
    """Metadata to be merged."""

    metadata: Metadata = {}


class ThreadConfigBody(Body):
    """Metadata to be merged, as an old client sends it."""

    metadata: Metadata = {}


class PruneBody(Body):
    """Threads to be deleted, or to be kept with their latest checkpoints alone."""

    thread_ids: Annotated[list[Uuid], Field(max_length=10_000)]
    strategy: Strategy = "delete"


class ThreadFilterBody(Body):
    """Which threads: metadata and values by containment."""

    metadata: JsonObject | None = None
    values: JsonObject | None = None
    status: Literal["idle", "busy", "interrupted", "error"] | None = None


class ThreadSearchBody(ThreadFilterBody):
    """A page of threads."""

    ids: list[Uuid] | None = None
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] = "updated_at"
    sort_order: Order = "desc"
    select: (
        list[
            Literal[
                "thread_id",
                "created_at",
                "updated_at",
                "state_updated_at",
                "metadata",
                "config",
                "status",
                "values",
                "interrupts",
                "error",
            ]
        ]
        | None
    ) = None
    extract: dict[str, str] = {}

    @property
    def paths(self) -> dict[str, Path]:
        """What is to be taken out of each thread, checked."""
        return paths_of(self.extract, _EXTRACT_TAKEN)


_EXTRACT_TAKEN: Final = frozenset(
    {"thread_id", "created_at", "updated_at", "state_updated_at", "metadata", "config", "status", "values"}
    | {"interrupts", "error", "ttl", "extracted"}
)
