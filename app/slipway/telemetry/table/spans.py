"""Spans: what each kind of span is exported as, and its attributes.

Names that begin with `gen_ai.` are those of version 0.1.0 of the semantic conventions for generative AI, and `http.…`
and `server.…` those of the general conventions. What they have no name for is `slipway.…`.
"""

from __future__ import annotations

from typing import Final

from slipway.telemetry.span import SpanKind
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.span_type import ExportedKind, SpanAttribute, SpanType

RUN: Final = SpanAttribute("run", "slipway.run.id", Unit.ID, "the run")
THREAD: Final = SpanAttribute("thread", "gen_ai.conversation.id", Unit.ID, "the thread of the run")
GRAPH: Final = SpanAttribute("graph", "gen_ai.agent.name", Unit.NAME, "the graph of the run")
VERSION: Final = SpanAttribute("version", "gen_ai.agent.version", Unit.NAME, "the version of the graph")
"""Later drafts of the conventions keep it for remote agents only, because a service usually has one version of an
agent. Here one service executes several at the same time, and its spans say which."""
ASSISTANT: Final = SpanAttribute("assistant", "slipway.assistant.id", Unit.ID, "the assistant of the run")

OF_ALL_SPANS: Final = (RUN, THREAD, GRAPH, VERSION, ASSISTANT)
"""Exported spans have these attributes beside those of their type, as far as they are known; waits in the queue,
supersteps and nodes have only the run. They are not in `Span.attributes`, because all spans of a run have the same."""

PHASE: Final = SpanAttribute("phase", "slipway.run.phase", Unit.CODE, "the phase of the run afterwards")
NUMBER: Final = SpanAttribute("number", "slipway.attempt.number", Unit.NUMBER, "the number of the attempt, from 1")
WORKER: Final = SpanAttribute("worker", "slipway.worker", Unit.ID, "the process that executed it")
REDIS_S: Final = SpanAttribute(
    "redis_s",
    "slipway.redis.time",
    Unit.SECONDS,
    "how long it has waited for Redis before supersteps, until what was written before them was safe",
)
PRIORITY: Final = SpanAttribute("priority", "slipway.queue.priority", Unit.CODE, "the priority of the run")
PROVIDER: Final = SpanAttribute("provider", "gen_ai.provider.name", Unit.NAME, "the provider of the model")
MODEL: Final = SpanAttribute("model", "gen_ai.request.model", Unit.NAME, "the model that was asked for")
RESPONDING_MODEL: Final = SpanAttribute(
    "responding_model", "gen_ai.response.model", Unit.NAME, "the model that answered"
)
TOKENS_IN: Final = SpanAttribute("tokens_in", "gen_ai.usage.input_tokens", Unit.TOKENS, "tokens of the input")
TOKENS_OUT: Final = SpanAttribute("tokens_out", "gen_ai.usage.output_tokens", Unit.TOKENS, "tokens of the output")
TOKENS_CACHED: Final = SpanAttribute(
    "tokens_cached",
    "gen_ai.usage.cache_read.input_tokens",
    Unit.TOKENS,
    "tokens of the input that the provider had cached",
)
FINISH_REASON: Final = SpanAttribute(
    "finish_reason", "gen_ai.response.finish_reasons", Unit.NAMES, "why the model stopped"
)
FALLBACK_FROM: Final = SpanAttribute(
    "fallback_from", "slipway.model.fallback_from", Unit.NAME, "the model of the route that has failed before"
)
SUPERSTEP: Final = SpanAttribute(
    "superstep",
    "slipway.superstep.number",
    Unit.NUMBER,
    "the number of the superstep: in the chain of runs, or in the subgraph",
)
RETRIES: Final = SpanAttribute("retries", "slipway.retries", Unit.COUNT, "how often it was tried again")
INTERRUPTED: Final = SpanAttribute("interrupted", "slipway.interrupted", Unit.FLAG, "whether it has asked people")
EXECUTED: Final = SpanAttribute(
    "executed",
    "slipway.executed",
    Unit.FLAG,
    "false if nothing was executed: the result of an earlier execution was used, or the call was not made",
)
FALLBACK: Final = SpanAttribute("fallback", "slipway.tool.fallback", Unit.NAME, "the tool that was called instead")
INPUT: Final = SpanAttribute("input", "slipway.input", Unit.TEXT, "the input, as JSON", is_content=True)
OUTPUT: Final = SpanAttribute("output", "slipway.output", Unit.TEXT, "the output, as JSON", is_content=True)
COST: Final = SpanAttribute("cost_nano", "slipway.cost", Unit.NANODOLLARS, "what the call cost; exported in US dollars")
TOOL: Final = SpanAttribute("tool", "gen_ai.tool.name", Unit.NAME, "the tool")
REVIEW: Final = SpanAttribute("review", "slipway.review.id", Unit.ID, "the review that asked")
REVIEW_STATE: Final = SpanAttribute("review_state", "slipway.review.state", Unit.CODE, "how the review ended")
METHOD: Final = SpanAttribute("method", "http.request.method", Unit.CODE, "the method of the request")
ROUTE: Final = SpanAttribute("route", "http.route", Unit.NAME, "the path of the route, with its parameters by name")
STATUS: Final = SpanAttribute("status", "http.response.status_code", Unit.NUMBER, "the status of the response")
REQUEST_ID: Final = SpanAttribute("request_id", "slipway.request.id", Unit.ID, "the id of the request")
HOST: Final = SpanAttribute("host", "server.address", Unit.NAME, "the host that was called")
TRIES_BEFORE: Final = SpanAttribute(
    "tries_before", "http.request.resend_count", Unit.NUMBER, "how many tries there were before"
)
DELIVERY: Final = SpanAttribute("delivery", "slipway.delivery.id", Unit.ID, "the delivery")
DECIDED_BY: Final = SpanAttribute("decided_by", "", Unit.NAME, "who has decided the review")
DECISION: Final = SpanAttribute("decision", "", Unit.CODE, "what was decided")
REMINDERS: Final = SpanAttribute("reminders", "", Unit.COUNT, "how often people were reminded")
PAUSED_BY: Final = SpanAttribute("paused_by", "", Unit.NAME, "who had paused the run, which waited for that")
EVENT: Final = SpanAttribute("event", "slipway.webhook.event", Unit.CODE, "the event of which a webhook tells")

