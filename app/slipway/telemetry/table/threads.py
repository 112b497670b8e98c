"""Threads: their states and checkpoints, and the long-term store."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import ERROR, GRAPH, NODE, PROBLEM, THREAD

_CHECKPOINT: Final = Field("checkpoint", Unit.ID, "the checkpoint")
_INSIDE: Final = Field("inside", Unit.FLAG, "whether the states of subgraphs in it were to be read as well")
_ITEMS: Final = Field("items", Unit.COUNT, "how many items were deleted")
_DELETED: Final = Field("deleted", Unit.COUNT, "how many threads were deleted")
_PRUNED: Final = Field("pruned", Unit.COUNT, "how many threads lost their older checkpoints")

_EVENTS: Final = (
    error("checkpoint.damaged", "A stored checkpoint cannot be read.", THREAD, _CHECKPOINT, PROBLEM),
    warning("checkpoints.not_pruned", "Older checkpoints stay, because Redis does not answer.", THREAD, PROBLEM),
    error("checkpoints.prune_failed", "Older checkpoints stay, because of a fault.", THREAD, has_exception=True),
    error("trash.delete_failed", "What is left of a deleted thread was not deleted.", THREAD, has_exception=True),
    info("retention.swept", "Threads whose time was over were deleted or pruned.", _DELETED, _PRUNED),
    info("store.swept", "Items of the long-term store that had expired were deleted.", _ITEMS),
    error("store.embedding_failed", "The embeddings of items could not be computed.", has_exception=True),
    warning("state.unreadable", "A state is shown without values, because the graph cannot read it.", ERROR),
    warning("state.subgraph_unreadable", "The state of a subgraph is not shown.", NODE, _INSIDE, ERROR),
    warning("state_write.raised", "A write of a client to a state raised in the graph.", GRAPH, has_exception=True),
)

AREA: Final = Area("Threads and the store", _EVENTS)
