"""The Lua scripts of the repository, and the kinds of those keys that the source of a script does not name."""

from __future__ import annotations

from functools import cache
from typing import Final

from slipway.redis.catalogue.key_kinds import KEY_KINDS
from tests.catalogue.lua_use import LuaSource, Use
from tests.redis.lua_names import LIBRARIES, SCRIPTS

ANY_COMMANDS: Final = frozenset({"apply_unfenced", "value_replace"})
"""Scripts that only execute the commands in their arguments, or work with any hash."""

_CHECKPOINTS: Final = ("checkpoints", "checkpoint_state")

KEYS: Final = {
    "run_read": ("run",),
    "events_read": ("events",),
    "events_behind": ("events",),
    "apply_if_idle": ("thread",),
    "apply_if_paused": ("run", "thread"),
    "trash_remove": ("trash",),
    "checkpoint_copy": (*_CHECKPOINTS, *_CHECKPOINTS, "thread", "thread"),
    "checkpoint_delete": (*_CHECKPOINTS, "thread"),
    "checkpoint_heads": _CHECKPOINTS,
    "checkpoint_position": _CHECKPOINTS,
    "checkpoint_history": _CHECKPOINTS,
    "checkpoint_read": _CHECKPOINTS,
    "checkpoint_storage": _CHECKPOINTS,
    "checkpoint_prune": (*_CHECKPOINTS, "thread"),
    "checkpoint_retain": (*_CHECKPOINTS, "thread"),
    "list_item_replace": ("delivery_tries", "trace_bytes"),
    "log_copy": ("events_copy",),
    "log_replace": ("events", "events_copy"),
    "document_replace": ("documents",),
    "document_copy": ("document_bytes", "document_bytes", "thread", "thread"),
    "document_remove": ("document_bytes", "thread"),
    "document_read": ("document_bytes", "document_pointers"),
}
"""Script to the kinds of its `KEYS`."""

_THREAD_SETS: Final = ("threads", "threads_with", "threads_created", "threads_state", "threads_ids")
_QUEUES: Final = ("queue", "suspect_queue")
_DELIVERIES: Final = ("deliveries", "internal_deliveries")
_TARGETS: Final = ("webhook_endpoint", "webhook_origin")
_ASSISTANT_INDEXES: Final = ("assistants", "assistants_by", "assistants_with", "graph_assistants")
_CRON_INDEXES: Final = ("crons", "crons_by", "crons_with")
_REVIEW_INDEXES: Final = ("reviews", "reviews_by_due", "reviews_due", "reviews_of_graph", "reviews_with")
_OTHER_INDEXES: Final = {
    _CRON_INDEXES: ("cron_save", "cron_delete", "cron_index_check", "thread_crons_delete"),
    ("runs_with",): ("run_index_check",),
    _REVIEW_INDEXES: ("review_index_check",),
}
_OTHER_SEARCHES: Final = {
    "run_search": ("runs_with",),
    "assistant_search": _ASSISTANT_INDEXES,
    "delivery_search": ("deliveries_all", "deliveries_with"),
    "cron_search": _CRON_INDEXES,
}
_READS_OF_A_WALK: Final = (
    *((function, "set") for function in ("size_of", "is_in_one", "rank_after", "read_entries")),
    ("find_matches", "query.order"),
)
_WRITES: Final = ("checkpoint_writes",)
_RUN_THREADS: Final = ("checkpoint_threads",)
_DOCUMENTS: Final = ("documents", "document_writes")

