"""The keys of runs: records, event logs, idempotency keys."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_RUN_FIELDS: Final = (
    Field("run_id", Encoding.TEXT, "Its id, a UUID.", python_writers=("slipway.runs.record",)),
    Field("thread_id", Encoding.TEXT, "The thread that it executes on.", python_writers=("slipway.runs.record",)),
    Field(
        "assistant_id", Encoding.TEXT, "The assistant that the request names.", python_writers=("slipway.runs.record",)
    ),
    Field(
        "graph_id",
        Encoding.TEXT,
        "The graph of that assistant when the run was created.",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "kwargs",
        Encoding.JSON,
        "The run options: input, command, config, stream modes and so on, without members that have default values.",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "m:*",
        Encoding.JSON,
        "One member of its metadata: the assistant's, the thread's and the request's, merged. `assistant_id` and"
        " `graph_id`, which the metadata of every run has, are not among them.",
        absent="the metadata has no such member",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "multitask_strategy",
        Encoding.TEXT,
        "The strategy that it was created with: `reject`, `interrupt` or `rollback`.",
        absent="it was `enqueue`",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "queued_as",
        Encoding.TEXT,
        "Its part of its member in the set of queued runs: version, priority, since when it is due; empty while it is "
        "not queued.",
        absent="an earlier release created it, or metrics are off",
        scripts_only=True,
    ),
    Field(
        "trace",
        Encoding.TEXT,
        "Its trace (`slipway.tracing.run_trace`): the `traceparent` of its own span, `k` if spans are stored, the id"
        " of the parent span, the `traceparent` of the request that answered, and the `tracestate` if there is one,"
        " separated by commas. A run that continues a chain gets the trace of the chain.",
        absent="nothing is traced, or an earlier release created it",
        python_writers=("slipway.runs.creation",),
    ),
    Field(
        "trace_bytes",
        Encoding.INTEGER,
        "How many bytes its attempts have stored as spans.",
        absent="none",
        unit="bytes",
    ),
    Field(
        "continues",
        Encoding.FLAG,
        "It continues from the thread's last checkpoint: with an answer to an interrupt, or without input.",
        absent="it does not",
        scripts_only=True,
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "answers",
        Encoding.FLAG,
        "It answers an interrupt.",
        absent="it does not",
        scripts_only=True,
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "reviews",
        Encoding.TEXT,
        "The ids of the interrupts for which reviews were opened, separated by spaces.",
        absent="it has asked nothing",
    ),
    Field(
        "guarded",
        Encoding.BOOLEAN,
        "Whether the policy of one of its reviews restricts who may answer, or the tool gateway asks.",
        absent="it has asked nothing",
        scripts_only=True,
    ),
    Field(
        "cancelled_while_waiting",
        Encoding.FLAG,
        "It was cancelled while it waited for approval.",
        absent="it was not",
        scripts_only=True,
    ),
    Field(
        "chain_user",
        Encoding.JSON,
        "The user of the first run of its chain; clients never receive it.",
        absent="it is the first run, or there is no auth file",
    ),
    Field(
        "user",
        Encoding.JSON,
        "The user for whom it executes; clients never receive it.",
        absent="there is no auth file",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "changed_by",
        Encoding.JSON,
        "Other users who changed the cron that created it; each must be authorized too.",
        absent="no other user changed it",
        python_writers=("slipway.runs.record",),
    ),
    Field("permitted_us", Encoding.TIME_US, "When the auth file authorized it.", absent="there is no auth file"),
    Field(
        "groups",
        Encoding.JSON,
        "Its concurrency groups: `[[name, limit], …]`.",
        absent="it has none",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "priority_ms",
        Encoding.INTEGER,
        "What its priority adds to the due time of its job, for the rank in the queue.",
        absent="its priority is `normal`",
        unit="ms",
        scripts_only=True,
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "ceilings",
        Encoding.TEXT,
        "All its ceilings: the numbers in the order of `slipway.accounting.limits.NAMES`, separated by commas; a place"
        " is empty if there is no limit. Earlier releases stored a JSON object. An answer to an interrupt inherits the"
        " lower ones of the run that it answers.",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "raised_ceilings",
        Encoding.TEXT,
        "The ceilings that an operator has raised for its chain, in the form of `ceilings`.",
        absent="none was raised",
        scripts_only=True,
    ),
    Field(
        "metered",
        Encoding.JSON,
        "What its chain has used of models and tools: a list that begins with its revision; see"
        " `accounting/metered_usage.py`.",
        absent="its chain has called no model and no tool",
        python_writers=("slipway.metering",),
    ),
    Field(
        "retain_s",
        Encoding.INTEGER,
        "How long the record stays after the thread that was created for the run is deleted.",
        absent="the thread was not created for it, or the request had no idempotency key",
        unit="s",
        scripts_only=True,
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "webhook_origin",
        Encoding.TEXT,
        "The digest of its owner (or user) and of the scheme, host and port of its webhook: whose calls are limited "
        "together.",
        absent="the webhook is a path of this deployment, or there is none",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "webhook_queue",
        Encoding.TEXT,
        "The key kind of the queue that its delivery waits in, when it is not `deliveries`.",
        absent="the webhook has a host, or there is none",
        scripts_only=True,
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "created_us",
        Encoding.TIME_US,
        "When it was created, or when its delay ends. With the id it is the run's incarnation.",
    ),
    Field("updated_us", Encoding.TIME_US, "When its phase was changed last."),
    Field("started_us", Encoding.TIME_US, "When its first attempt started.", absent="no attempt started"),
    Field(
        "ended_us",
        Encoding.TIME_US,
        "When an attempt settled it, or a reclaim failed it.",
        absent="it has not ended, or was cancelled before it started",
    ),
    Field(
        "due_ms",
        Encoding.TIME_MS,
        "When its next attempt may start.",
        absent="it was never queued again, so it is due at `created_us`",
        scripts_only=True,
    ),
    Field("phase", Encoding.TEXT, "Its phase; see docs/state-machine.md."),
    Field("reason", Encoding.TEXT, "Why it is in this phase; empty when the phase says everything."),
    Field(
        "attempt",
        Encoding.INTEGER,
        ("The number of the last attempt that started, 0 before the first: the fencing token of its writes."),
    ),
    Field(
        "uncounted_attempts",
        Encoding.INTEGER,
        (
            "How many attempts do not count towards `max_attempts`: they were released, or ended by a crash of which "
            "it is not the likely cause."
        ),
        absent="all count",
    ),
    Field(
        "worker",
        Encoding.TEXT,
        "The process that executes it.",
        absent="no attempt holds its lease",
    ),
    Field(
        "inline_request",
        Encoding.TEXT,
        (
            "A random text of the request by which a web process acquired it, so that a repetition of the "
            "call is recognised."
        ),
        absent="no web process executes it",
        scripts_only=True,
    ),
    Field(
        "last_group",
        Encoding.INTEGER,
        "The number of the last write group that the current attempt stored.",
        absent="no attempt started",
        scripts_only=True,
    ),
    Field(
        "no_checkpoints",
        Encoding.BOOLEAN,
        "Whether the thread had no checkpoint when the attempt started, so that none is read.",
        absent="no attempt started",
    ),
    Field(
        "announce_attempt",
        Encoding.BOOLEAN,
        (
            "Whether the next attempt appends a `metadata` event, because clients have received events of an "
            "earlier attempt that may come again."
        ),
        absent="it was never queued again",
        scripts_only=True,
    ),
    Field(
        "settled_by",
        Encoding.INTEGER,
        "The attempt that ended it, so that a repetition of settle is recognised.",
        absent="no attempt has ended it",
        scripts_only=True,
    ),
    Field(
        "ordinal",
        Encoding.INTEGER,
        ("Its ordinal among the runs of its thread: 1 for the first that started, or ended before it started."),
        absent="it has neither started nor ended",
    ),
    Field("last_event", Encoding.TEXT, "The id of the newest event in its log."),
    Field(
        "usage",
        Encoding.JSON,
        "What its chain has used of its ceilings:"
        " `[steps, retries, active_s, event_bytes, {node: visits}, {node: task}]`. The last member holds the first 8"
        " characters of the first task id of each node in the superstep that was counted last. Earlier releases"
        " stored an object.",
        absent="it has used nothing, and answers no interrupt",
        python_writers=("slipway.runs",),
    ),
    Field(
        "chain_id",
        Encoding.TEXT,
        "The first run of its chain.",
        absent="it is the first one",
        scripts_only=True,
    ),
    Field(
        "resumes",
        Encoding.TEXT,
        "The run whose interrupt it answers, or that it retries.",
        absent="it answers no interrupt and retries no run",
    ),
    Field(
        "retries",
        Encoding.TEXT,
        "The runs that it retries, separated by commas: the first of the chain of retries first, the last directly.",
        absent="it retries none",
        python_writers=("slipway.runs.record",),
    ),
    Field("retried_by", Encoding.TEXT, "The run that retries it.", absent="none does"),
    Field(
        "skipped_tasks",
        Encoding.JSON,
        "The ids of the tasks that an operator has skipped.",
        absent="no task was skipped",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "edit",
        Encoding.TEXT,
        "The digest of the last edit of the state with which an operator has resumed it.",
        absent="there was none",
    ),
    Field(
        "resumed_by",
        Encoding.TEXT,
        "The run that continued the thread after this run had stopped at an interrupt.",
        absent="it did not stop at an interrupt, or the thread was not continued since",
    ),
    Field(
        "version",
        Encoding.TEXT,
        "The version of its graph. A claim replaces it if the run continues on another one. Empty if it is not known.",
        absent="it was not claimed yet and the claim decides, or an earlier release stored it",
    ),
    Field(
        "version_fixed",
        Encoding.TEXT,
        "It executes on this version and on no other. `1`: somebody has named it. `returned`: a worker could not move "
        "the thread; this ends when no live worker serves the version any more.",
        absent="the rule of the graph decides",
    ),
    Field(
        "build",
        Encoding.TEXT,
        "The id of the build of the version that executed it last. Empty if it is not known.",
        absent="it was not claimed yet, or an earlier release stored it",
    ),
    Field(
        "lane",
        Encoding.TEXT,
        "The lane in which its job waits.",
        absent="it does not wait for a worker that serves its version",
        scripts_only=True,
    ),
    Field(
        "cancel_action",
        Encoding.TEXT,
        "`interrupt` or `rollback`: the cancel action that was requested.",
        absent="no cancel was requested",
    ),
    Field(
        "cancel_cause",
        Encoding.TEXT,
        "Why it is cancelled, as a sentence of the server.",
        absent="no cancel was requested",
    ),
    Field(
        "cancel_reason",
        Encoding.TEXT,
        "The text that the client sent with the cancel request.",
        absent="the cancel request had no text",
    ),
    Field(
        "operator_pause",
        Encoding.JSON,
        "The operator's request to pause it: `by`, `at`, `reason`.",
        absent="no operator has paused it, or it was resumed",
    ),
    Field(
        "pauses_exhausted",
        Encoding.FLAG,
        "It pauses instead of failing when its retries or its attempts are used up.",
        absent="it fails",
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "held",
        Encoding.JSON,
        "Why its attempt has paused it: `why` (`version` or `exhausted`), and what `runs/held.py` says.",
        absent="its attempt has not",
    ),
    Field(
        "switch",
        Encoding.TEXT,
        "The key of the switch before which it is paused.",
        absent="it is not paused, or by an operator",
    ),
    Field(
        "error",
        Encoding.JSON,
        "Why it failed, or is paused: code, error, message, node, attempt, retryable.",
        absent="it has not failed, and its retries are not used up",
    ),
    Field(
        "input_not_stored",
        Encoding.FLAG,
        "It failed before its input was stored. An interrupt that it answered can be answered again.",
        absent="its input was stored, or it has not failed",
        scripts_only=True,
    ),
    Field(
        "crashes",
        Encoding.INTEGER,
        "How many workers died in a row while they executed it.",
        absent="no worker has died since the run was cleared",
        python_writers=("slipway.runs",),
    ),
    Field(
        "crashed_attempt",
        Encoding.INTEGER,
        ("The attempt with which a worker died last. If that worker was only slow, the crash is subtracted again."),
        absent="no worker has died since the run was cleared",
        python_writers=("slipway.runs",),
        scripts_only=True,
    ),
    Field(
        "crashed_worker",
        Encoding.TEXT,
        "The id of the worker that died last while it executed the run.",
        absent="no worker has died since the run was cleared, or only under an earlier release",
        python_writers=("slipway.runs",),
    ),
    Field(
        "webhook",
        Encoding.TEXT,
        "`pending`, `delivered` or `failed`: the status of its webhook.",
        absent="it has no webhook",
        python_writers=("slipway.runs",),
    ),
    Field(
        "terms",
        Encoding.TEXT,
        "Its index terms, 20 characters each.",
        absent="an earlier release stored it, and its thread was deleted",
        scripts_only=True,
        python_writers=("slipway.runs.record",),
    ),
    Field(
        "error_term",
        Encoding.TEXT,
        "The index term of the code of its error.",
        absent="it has not failed",
        scripts_only=True,
    ),
    Field("webhook_problem", Encoding.TEXT, "Why the last try failed.", absent="no try failed"),
)

KEY_KINDS: Final = (
    KeyKind(
        "run",
        ":run:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The record of a run.",
        lifetime="deleted with its thread, or `retain_s` later",
        python_writers=("slipway.runs", "slipway.metering"),
        python_readers=(
            "slipway.runs",
            "slipway.checkpoints",
            "slipway.webhooks",
            "slipway.reviews",
            "slipway.graph_versions",
        ),
        fields=_RUN_FIELDS,
    ),
    KeyKind(
        "runs_with",
        ":runs:with:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "An index of runs across threads, by created_at in µs: those in one phase (`unfinished` for queued, "
            "running and paused runs), or those with one index term (an assistant, a graph, an owner or an error code)."
        ),
        lifetime="while there are such runs",
        python_readers=("slipway.runs", "slipway.health", "slipway.graph_versions"),
    ),
    KeyKind(
        "events",
        ":run:%s:events",
        RedisType.STREAM,
        Shard.THREAD,
        meaning=(
            "The event log of a run. Each entry has `n` (the name), `f` (the frame), and it may have `m` (a "
            "mark that names the content) or `r` (the result, at the end: JSON, or the byte 31 and how many entries "
            "before it the `values` event is whose data are the result)."
        ),
        lifetime="`event_ttl_s` after the end of the run",
        python_readers=("slipway.runs",),
    ),
    KeyKind(
        "events_copy",
        ":run:%s:events:copy",
        RedisType.STREAM,
        Shard.THREAD,
        meaning="A copy of an event log without its free space, or with a new encryption key. It replaces the log.",
        lifetime="within one script, or while `slipway encryption rotate` writes it, at most 10 minutes",
    ),
    KeyKind(
        "run_notifications",
        ":run:%s:notifications",
        RedisType.CHANNEL,
        shard=None,
        meaning="The events that a script appended to a log, with their ids and the id before them.",
        python_readers=("slipway.runs",),
    ),
    KeyKind(
        "run_audit",
        ":run:%s:audit",
        RedisType.STREAM,
        Shard.THREAD,
        meaning=(
            "The audit trail of a run: what people and rules decided about it. Each entry has `action`, `actor` and "
            "`details`, a JSON object."
        ),
        lifetime="deleted with the run; absent until there is an entry",
        python_readers=("slipway.runs",),
        python_writers=("slipway.runs",),
    ),
    KeyKind(
        "run_audit_copy",
        ":run:%s:audit:copy",
        RedisType.STREAM,
        Shard.THREAD,
        meaning="A copy of an audit trail with a new encryption key, which replaces the trail at once.",
        lifetime="while `slipway encryption rotate` writes it, at most 10 minutes",
    ),
    KeyKind(
        "checkpoint_threads",
        ":run:%s:cp",
        RedisType.SET,
        Shard.THREAD,
        meaning="Other threads than its own that have checkpoints of a run.",
        lifetime="until no thread of its shard has one; at most a minute after the run is deleted",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
    ),
    KeyKind(
        "idempotency",
        ":idempotency:%s",
        RedisType.STRING,
        Shard.IDEMPOTENCY,
        meaning=(
            "By digest of an idempotency key: the digest of the request's body, and a random id for what it creates."
        ),
        lifetime="one day",
        python_writers=("slipway.runs",),
        python_readers=("slipway.runs",),
    ),
)
