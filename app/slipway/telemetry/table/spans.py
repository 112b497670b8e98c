"""Spans: what each kind of span is exported as, and its attributes."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.span import SpanKind
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.span_type import ExportedKind, SpanAttribute, SpanType

PROVIDER: Final = SpanAttribute("provider", "gen_ai.provider.name", Unit.NAME, "the provider of the model")
MODEL: Final = SpanAttribute("model", "gen_ai.request.model", Unit.NAME, "the model that was asked for")
RESPONDING_MODEL: Final = SpanAttribute(
    "responding_model", "gen_ai.response.model", Unit.NAME, "the model that answered"
)
TOKENS_IN: Final = SpanAttribute("tokens_in", "gen_ai.usage.input_tokens", Unit.TOKENS, "tokens of the input")
TOKENS_OUT: Final = SpanAttribute("tokens_out", "gen_ai.usage.output_tokens", Unit.TOKENS, "tokens of the output")
COST: Final = SpanAttribute("cost_nano", "slipway.cost", Unit.NANODOLLARS, "what the call cost")
TOOL: Final = SpanAttribute("tool", "gen_ai.tool.name", Unit.NAME, "the tool")

SPAN_TYPES: Final[tuple[SpanType, ...]] = (
    SpanType(
        SpanKind.MODEL,
        ExportedKind.CLIENT,
        "chat {name}",
        "A call of a model.",
        (PROVIDER, MODEL, RESPONDING_MODEL, TOKENS_IN, TOKENS_OUT, COST),
        (("gen_ai.operation.name", "chat"),),
    ),
    SpanType(
        SpanKind.TOOL,
        ExportedKind.INTERNAL,
        "execute_tool {name}",
        "A call of a tool.",
        (TOOL, COST),
        (("gen_ai.operation.name", "execute_tool"),),
    ),
)
