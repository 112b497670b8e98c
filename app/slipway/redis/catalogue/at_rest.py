"""How each field of each kind of key is stored with an encryption key: encrypted, as a keyed digest, or plain and why.

`ENCRYPTED`, and what `PLAIN` names for each reason, cover every field that holds text or bytes. Numbers, times and
flags are plain. A kind that is not a hash is one entry with the field `*`. `docs/encryption.md` shows both, and a test
fails for a field that is in neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _whole(*kinds: str) -> dict[str, tuple[str, ...]]:
    """Kinds that are one entry, or all of whose fields are stored in the same way."""
    return dict.fromkeys(kinds, ("*",))


ENCRYPTED: Final[Mapping[str, tuple[str, ...]]] = {
    "run": ("kwargs", "user", "chain_user", "changed_by", "error"),
    "events": ("*",),
    "events_copy": ("*",),
    "run_audit_copy": ("*",),
    "run_notifications": ("*",),
    "run_audit": ("*",),
    "run_trace": ("*",),
    "thread": ("c:*", "values", "interrupts", "error"),
    "thread_calls": ("*",),
    "review": ("question", "votes", "decision", "answer"),
    "thread_approvals": ("*",),
    "delivery": ("*", "body_values", "body_interrupts", "body_error", "body", "review_*"),
    "delivery_tries": ("*",),
    "checkpoint_state": ("c*", "b*"),
    "checkpoint_writes": ("*",),
    "documents": ("*",),
    "document_writes": ("*",),
    "assistant": ("content", "v:*"),
    "cron": ("payload", "request"),
    "store_items": ("*",),
    "store_vectors": ("*",),
    "webhook_endpoint": ("keys",),
    "encryption": ("digest_key",),
    "stream_ticket": ("*",),
    "hook_delivery": ("delivery_id", "kept_headers", "digest", "raw_body", "answer"),
}
"""Encrypted fields by kind. What is plain beside them in one value: `PARTS`."""

KEYED: Final[Mapping[str, tuple[str, ...]]] = {"thread": ("value_terms",)}
"""Fields that hold digests which nobody can check without a key of the deployment."""

PARTS: Final[Mapping[str, str]] = {
    "events": "the name of an event, its mark, and events that scripts make: their beginning, their end, notices of "
    "operators. The frame and the result of every other event are encrypted",
    "events_copy": "as in `events`",
    "run_audit_copy": "as in `run_audit`",
    "run_notifications": "as in `events`: what is published is what is stored",
    "run_audit": "the action, the actor, and the details that scripts make. All other details are encrypted",
    "run_trace": "the end of an attempt whose worker died, which a script stores: ids and times",
    "thread_calls": "the record of a call: its tool, hash, state and policy. The result is encrypted",
    "thread_approvals": "who approved a call. What was decided instead is encrypted",
    "delivery": "the fields that are plain in the record of the run, and the thin body of an event: ids and the path "
    "of the result",
    "checkpoint_state": "the head of a checkpoint's record: names and versions of channels, the ids of its parent and "
    "its run",
    "checkpoint_writes": "the channel and the path of the task of a pending write, and of joined writes the names of "
    "the values that are their dictionary",
    "documents": "ids, namespace, names of channels, source and step, which the search index reads",
    "document_writes": "ids, namespace, task, channel",
    "assistant": "graph, name, description and metadata. Config and context are encrypted",
    "store_items": "the times of an item",
}
"""By kind: what is plain inside its encrypted values."""

PLAIN: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "an id, or a list of ids": {
        "run": (
            "run_id",
            "thread_id",
            "assistant_id",
            "worker",
            "inline_request",
            "last_event",
            "chain_id",
            "resumes",
            "retries",
            "retried_by",
            "skipped_tasks",
            "resumed_by",
            "crashed_worker",
            "reviews",
            "trace",
        ),
        "thread": ("active_run_id", "waiting_run_id", "answered_by_run_id", "original", "token"),
        "review": ("run_id", "thread_id", "interrupt_id", "call", "request", "resumed_by", "asked_before"),
        "assistant": ("token",),
        "cron": ("cron_id", "seed", "assistant_id", "thread_id", "last_run_id"),
        "breaker": ("failures", "probe"),
        "rollout_counts": ("ramp",),
        "webhook_endpoint": ("created_by", "request", "subscribed"),
        "page_session": ("key_id",),
        "hook_delivery": ("run_id", "thread_id", "replay_of", "by"),
        **_whole(
            "hook_deliveries",
            "hook_deliveries_in",
            "unanswered_hook_deliveries",
            "hook_namespace",
            "runs_with",
            "traces",
            "checkpoint_threads",
            "thread_runs",
            "thread_queue",
            "thread_states",
            "threads",
            "threads_created",
            "threads_state",
            "threads_ids",
            "threads_due",
            "trash",
            "reviews",
            "reviews_by_due",
            "reviews_due",
            "reviews_ready",
            "review_notifications",
            "queue",
            "suspect_queue",
            "running_suspects",
            "later_queue",
            "parked_queue",
            "waiting_workers",
            "leases",
            "group_runs",
            "group_exchanges",
            "group_shares",
            "group_wants",
            "groups_wanted",
            "budget_reserver",
            "worker_versions",
            "version_queue",
            "switch_runs",
            "shared_revisions",
            "paused_runs",
            "held_runs",
            "deliveries",
            "internal_deliveries",
            "deliveries_all",
            "deliveries_with",
            "deliveries_expiring",
            "delivery_calls",
            "parked_deliveries",
            "parked_targets",
            "target_calls",
            "target_waiting",
            "delivery_looks",
            "webhook_endpoints",
            "webhook_endpoints_of",
            "checkpoints",
            "document_registries",
            "document_pointers",
            "assistants",
            "crons",
            "crons_due",
            "thread_crons",
            "workers",
            "duty",
            "control",
            "stream_slots",
            "api_keys",
            "api_keys_end",
            "api_key_changes",
        ),
    },
    "a state or a count that scripts read": {
        "run": ("phase", "cancel_action", "webhook", "webhook_queue", "multitask_strategy", "lane", "metered"),
        "thread": ("status", "idle_status", "ttl", "ttl_strategy"),
        "review": ("state", "was"),
        "delivery": ("body_status", "delivery_state", "type"),
        "cron": ("schedule", "timezone", "on_run_completed"),
        "encryption": ("position", "digests"),
        "webhook_endpoint": ("types", "format", "state"),
        "hook_delivery": ("state", "event_type"),
        "budget": ("told:*",),
        "api_key": ("scopes",),
        "layout": ("release",),
        "metrics_process": ("kind", "gauge:*"),
        **_whole(
            "thread_notifications",
            "trace_bytes",
            "metrics",
            "pending_counts",
            "metrics_processes",
            "metrics_read",
            "webhook_subscriptions",
            "document_bytes",
            "replication_mark",
            "rate",
            "worker_health",
            "check_position",
            "evidence",
            "probe",
            "arq_fault",
            "rollout_changes",
            "switch_changes",
            "breakers",
            "rate",
        ),
    },
    "limits that scripts compare": {"run": ("ceilings", "raised_ceilings", "usage", "groups")},
    "names from the project: graphs, nodes, tools, versions": {
        "run": ("graph_id", "version", "version_fixed", "build", "switch", "held", "queued_as"),
        "thread": ("version", "schema", "version_graph", "moves"),
        "review": ("graph_id", "node", "policy"),
        "breaker": ("problem",),
        "webhook_endpoint": ("graphs",),
        "hook_delivery": ("hook",),
        **_whole("queued_runs", "graph_versions", "graph_structures", "builds", "version_groups", "reviews_of_graph"),
        **_whole("shared_changes"),
    },
    "searches and access filters read it": {
        "run": ("m:*", "terms", "error_term"),
        "thread": ("m:*", "terms"),
        "review": ("terms", "owner", "restricted_to", "started_by", "assignee", "groups"),
        "assistant": ("m:*",),
        "cron": ("metadata", "m:*", "terms"),
        "webhook_endpoint": ("for_owner",),
        "api_key": ("owner",),
        "delivery": ("owner", "endpoint_id"),
        **_whole(
            "threads_with",
            "reviews_with",
            "assistants_with",
            "assistants_by",
            "graph_assistants",
            "crons_with",
            "crons_by",
            "store_order",
            "store_namespaces",
            "store_changed",
            "store_expiry",
            "budgets_used",
            "budget_events",
        ),
    },
    "a sentence of the server": {
        "run": ("reason", "cancel_cause", "webhook_problem"),
        "delivery": ("problem",),
        "review": ("reason",),
        "cron": ("problem",),
        "hook_counts": ("refused_why",),
        "handled_due_time": ("problem",),
    },
    "a short text of whoever cancels or operates; scripts build events from it": {
        "run": ("cancel_reason", "operator_pause"),
        "review": ("edited_by",),
        "delivery": ("announcement", "announcement_url", "full_data"),
        "rollout_last": ("ended",),
        "webhook_endpoint": ("url", "description", "disabled_reason"),
        "api_key": ("name", "created_by", "revoked_by"),
        **_whole("switches", "resuming_switches", "shared_actors", "rollouts", "rollout_history"),
    },
    "a digest of 256 random bits, and a few characters of them: nobody can guess the complete value": {
        "api_key": ("digest", "last_characters"),
    },
    "a digest without a key: who can read Redis can check a guess of the complete value": {
        "run": ("edit", "webhook_origin"),
        "review": ("digest", "hash"),
        "idempotency": ("*",),
    },
}
"""By reason: plain fields by kind."""


def how_stored(kind: str, field: str) -> str | None:
    """`encrypted`, `keyed digest`, or `plain: ` and why. None if nothing is declared."""
    if field in ENCRYPTED.get(kind, ()):
        return "encrypted"
    if field in KEYED.get(kind, ()):
        return "keyed digest"
    found = [f"plain: {reason}" for reason, kinds in PLAIN.items() if field in kinds.get(kind, ())]
    return found[0] if len(found) == 1 else None
