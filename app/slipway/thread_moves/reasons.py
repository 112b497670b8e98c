"""Why the checkpoint of a thread cannot be rewritten for another version, although the verdict is `migrate`."""

from __future__ import annotations

from typing import Final

MOVE_REASONS: Final = {
    "migration.failed": (
        "A migration raised, or returned a state that the new version rejects. The text names file and line."
    ),
    "state.rejected": "The state class of the new version rejects the stored state.",
    "node.pending_lost": "A node that is next would not be started by the new version.",
    "node.pending_added": "The new version would start a node that was not next.",
    "node.error_handled": "The error handler of a node is under way.",
    "task.result_lost": "The result of a function with `@task` cannot be carried over.",
    "result.lost": "A node has finished in this superstep and has written to what the new version does not have.",
    "channel.delta_lost": "A delta channel does not exist any more, and only its reducer can rebuild its value.",
    "subgraph.missing": "A subgraph is under way, and its node has none in the new version.",
    "subgraph.own_state": "A migration names a subgraph that keeps a state of its own over many runs.",
    "checkpoint.of_subgraph": "A run starts from a checkpoint of a subgraph that another version wrote.",
    "command.node_missing": "The command of a run goes to a node (`goto`) that only the version of the thread has.",
    "checkpoint.deleted": "The checkpoint from which a run starts was deleted.",
    "original.passed": "The thread has continued since the migration, and there is no migration back.",
    "original.deleted": "The checkpoint from before the migration was deleted.",
}
"""By code."""
