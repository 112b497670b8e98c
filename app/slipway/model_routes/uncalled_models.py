"""The span of a model of a route that was not called: it could not be created, or its circuit breaker is open.

LangChain announces the calls that are made, and `metering/` records those. Without a span for the others, a trace would
not say where the time before a fallback went, or why a node without any call of a model has failed.
"""

from __future__ import annotations

from slipway.graphs.models_section import ModelSpec
from slipway.telemetry.provider_names import provider_name
from slipway.telemetry.span import SpanKind
from slipway.tracing.current_span import CURRENT_SPAN
from slipway.tracing.span_error import error_of


def record_uncalled(spec: ModelSpec, tried_at: float, error: BaseException, fallback_from: str | None) -> None:
    """Records it, if the current run is traced. `tried_at` is when the route came to the model (`time.monotonic`),
    `error` why the call was not made, and `fallback_from` the model of the route that has failed before."""
    around = CURRENT_SPAN.get()
    if around is None:
        return
    provider, model = _names_of(spec)
    span = around.trace.start(SpanKind.MODEL, model, around)
    span.started = tried_at
    span.add(model=model)
    if provider:
        span.add(provider=provider_name(provider))
    if fallback_from:
        span.add(fallback_from=fallback_from)
    span.end(error_of(error), executed=False)


def _names_of(spec: ModelSpec) -> tuple[str, str]:
    """The provider and the name of the model. An object of the project says neither before it exists, so it has the
    name under which the route knows it."""
    if spec.is_of_project:
        return "", spec.model
    provider, _, name = spec.model.partition(":")
    return (provider, name) if name else ("", spec.model)