COMPUTED: Final = {
    ("few_fields", "hash"): ("run", "thread"),
    ("add_to_queue", "queue_key(fields[1], fields[2])"): _QUEUES,
    ("enqueue", "queue"): _QUEUES,
    ("requeue_parked_job", "queue_key(fields[1], fields[2])"): _QUEUES,
    ("workload", "key(queue)"): _QUEUES,
    ("has_job", "key(queue)"): (*_QUEUES, "later_queue"),
    ("check.job", "args.container"): (*_QUEUES, "later_queue", "parked_queue"),
    ("set_metadata_members", "record"): ("assistant",),
    ("cron_save/set_metadata_members", "record"): ("cron",),
    ("add_entries", "entry[1]"): _ASSISTANT_INDEXES,
    ("remove_entries", "entry[1]"): _ASSISTANT_INDEXES,
    ("are_stored", "entry[1]"): _ASSISTANT_INDEXES,
    ("assistant_index_check", "set"): _ASSISTANT_INDEXES,
    ("cron_index_check", "set"): _CRON_INDEXES,
    ("review_index_check", "set"): _REVIEW_INDEXES,
    ("waiting_for_people", "key(switches)"): ("switches", "resuming_switches"),
    **{
        (f"{script}/{function}", "entry[1]"): kinds
        for kinds, scripts in _OTHER_INDEXES.items()
        for script in scripts
        for function in ("add_entries", "remove_entries", "are_stored")
    },
    ("delivery_settle_try", "queue"): _DELIVERIES,
    ("delivery_replay/replay", "queue"): _DELIVERIES,
    ("delivery_claim/claim", "key(queue)"): _DELIVERIES,
    ("delivery_claim/bury", "key(queue)"): _DELIVERIES,
    ("delivery_claim", "key(queue)"): _DELIVERIES,
    ("queue_delivery", "due"): _DELIVERIES,
    ("index_delivery", "set"): ("deliveries_with",),
    ("park_delivery", "queue"): _DELIVERIES,
    ("unpark_deliveries", "queue"): _DELIVERIES,
    ("free_calls", "record"): _TARGETS,
    ("free_calls", "calls"): ("delivery_calls",),
    ("target_failed", "record"): _TARGETS,
    ("note_outcome", "record"): _TARGETS,
    ("note_outcome_here", "record"): _TARGETS,
    **{
        (f"{script}/{function}", name): (kind,)
        for script in ("target_enter", "target_leave")
        for function, name, kind in (
            ("free_calls", "record", "target"),
            ("free_calls", "calls", "target_calls"),
            ("target_failed", "record", "target"),
            ("note_outcome", "record", "target"),
        )
        if script == "target_leave" or function == "free_calls"
    },
    ("delete_delivery", "set"): ("deliveries_with",),
    ("delivery_queue", "run"): ("run", "delivery"),
    ("checkpoint_copy", "ARGV[1] .. member"): _WRITES,
    ("checkpoint_copy", "ARGV[2] .. member"): _WRITES,
    ("checkpoint_copy", "ARGV[4] .. head[3] .. ARGV[5]"): _RUN_THREADS,
    ("checkpoint_delete", "ARGV[1] .. member"): _WRITES,
    ("checkpoint_delete", "ARGV[3] .. head[3] .. ARGV[4]"): _RUN_THREADS,
    ("checkpoint_history", r"writes_prefix .. namespace .. '\0' .. at"): _WRITES,
    ("checkpoint_encrypted", "state"): ("checkpoint_state",),
    ("events_behind", "log"): ("events",),
    ("checkpoint_storage", "name"): _WRITES,
    ("checkpoint_storage", "ARGV[1] .. member"): _WRITES,
    ("checkpoint_heads", "writes_prefix .. member"): _WRITES,
    ("checkpoint_position/writes_of", "writes_prefix .. member"): _WRITES,
    ("checkpoint_retain", "writes"): _WRITES,
    ("checkpoint_retain", "run_before .. ARGV[i] .. run_after"): _RUN_THREADS,
    ("checkpoint_prune", "writes_prefix .. member"): _WRITES,
    ("checkpoint_prune", "run_before .. head[3] .. run_after"): _RUN_THREADS,
    ("take", "writes_prefix .. member"): _WRITES,
    ("take", "checkpoints .. at"): ("documents",),
    ("take", "registries .. at"): ("document_registries",),
    ("take", "name"): ("document_writes",),
    ("copy", "from"): _DOCUMENTS,
    ("copy", "to"): _DOCUMENTS,
    ("document_copy", "checkpoints .. from"): ("documents",),
    ("document_copy", "registries .. from"): ("document_registries",),
    ("document_copy", "registries .. to"): ("document_registries",),
    ("document_copy", "pointers .. source .. ':' .. ARGV[i]"): ("document_pointers",),
    ("document_copy", "pointers .. target .. ':' .. ARGV[i]"): ("document_pointers",),
    ("document_heads", "name"): ("documents",),
    ("document_remove", "registry"): ("document_registries",),
    ("document_remove", "pointer"): ("document_pointers",),
    ("document_remove", "latest"): ("documents",),
    ("delete_document", "name"): _DOCUMENTS,
    **dict.fromkeys(_READS_OF_A_WALK, _THREAD_SETS),
    **{
        (f"{script}/{function}", expression): kinds
        for script, kinds in _OTHER_SEARCHES.items()
        for function, expression in _READS_OF_A_WALK
    },
}
"""Function (or script, outside its functions) and expression to the kinds of the keys whose names it computes."""


@cache
def source() -> LuaSource:
    """All scripts of the repository."""
    scripts = {name: text for name, text in SCRIPTS.items() if name not in ANY_COMMANDS}
    return LuaSource(scripts, list(LIBRARIES.values()), frozenset(KEY_KINDS), KEYS, COMPUTED)


@cache
def uses() -> set[Use]:
    """Every use of a key or a field by a script."""
    return source().uses()