SPAN_TYPES: Final[tuple[SpanType, ...]] = (
    SpanType(
        SpanKind.REQUEST,
        ExportedKind.SERVER,
        "{name}",
        "A request that creates, resumes or cancels a run, or decides a review.",
        (METHOD, ROUTE, STATUS, REQUEST_ID, RUN, THREAD),
    ),
    SpanType(
        SpanKind.RUN,
        ExportedKind.INTERNAL,
        "invoke_agent {name}",
        "A run, from its creation until it ended or waits for people.",
        (PHASE,),
        (("gen_ai.operation.name", "invoke_agent"),),
    ),
    SpanType(
        SpanKind.QUEUE,
        ExportedKind.INTERNAL,
        "queue",
        "The run was due, and no worker had claimed it.",
        (NUMBER, PRIORITY, PAUSED_BY),
    ),
    SpanType(
        SpanKind.ATTEMPT,
        ExportedKind.CONSUMER,
        "attempt {name}",
        "One execution of the run, or of the rest of it, by one process.",
        (NUMBER, WORKER, PHASE, REDIS_S),
    ),
    SpanType(
        SpanKind.SUPERSTEP,
        ExportedKind.INTERNAL,
        "superstep {name}",
        "A superstep of a graph or of a subgraph, with what is written before its nodes start.",
        (SUPERSTEP,),
    ),
    SpanType(
        SpanKind.NODE,
        ExportedKind.INTERNAL,
        "node {name}",
        "The execution of a node or of a task, with its retries.",
        (RETRIES, INTERRUPTED, EXECUTED, INPUT, OUTPUT),
    ),
    SpanType(
        SpanKind.MODEL,
        ExportedKind.CLIENT,
        "chat {name}",
        "A call of a model.",
        (
            PROVIDER,
            MODEL,
            RESPONDING_MODEL,
            TOKENS_IN,
            TOKENS_OUT,
            TOKENS_CACHED,
            COST,
            FINISH_REASON,
            FALLBACK_FROM,
            EXECUTED,
            INPUT,
            OUTPUT,
        ),
        (("gen_ai.operation.name", "chat"),),
    ),
    SpanType(
        SpanKind.TOOL,
        ExportedKind.INTERNAL,
        "execute_tool {name}",
        "A call of a tool.",
        (TOOL, RETRIES, INTERRUPTED, EXECUTED, FALLBACK, INPUT, OUTPUT),
        (("gen_ai.operation.name", "execute_tool"),),
    ),
    SpanType(
        SpanKind.APPROVAL,
        ExportedKind.INTERNAL,
        "approval {name}",
        "People were asked, and had not answered.",
        (REVIEW, REVIEW_STATE, DECIDED_BY, DECISION, REMINDERS),
    ),
    SpanType(
        SpanKind.WEBHOOK,
        ExportedKind.CLIENT,
        "POST webhook",
        "One try to send a webhook.",
        (METHOD, HOST, STATUS, TRIES_BEFORE, DELIVERY, EVENT),
    ),
)
