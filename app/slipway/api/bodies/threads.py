"""Request bodies of threads."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from slipway.api.bodies.body import Body, Metadata, ObjectWithoutNul, Order, Uuid
from slipway.api.bodies.thread_state import SuperstepBody
from slipway.graphs.official_sections import Minutes
from slipway.protocol_types import Limit, Offset, Strategy
from slipway.threads.extract_paths import ExtractPath, paths_of
from slipway.threads.ttl import ThreadTtl


class TtlBody(Body):
    """Time to live of a thread in minutes, and what happens when it expires."""

    ttl: Minutes | None = None
    strategy: Strategy = "delete"


def _ttl_from_minutes(value: Any) -> Any:
    return {"ttl": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


TtlMember = Annotated[
    TtlBody | None, BeforeValidator(_ttl_from_minutes, json_schema_input_type=Minutes | TtlBody | None)
]


class TtlMixin(Body):
    """A body with `ttl`: a number of minutes, or an object."""

    ttl: TtlMember = None

    @property
    def thread_ttl(self) -> ThreadTtl | None:
        """None if the request does not set it."""
        return None if self.ttl is None or self.ttl.ttl is None else ThreadTtl(self.ttl.ttl, self.ttl.strategy)


class ThreadBody(TtlMixin):
    """Creates a thread, optionally with checkpoints."""

    thread_id: Uuid | None = None
    metadata: Metadata = {}
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: list[SuperstepBody] = []


class ThreadPatchBody(TtlMixin):
    """Merges metadata, and can set the time to live."""

    metadata: Metadata = {}


class ThreadConfigBody(Body):
    """Merges metadata. Only old clients send this body."""

    metadata: Metadata = {}


class PruneBody(Body):
    """Deletes threads, or all their checkpoints except the latest."""

    thread_ids: Annotated[list[Uuid], Field(max_length=10_000)]
    strategy: Strategy = "delete"


class ThreadFilterBody(Body):
    """Selects threads. A thread matches if its metadata contains `metadata` and its values contain `values`."""

    metadata: ObjectWithoutNul | None = None
    values: ObjectWithoutNul | None = None
    status: Literal["idle", "busy", "interrupted", "error"] | None = None


class ThreadSearchBody(ThreadFilterBody):
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
    def extract_paths(self) -> dict[str, ExtractPath]:
        """The parsed paths of `extract`, by name. Raises `InvalidRequest`."""
        return paths_of(self.extract, _RESERVED_NAMES)


_RESERVED_NAMES: Final = frozenset(
    {"thread_id", "created_at", "updated_at", "state_updated_at", "metadata", "config", "status", "values"}
    | {"interrupts", "error", "ttl", "extracted"}
)
