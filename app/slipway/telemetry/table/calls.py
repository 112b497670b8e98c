"""Calls of models and tools, and their circuit breakers."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import ERROR, MODEL, NODE, OUTCOME, PROBLEM, REASON, RUN, TOOL

_MODEL_ROUTE: Final = Field("model_route", Unit.NAME, "the model route")
_PARTS: Final = Field("parts", Unit.COUNT, "the parts of the reply that had arrived")
_LIMITED_BY: Final = Field("limited_by", Unit.TEXT, "the ceiling or the budget")
_CALL: Final = Field("call", Unit.ID, "the call of the tool")
_RULE: Final = Field("rule", Unit.TEXT, "the rule that decided")
_FALLBACK: Final = Field("fallback", Unit.NAME, "the tool that is called instead")
_BREAKER: Final = Field("breaker", Unit.NAME, "the circuit breaker: `model:NAME` or `tool:NAME`")
_FOR_S: Final = Field("for_s", Unit.SECONDS, "the time for which it stays so")
_SERVER: Final = Field("server", Unit.NAME, "the MCP server")
_DIFFERENCE: Final = Field("difference", Unit.TEXT, "what has changed")

_EVENTS: Final = (
    warning(
        "model.failed",
        "A model did not reply. The next one of the route is tried, if there is one.",
        *(MODEL, _MODEL_ROUTE, REASON, PROBLEM, _PARTS),
    ),
    warning("model.price_unknown", "The calls of a model cost an unknown amount. Logged once.", MODEL, RUN),
    warning(
        "model.unbounded",
        "A call was rejected: how much the model generates is not limited, and a ceiling or a budget counts it.",
        *(MODEL, _LIMITED_BY, RUN),
    ),
    warning("model.usage_missing", "The package of a model reports no tokens. Logged once.", MODEL, RUN, PROBLEM),
    warning(
        "tool.denied",
        "No rule permits the node to call the tool, so the call was rejected.",
        RUN,
        TOOL,
        NODE,
        _RULE,
        REASON,
    ),
    warning("tool.fell_back", "A tool failed, and its fallback is called.", RUN, TOOL, _FALLBACK, ERROR),
    info("tool.retried", "A tool failed, and is tried again.", RUN, TOOL, ERROR),
    warning(
        "tool.repeated",
        "A tool that writes is executed again: the attempt before died in the call, and its effect is unknown.",
        *(RUN, TOOL, _CALL),
    ),
    info("tool.replayed", "A tool was not executed again: its call returned the stored result.", RUN, TOOL, _CALL),
    warning("tool.result_not_stored", "The result of a call cannot be stored.", TOOL, PROBLEM),
    warning("breaker.opened", "Calls are rejected, because too many failed.", _BREAKER, PROBLEM, _FOR_S),
    info("breaker.closed", "Calls are made again.", _BREAKER),
    warning("breaker.not_recorded", "The outcome of a call was not counted.", _BREAKER, OUTCOME, PROBLEM),
    warning("breaker.skipped", "A call was made without asking its breaker.", _BREAKER, PROBLEM),
    error("mcp.tools_changed", "The tools of an MCP server differ from the pinned list.", _SERVER, _DIFFERENCE),
)

AREA: Final = Area("Models and tools", _EVENTS)
