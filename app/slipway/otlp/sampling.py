"""Which traces are exported: decided once for each trace, when its first run is created."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

from slipway.otlp.variables import ExporterVariables
from slipway.telemetry.trace_context import TraceContext

_SAMPLERS: Final[dict[str, Callable[[float], sampling.Sampler]]] = {
    "always_on": lambda ratio: sampling.ALWAYS_ON,
    "always_off": lambda ratio: sampling.ALWAYS_OFF,
    "parentbased_always_on": lambda ratio: sampling.DEFAULT_ON,
    "parentbased_always_off": lambda ratio: sampling.DEFAULT_OFF,
    "traceidratio": sampling.TraceIdRatioBased,
    "parentbased_traceidratio": sampling.ParentBasedTraceIdRatio,
}


def sampler_of(variables: ExporterVariables) -> sampling.Sampler:
    """OpenTelemetry's own sampler."""
    return _SAMPLERS[variables.sampler](variables.sampler_ratio)


class TraceSampler:
    """Decides for traces."""

    def __init__(self, sampler: sampling.Sampler) -> None:
        self._sampler = sampler

    def samples(self, trace_id: str, parent: TraceContext | None) -> bool:
        """Whether the trace is exported. `parent` is the span of the client."""
        context = None if parent is None else set_span_in_context(NonRecordingSpan(span_context(parent)))
        result = self._sampler.should_sample(context, int(trace_id, 16), "run", SpanKind.SERVER)
        return result.decision is sampling.Decision.RECORD_AND_SAMPLE


def span_context(context: TraceContext, *, is_remote: bool = True) -> SpanContext:
    """A span as OpenTelemetry names it."""
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=is_remote, trace_flags=flags)
