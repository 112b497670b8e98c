"""The table of deliberate differences between Slipway and the reference server, each with its reason.

An entry that matches no difference is an error, so the table cannot become outdated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.differential.comparison import Difference


@dataclass(frozen=True)
class Intended:
    """One kind of deliberate difference.

    `pattern` is a regular expression that is searched in the location, `scenario › step › path (kind)`. `condition`
    restricts the entry to some values.
    """

    pattern: str
    reason: str
    condition: Callable[[Difference], bool] = lambda difference: True

    def matches(self, difference: Difference) -> bool:
        """True if the entry covers this difference."""
        return bool(re.search(self.pattern, location_of(difference))) and self.condition(difference)


def location_of(difference: Difference) -> str:
    """One line with scenario, step, path and kind."""
    return f"{difference.scenario} › {difference.step} › {difference.path} ({difference.kind})"


def keeps_not_found(difference: Difference) -> bool:
    """True if both values are texts, and both or only Slipway's contain "not found": clients look for these words."""
    reference, slipway = difference.reference, difference.slipway
    if not isinstance(reference, str) or not isinstance(slipway, str):
        return False
    return "not found" not in reference.lower() or "not found" in slipway.lower()


RUN_FIELD: Final = (
    r"\.(phase|reason|attempt|graph_id|error|usage|ceilings|resumed_by|interrupts|webhook_status|cancel_reason|"
    r"cancel_cause|kwargs\.(checkpoint|strict_resume))"
)
BODY: Final = r"\.body(\[\d+\])?"

