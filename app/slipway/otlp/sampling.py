"""Which traces are exported: decided once for each trace, when its first run is created."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from slipway.otlp.variables import ExporterVariables
from slipway.telemetry.trace_context import TraceContext
from slipway.telemetry.trace_share import bound_of

_SAMPLERS: Final[dict[str, Callable[[float], sampling.Sampler]]] = {
    "always_on": lambda ratio: sampling.ALWAYS_ON,
    "always_off": lambda ratio: sampling.ALWAYS_OFF,
    "parentbased_always_on": lambda ratio: sampling.DEFAULT_ON,
    "parentbased_always_off": lambda ratio: sampling.DEFAULT_OFF,
    "traceidratio": sampling.TraceIdRatioBased,
    "parentbased_traceidratio": sampling.ParentBasedTraceIdRatio,
}

_PARENT_BASED: Final = "parentbased_"
_RATIOS: Final = {"always_on": 1.0, "always_off": 0.0}
_DIGITS: Final = 16
"""The last 64 bits of the id of a trace decide, in programs of other languages too."""


def sampler_of(variables: ExporterVariables) -> sampling.Sampler:
    """OpenTelemetry's own sampler, for the spans of the project's code."""
    return _SAMPLERS[variables.sampler](variables.sampler_ratio)


class TraceSampler:
    """Decides for traces as `sampler_of` would. That one makes six objects for each decision, and most runs of a busy
    deployment are not sampled."""

    def __init__(self, variables: ExporterVariables) -> None:
        self._follows_parent = variables.sampler.startswith(_PARENT_BASED)
        ratio = _RATIOS.get(variables.sampler.removeprefix(_PARENT_BASED), variables.sampler_ratio)
        self._bound = bound_of(ratio, _DIGITS)

    def samples(self, trace_id: str, parent: TraceContext | None) -> bool:
        """Whether the trace is exported. `parent` is the span of the client."""
        if parent is not None and self._follows_parent:
            return parent.sampled
        return trace_id[-_DIGITS:] < self._bound


def span_context(context: TraceContext, *, is_remote: bool = True) -> SpanContext:
    """A span as OpenTelemetry names it."""
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([context.state]) if context.state else None
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote, flags, state)
