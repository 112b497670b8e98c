"""Where Slipway differs from the reference server on purpose, each with the reason.

An entry that covers nothing any more is reported as an error, so the table says what is so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.differential.comparison import Difference


@dataclass(frozen=True)
class Intended:
    """A kind of difference that is meant. `where` is searched in `scenario › step › path (kind)`."""

    where: str
    reason: str
    when: Callable[[Difference], bool] = lambda difference: True

    def covers(self, difference: Difference) -> bool:
        """Whether this is the difference that is meant."""
        return bool(re.search(self.where, place_of(difference))) and self.when(difference)


def place_of(difference: Difference) -> str:
    """One line that says where it is."""
    return f"{difference.scenario} › {difference.step} › {difference.path} ({difference.kind})"


def says_what_clients_look_for(difference: Difference) -> bool:
    """Both are texts, and where the reference says "not found", ours does, too."""
    theirs, ours = difference.reference, difference.ours
    if not isinstance(theirs, str) or not isinstance(ours, str):
        return False
    return "not found" not in theirs.lower() or "not found" in ours.lower()


RUN: Final = (
    r"\.(phase|reason|attempt|graph_id|error|usage|ceilings|resumed_by|interrupts|webhook_status|cancel_reason|"
    r"cancel_cause|kwargs\.(checkpoint|strict_resume))"
)
BODY: Final = r"\.body(\[\d+\])?"

INTENDED: Final[tuple[Intended, ...]] = (
    Intended(r"GET /ok › \.body\.services\.", "ours says how Redis and the workers are; the reference lists nothing"),
    # what is left out everywhere
    Intended(
        r"\.langgraph_(plan|host|api_url|api_version|version) \(missing\)",
        "the reference server's plan, host, URL and versions in every config, checkpoint and event: facts about that "
        "product, which cost bytes everywhere",
    ),
    Intended(
        r"\.(langgraph_auth_user|langgraph_auth_user_id|langgraph_auth_permissions|user_id|langgraph_request_id) "
        r"\(missing\)",
        "who called and with which request is never part of an answer",
    ),
    Intended(
        r"\.__(request_start_time_ms|after_seconds|pregel_node_finished|context_provided)(__)? \(missing\)",
        "the reference server's bookkeeping inside `configurable`",
    ),
    # what is added
    Intended(r"\.headers\.cache-control \(extra\)", "answers of runs are not to be kept by a cache"),
    Intended(r"\.events\[.*\]\.id \(extra\)", "every event of every stream has an id, so all can be resumed"),
    Intended(r"\.events\[.*\]\.retry \(extra\)", "a stream says how long a client waits before it comes back"),
    Intended(rf"{BODY}{RUN} \(extra\)", "what Slipway knows of a run beside the protocol's fields"),
    Intended(rf"run › {RUN} \(extra\)", "the same of a run that a cron made"),
    Intended(
        r"\.(body\.)?(code|error|field|hint|kind|id|known|status|thread_id|run_id|allowed|detail) \(extra\)",
        "errors have a stable code, and say what they are about",
        lambda difference: not isinstance(difference.ours, dict | list) or difference.path.endswith("known"),
    ),
    Intended(
        r"› (\.body|\.frames\[\d+\])?\.(detail|message) \(value\)",
        "errors have texts of our own",
        says_what_clients_look_for,
    ),
    Intended(
        r"\.(error|data|__error__)\.message \(value\)",
        "where a text is hidden, ours says where to find it",
        lambda difference: str(difference.ours).startswith("An internal error occurred"),
    ),
    Intended(
        r"^failures\..*\.tasks\[\d+\]\.error \(value\)",
        "where a text is hidden, it is hidden in states, too: they are as public as the run",
        lambda difference: "An internal error occurred. The worker's log has the details." in str(difference.ours),
    ),
    Intended(r"^crons\..*\.(last_run_id|problem) \(extra\)", "what became of a cron's last run"),
    Intended(r"^crons\.a_run_of_one .*\.(cron_due|cron_id) \(extra\)", "a cron's runs say when they were due"),
    Intended(r"^(runs|webhooks)\.stateless .*\.graph_id \(extra\)", "runs without a thread name their graph, too"),
    Intended(r"\.headers\.x-pagination-(total|next) \(extra\)", "lists say how many there are, where that is known"),
    Intended(r"update.*\.metadata\.(assistant_id|thread_id) \(extra\)", "a written state says whose it is"),
    Intended(r"^states\..*metadata\.(assistant_id|thread_id) \(extra\)", "the same"),
    Intended(r"threads\.system .*\.body\.(version|flags|checkpointer|graphs_unavailable)", "another product answers"),
    # times and people
    Intended(
        r"\.(next_run_date|end_time) \(value\)",
        "times have microseconds and an offset, always",
        lambda difference: isinstance(difference.ours, str) and isinstance(difference.reference, str),
    ),
    Intended(r"^crons\..*\.user_id \(value\)", "nobody is null, not an empty name"),
    # what is more correct than the reference
    Intended(r"\.(input_schema|output_schema) \(value\)", "the reference cannot describe these inputs and outputs"),
    Intended(r"^assistants\.drawn_functional .*\.state_schema", "the state of the functional API is the value itself"),
    Intended(
        r"^assistants\.life › (5|6|8|9|10|11|12|15|16|17) ",
        "an empty config clears config and context; an older version comes back whole, its graph too",
    ),
    Intended(
        r"^assistants\.changed_while_used .*\.configurable\.a \(value\)",
        "a changed assistant is used changed, also on threads that it ran on before",
    ),
    Intended(r"^threads\.from_a_browser › 1 ", "a page of a public site may ask a server of a private network"),
    Intended(
        r"^threads\.from_a_browser › 4 .*allow-origin",
        "the origin of an allowed page is named: not every page is allowed",
    ),
    Intended(r"^threads\.from_a_browser › \d .*exposed", "pages may read where a run is, and a request's id"),
    Intended(r"^runs\.values_that_json_has_not ", "the reference fails with values that Slipway can show"),
    Intended(r"^runs\.unknown_run › (3|4) ", "joining an unknown run is 404 instead of an error inside a 200"),
    Intended(r"^stores\.refused › 4 ", "an item has a key"),
    Intended(
        r"^events\.commands_that_are_wrong › (6|7) .*\.error \(value\)", "an unknown assistant is a wrong argument"
    ),
    Intended(
        r"^(strategies\.\w+|runs\.background) .*\.metadata\.(graph_id|assistant_id) \(value\)",
        "a run, and its thread afterwards, name the graph that the run executes, not the thread's earlier one",
    ),
    Intended(r"^strategies\.\w+ › .*/cancel › \.body", "cancelling with `wait` answers with the values so far"),
    Intended(
        r"^interrupts\.two_at_once › (1|5) .*\.log",
        "the values beside an open question have what was answered already, as the stored state has",
    ),
    Intended(
        r"^interrupts\.asked_and_answered › 3 ",
        "joining a run that asks gives the values, too, as waiting for it does",
    ),
    Intended(
        r"^interrupts\.answers_to_nobody ",
        "an answer where nothing was asked runs the graph instead of a TypeError; `strict_resume` is honoured",
    ),
    Intended(
        r"^interrupts\.in_events .*\.goto ", "a command without `goto` has an empty list, which LangGraph can take"
    ),
    Intended(r"^interrupts\.functional .*\.values \(value\)", "values before the first result are empty, not null"),
    Intended(
        r"^(strategies\.\w+|webhooks\.cancelled) .*\.error\.message \(value\)", "a cancel names its cause in words"
    ),
    Intended(r"^failures\.(Unprintable|NotesRaise) ", "an exception that cannot be described is called by its class"),
    Intended(
        r"\.message \(value\)",
        "a value that a model refuses is named with the reason, field by field, and not quoted",
        lambda difference: "validation error" in str(difference.reference),
    ),
    Intended(
        r"^failures\.RuntimeError .*\.message \(value\)",
        "an exception without a text is told by its class",
    ),
    Intended(r"^failures\.group ", "an exception group is called what it is, not by its first exception"),
    Intended(
        r"^streams\.agent_events .*\.output\.(name|id) \(value\)",
        "an event says what was so when it happened, not what the object became later",
    ),
    Intended(
        r"^contexts\..*_unknown › 3 GET .*\.kwargs\.config\.configurable\.other \(extra\)",
        "what a client configured stays in the run's record while it is executed",
    ),
    Intended(r"^contexts\.null |^refusals\.run_bodies › (22|23) ", "null is as good as absent"),
    Intended(r"^refusals\.run_bodies › (12|16|19) ", "what cannot be meant is refused with 422"),
    Intended(r"^crons\.refused › 8 ", "an end that is no time is refused"),
    Intended(r"^crons\.refused › \d+ .*(headers|body|status)", "the reference breaks the connection, or answers 500"),
    Intended(
        r"^states\.at_checkpoints › (3|5|6|7) .*\.checkpoint", "checkpoints have all their keys; an unknown one is null"
    ),
    Intended(r"^states\.at_checkpoints › 9 ", "`before` may be a checkpoint's id"),
    Intended(r"^states\.at_checkpoints › 12 ", "GET history gives ten states, as the reference's description says"),
    Intended(r"^states\.written_in_pairs › 2 ", "a state may be written in pairs of channel and value"),
    Intended(
        r"^stores\.life › \d+ POST /store/items/search › \.body\.items", "newest first, as LangGraph's own stores"
    ),
    Intended(r"^stores\.life › 14 ", "a negative limit is refused"),
    Intended(r"^stores\.refused .*(\.body|headers)", "errors of the store are JSON"),
    Intended(r"^threads\.(pruned|time_to_live\w*) ", "the reference in memory cannot do this"),
    Intended(r"^threads\.copied .*\.config\.configurable \(extra\)", "a copy has its thread's config"),
    Intended(r"^threads\.searched › 6 ", "the reference answers 500 when threads are searched by their values"),
    Intended(r"^threads\.copied › (2|5) .*\.values", "the answer to a copy has its values"),
    Intended(r"\.seen\.recursion_limit \(value\)", "a node sees the recursion limit that holds"),
    Intended(
        r"^failures\.recursion › (25|26) ", "a recursion limit below one is refused with 422, not by a failed run"
    ),
    Intended(r"^failures\.recursion › 29 ", "null is as good as absent, here too"),
    Intended(r"^failures\.recursion .*\.config\.recursion_limit \(value\)", "100.0 is 100"),
    Intended(r"^runs\.last_event_ids › 9 ", "an id before everything that is kept replays all of it"),
    Intended(r"^states\.of_loose .*(told|tuple)", "a tuple in a state stays a tuple; the reference makes it a list"),
    Intended(r"^states\.of_state_model › \d ", "the reference refuses its own state, once a model is in it"),
    Intended(r"^states\.of_state_model_refused › \d ", "a state that its graph refuses can be read"),
    Intended(r"\.metadata\.key \(missing\)", "members of metadata that are named like secrets are not shown"),
    Intended(r"^states\.forked › 12 ", "a checkpoint that does not exist is refused with 404, not by a failed run"),
    Intended(r"^states\.imported › 5 ", "a thread whose past cannot be written is not made"),
    Intended(
        r"^contexts\.of_factories › (14|15) .*(next|tasks|interrupts)",
        "a state is read with the graph that its run had, also where only the request configured it",
    ),
    Intended(r"^(threads\.system) .*\.body\.graphs \(extra\)", "the server says which graphs it has"),
    # the event protocol
    Intended(r"\.seq \(value\)", "`seq` grows along the thread, and jumps between runs"),
    Intended(r"\.event_id \(value\)", "events have ids of another form; clients compare them only with one another"),
    Intended(r"\.applied_through_seq \(value\)", "the reference always says 0"),
    Intended(
        r"^events\..*\.events\[(updates|custom|tasks|checkpoints|tools) [^]]*\] \(extra\)",
        "all channels are served; the reference serves those that the graph asks for",
    ),
    Intended(
        r"^events\..*\.events\[messages .*\]\.data\.params\.(node|data\.(id|run_id|metadata))",
        "each event of a message carries the message's id, its node and its metadata",
    ),
    Intended(
        r"^(events\.(chat|agent)_values|sdk\.threads_stream_chat) .*\.messages\[\d+\]\."
        r"(content|id|response_metadata|invalid_tool_calls|tool_calls)",
        "messages in states are those that are stored, whatever way a run was started",
    ),
    Intended(
        r"^events\..*lifecycle lifecycle \S+ (interrupted|completed|failed)\] \(extra\)", "graphs inside end, too"
    ),
    Intended(
        r"^events\..*input\.requested.*\.value \(extra\)", "Python's client reads `value`, JavaScript's `payload`"
    ),
    Intended(
        r"^events\.agent_messages .*\.events\[messages messages tools:\S+ .*\] \(missing\)",
        "`messages` tells what models made; the result of a tool is on the channel `tools`",
    ),
    Intended(
        r"^events\.agent_messages .*content-block-start\]\.data\.params\.data\.content\.index \(missing\)",
        "a block's place is the event's own `index`",
    ),
    Intended(
        r"^events\.commands_that_are_wrong › [23] .*\.body\.id \(value\)", "what is no command has no id to answer to"
    ),
    Intended(r"^events\.commands_that_are_wrong › 12 ", "subscriptions are for sockets"),
    Intended(r"^events\.commands_that_are_wrong › (18|19) ", "a body of the wrong shape is 422"),
    Intended(
        r"^events\.answered .*input\.answered[^]]*\] \(extra\)", "an answer is told to the other clients of a thread"
    ),
    Intended(
        r"^events\.agent_tools .*tool-finished\]\.data\.params\.data\.output\.id \(value\)",
        "the message of a tool gets its id later, when the state takes it",
    ),
    Intended(r"^events\.agent_tools .*\.params\.node \(extra\)", "a tool's events name their node"),
    Intended(r"^events\.commands_that_are_wrong › 14 ", "a body that is no JSON gets an answer of the protocol"),
    Intended(
        r"^events\.model_by_(events_v2|stream)_messages ",
        "a model that a node streams is heard piece by piece, whichever way it is streamed",
    ),
    Intended(
        r"^events\.(filtered|parent_asks_values|answered) .*(lifecycle|values) ",
        "a graph inside has started before its first values; the values beside a question are sent once it is asked",
    ),
    Intended(
        r"^events\.fails_Odd_lifecycle .*\.error \(value\)",
        "where a text is hidden, ours says where to find it, here too",
    ),
    Intended(r"^events\.commands_that_are_wrong › 9 .*\.error \(value\)", "a thread without a run has no such run"),
    Intended(r"^contexts\.of_factories › 7 .*\.metadata\.\w+ \(extra\)", "a written state has its thread's metadata"),
    Intended(r"^threads\.copied › 9 ", "a copy of an unknown thread is 404"),
    Intended(r"^events\.tree › 2 ", "the tree of a thread's newest run is told when it is over, too"),
)