INTENDED: Final[tuple[Intended, ...]] = (
    # Members that Slipway omits everywhere
    Intended(
        r"\.langgraph_(plan|host|api_url|api_version|version) \(missing\)",
        "Slipway omits the plan, host, URL and versions of the server from configs, checkpoints and events: they "
        "describe the reference product and cost bytes in each event",
    ),
    Intended(
        r"\.(langgraph_auth_user|langgraph_auth_user_id|langgraph_auth_permissions|user_id|langgraph_request_id) "
        r"\(missing\)",
        "Slipway never returns the user and the id of the request",
    ),
    Intended(
        r"\.__(request_start_time_ms|after_seconds|pregel_node_finished|context_provided)(__)? \(missing\)",
        "the reference server adds internal members to `configurable`",
    ),
    Intended(
        r"\.metadata\.key \(missing\)", "Slipway does not return members of metadata whose names look like secrets"
    ),
    # Members that Slipway adds
    Intended(
        r"GET /ok › \.body\.services\.",
        "Slipway reports the state of Redis and of the workers; the list of the reference server is empty",
    ),
    Intended(r"\.headers\.cache-control \(extra\)", "caches must not store responses about runs"),
    Intended(
        r"\.events\[.*\]\.id \(extra\)", "every event of every stream has an id, so that each stream can be resumed"
    ),
    Intended(r"\.events\[.*\]\.retry \(extra\)", "a stream sends how long a client waits before it reconnects"),
    Intended(rf"{BODY}{RUN_FIELD} \(extra\)", "Slipway returns more fields of a run than the protocol has"),
    Intended(rf"run › {RUN_FIELD} \(extra\)", "Slipway returns these fields also for a run that a cron created"),
    Intended(
        r"\.(body\.)?(code|error|field|hint|kind|id|known|status|thread_id|run_id|allowed|detail) \(extra\)",
        "errors have a stable code and name the record or the field",
        lambda difference: not isinstance(difference.slipway, dict | list) or difference.path.endswith("known"),
    ),
    Intended(
        r"› (\.body|\.frames\[\d+\])?\.(detail|message) \(value\)",
        "Slipway has its own error texts",
        keeps_not_found,
    ),
    Intended(
        r"\.(error|data|__error__)\.message \(value\)",
        "where the text of an error is hidden, Slipway's message names the log that has it",
        lambda difference: str(difference.slipway).startswith("An internal error occurred"),
    ),
    Intended(
        r"^failures\..*\.tasks\[\d+\]\.error \(value\)",
        "an error text that is hidden in the run is hidden in the state too: the same clients can read both",
        lambda difference: "An internal error occurred. The worker's log has the details." in str(difference.slipway),
    ),
    Intended(r"^crons\..*\.(last_run_id|problem) \(extra\)", "a cron has the id or the problem of its last run"),
    Intended(r"^crons\.created_run .*\.(cron_due|cron_id) \(extra\)", "the run of a cron has its due time"),
    Intended(r"^(runs|webhooks)\.stateless .*\.graph_id \(extra\)", "stateless runs have their graph id too"),
    Intended(r"\.headers\.x-pagination-(total|next) \(extra\)", "lists have their total count where it costs nothing"),
    Intended(
        r"update.*\.metadata\.(assistant_id|thread_id) \(extra\)", "a state write stores its assistant and thread"
    ),
    Intended(
        r"^states\..*metadata\.(assistant_id|thread_id) \(extra\)", "a state write stores its assistant and thread"
    ),
    Intended(
        r"threads\.server_info .*\.body\.(version|flags|checkpointer|graphs_unavailable)",
        "the version, the flags and the checkpointer describe the product",
    ),
    Intended(r"^(threads\.server_info) .*\.body\.graphs \(extra\)", "the server lists its graphs"),
    # Times and users
    Intended(
        r"\.(next_run_date|end_time) \(value\)",
        "all times have microseconds and an offset",
        lambda difference: isinstance(difference.slipway, str) and isinstance(difference.reference, str),
    ),
    Intended(r"^crons\..*\.user_id \(value\)", "without a user, the field is null instead of an empty text"),
    # Assistants
    Intended(r"\.(input_schema|output_schema) \(value\)", "the reference server has no schemas for these graphs"),
    Intended(
        r"^assistants\.description_functional .*\.state_schema",
        "the state of the functional API is the value itself",
    ),
    Intended(
        r"^assistants\.lifecycle › (5|6|8|9|10|11|12|15|16|17) ",
        "an empty config deletes config and context; an older version is restored with all its fields, the graph too",
    ),
    Intended(
        r"^assistants\.change_between_runs .*\.configurable\.a \(value\)",
        "a run uses the current version of the assistant, also on a thread with runs of an earlier version",
    ),
    # Requests of browsers
    Intended(
        r"^threads\.cors › 1 ",
        "the reference server rejects the preflight of a public site that asks for access to a private network",
    ),
    Intended(
        r"^threads\.cors › 4 .*allow-origin",
        "the header has the origin of the page that is allowed, not `*`",
    ),
    Intended(r"^threads\.cors › \d .*exposed", "pages can read the location of a run and the id of a request"),
    # Runs and threads
    Intended(
        r"^runs\.non_json_values ",
        "the reference server fails for values without a JSON form that Slipway can return",
    ),
    Intended(
        r"^runs\.unknown_run › (3|4) ", "joining an unknown run returns 404; the reference sends an error with 200"
    ),
    Intended(r"^runs\.last_event_ids › 9 ", "an event id before the first stored event replays all events"),
    Intended(
        r"^(strategies\.\w+|runs\.background) .*\.metadata\.(graph_id|assistant_id) \(value\)",
        "run and thread name the graph that the run executes, not the graph of an earlier run",
    ),
    Intended(r"^strategies\.\w+ › .*/cancel › \.body", "a cancel request with `wait` returns the values so far"),
    Intended(
        r"^(strategies\.\w+|webhooks\.cancelled) .*\.error\.message \(value\)",
        "the error of a cancelled run has the cause",
    ),
    Intended(
        r"^threads\.(prune|time_to_live\w*) ", "the in-memory reference server has no pruning and no time to live"
    ),
    Intended(r"^threads\.copy .*\.config\.configurable \(extra\)", "a copy has the config of its thread"),
    Intended(r"^threads\.copy › (2|5) .*\.values", "the response to a copy request has the values"),
    Intended(r"^threads\.copy › 9 ", "copying an unknown thread returns 404"),
    Intended(r"^threads\.search › 6 ", "the reference server returns 500 when threads are searched by their values"),
    Intended(r"\.observed\.recursion_limit \(value\)", "a node receives the recursion limit that is in force"),
    # Validation
    Intended(r"^contexts\.null_context |^rejections\.run_bodies › (22|23) ", "null means the same as an absent member"),
    Intended(r"^rejections\.run_bodies › (12|16|19) ", "invalid values are rejected with 422"),
    Intended(r"^crons\.rejected › 8 ", "an end time that is not a time is rejected"),
    Intended(
        r"^crons\.rejected › \d+ .*(headers|body|status)",
        "the reference server closes the connection, or responds with 500",
    ),
    Intended(
        r"^failures\.recursion_limit › (25|26) ", "a limit below 1 is rejected with 422; the reference fails the run"
    ),
    Intended(r"^failures\.recursion_limit › 29 ", "null means the same as an absent recursion limit"),
    Intended(r"^failures\.recursion_limit .*\.config\.recursion_limit \(value\)", "the limit 100.0 is stored as 100"),
    # Interrupts
    Intended(
        r"^interrupts\.two_interrupts › (1|5) .*\.log",
        "the values beside an open interrupt contain the writes of tasks that are done, as the stored state does",
    ),
    Intended(
        r"^interrupts\.interrupt_and_answer › 3 ",
        "joining a run that ends with an interrupt returns the values, as a waiting response does",
    ),
    Intended(
        r"^interrupts\.answers_without_interrupt ",
        "an answer to a thread without an interrupt executes the graph; the reference server fails with a TypeError. "
        "`strict_resume` is supported",
    ),
    Intended(
        r"^interrupts\.stream_events .*\.goto ", "a command without `goto` has an empty list, which LangGraph accepts"
    ),
    Intended(
        r"^interrupts\.functional_api .*\.values \(value\)", "before the first result, the values are empty, not null"
    ),
    Intended(
        r"^runs\.commands › 6 ",
        "a command that goes to a node which the graph does not have is rejected; the reference server ignores it",
    ),
    # Errors of graphs
    Intended(
        r"^failures\.(Unprintable|NotesRaise) ",
        "for an exception whose text cannot be read, the message is its class name",
    ),
    Intended(
        r"\.message \(value\)",
        "a validation error lists each field with the reason, without the rejected value",
        lambda difference: "validation error" in str(difference.reference),
    ),
    Intended(
        r"^failures\.RuntimeError .*\.message \(value\)",
        "for an exception without a text, the message is its class name",
    ),
    Intended(
        r"^failures\.group ", "an exception group has its own class name; the reference shows its first exception"
    ),
    # Streams and contexts
    Intended(
        r"^streams\.agent_events .*\.output\.(name|id) \(value\)",
        "an event has the content of the object at the time of the event, without later changes",
    ),
    Intended(
        r"^contexts\..*_unknown_field › 3 GET .*\.kwargs\.config\.configurable\.other \(extra\)",
        "while a run executes, its record has all members of `configurable` that the client sent",
    ),
    Intended(
        r"^contexts\.factory_by_config › (14|15) .*(next|tasks|interrupts)",
        "a state is read with the graph of its run, also if only the request of the run had the config for the factory",
    ),
    Intended(
        r"^contexts\.factory_by_config › 7 .*\.metadata\.\w+ \(extra\)",
        "a state write stores the metadata of its thread",
    ),
    # States
    Intended(
        r"^states\.by_checkpoint › (3|5|6|7) .*\.checkpoint",
        "a checkpoint reference has all its keys; without a value, a key is null",
    ),
    Intended(r"^states\.by_checkpoint › 9 ", "`before` may be the id of a checkpoint"),
    Intended(
        r"^states\.by_checkpoint › 12 ",
        "GET history returns ten states, as the description of the reference server says",
    ),
    Intended(r"^states\.write_pairs › 2 ", "the values of a state write may be pairs of channel and value"),
    Intended(
        r"^states\.typed_untyped .*(classes|tuple)", "a tuple in a state stays a tuple; the reference makes it a list"
    ),
    Intended(r"^states\.typed_state_model › \d ", "the reference server cannot read its own state with a model in it"),
    Intended(r"^states\.typed_state_model_rejected › \d ", "a state that its graph rejects can still be read"),
    Intended(r"^states\.fork › 12 ", "an unknown checkpoint is rejected with 404; the reference server fails the run"),
    Intended(r"^states\.import_history › 5 ", "if its history cannot be written, no thread is created"),
    # The store
    Intended(r"^stores\.rejected › 4 ", "an item without a key is rejected"),
    Intended(
        r"^stores\.lifecycle › \d+ POST /store/items/search › \.body\.items",
        "a search returns the newest items first, as LangGraph's stores do",
    ),
    Intended(r"^stores\.lifecycle › 14 ", "a negative limit is rejected"),
    Intended(r"^stores\.rejected .*(\.body|headers)", "errors of the store are JSON"),
    # The event protocol
    Intended(r"\.seq \(value\)", "`seq` increases along the whole thread, with gaps between runs"),
    Intended(r"\.event_id \(value\)", "event ids have another form; clients only compare them with one another"),
    Intended(r"\.applied_through_seq \(value\)", "the reference server always returns 0"),
    Intended(
        r"^events\..*\.events\[(updates|custom|tasks|checkpoints|tools) [^]]*\] \(extra\)",
        "Slipway sends all channels; the reference server sends those that the graph declares",
    ),
    Intended(
        r"^events\..*\.events\[messages .*\]\.data\.params\.(node|data\.(id|run_id|metadata))",
        "each event of a message has the id of the message, its node and its metadata",
    ),
    Intended(
        r"^(events\.(chat|agent)_values|sdk\.threads_stream_chat) .*\.messages\[\d+\]\."
        r"(content|id|response_metadata|invalid_tool_calls|tool_calls)",
        "the messages of a state are the stored ones, however the run was started",
    ),
    Intended(
        r"^events\..*lifecycle lifecycle \S+ (interrupted|completed|failed)\] \(extra\)",
        "Slipway sends the end of subgraphs too",
    ),
    Intended(
        r"^events\..*input\.requested.*\.value \(extra\)",
        "the Python client reads `value`, the JavaScript one `payload`",
    ),
    Intended(
        r"^events\.agent_messages .*\.events\[messages messages tools:\S+ .*\] \(missing\)",
        "the channel `messages` has the messages of models; the results of tools are on the channel `tools`",
    ),
    Intended(
        r"^events\.agent_messages .*content-block-start\]\.data\.params\.data\.content\.index \(missing\)",
        "the index of a block is a member of the event, not of its content",
    ),
    Intended(
        r"^events\.answer .*input\.answered[^]]*\] \(extra\)",
        "all clients of a thread receive an event for each answer",
    ),
    Intended(
        r"^events\.agent_tools .*tool-finished\]\.data\.params\.data\.output\.id \(value\)",
        "the message of a tool receives its id later, when the state is written",
    ),
    Intended(r"^events\.agent_tools .*\.params\.node \(extra\)", "the events of a tool name their node"),
    Intended(
        r"^events\.model_by_(events_v2|stream)_messages ",
        "clients receive each message chunk of a model, with every method by which a node can stream it",
    ),
    Intended(
        r"^events\.(filters|parent_interrupts_values|answer) .*(lifecycle|values) ",
        "a subgraph starts before its first values are sent; the values of an interrupt are sent with the interrupt",
    ),
    Intended(
        r"^events\.fails_HiddenText_lifecycle .*\.error \(value\)",
        "where the text of an error is hidden, Slipway's message names the log that has it",
    ),
    Intended(r"^events\.agent_tree › 2 ", "the tree is also returned after the newest run of the thread ended"),
    # Invalid commands of the event protocol
    Intended(
        r"^events\.invalid_commands › [23] .*\.body\.id \(value\)",
        "the reply to an invalid command has no command id",
    ),
    Intended(
        r"^events\.invalid_commands › (6|7) .*\.error \(value\)", "an unknown assistant is the error `invalid_argument`"
    ),
    Intended(
        r"^events\.invalid_commands › 9 .*\.error \(value\)",
        "for a thread without an interrupted run, the error is `no_such_run`",
    ),
    Intended(r"^events\.invalid_commands › 12 ", "subscription commands need a WebSocket"),
    Intended(r"^events\.invalid_commands › 14 ", "for a body that is not JSON, the error has the form of the protocol"),
    Intended(r"^events\.invalid_commands › (18|19) ", "invalid members are rejected with 422"),
)
