"""The spans that the project's code makes with OpenTelemetry's API.

If the project has set a global tracer provider, Slipway leaves it as it is: its spans go where the project sends them,
with the parents that `current_context` provides. If it has set none, its spans are exported with those of Slipway.
OpenTelemetry permits to set the global provider once, so the provider that is set here stays for the life of the
process, and forwards to the export that is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler


class ProcessResource(Resource):
    """A resource that exists once in its process. The encoder of OpenTelemetry looks up that of each span in a
    dictionary, and a `Resource` makes JSON of its attributes to be hashed: a fifth of what a span costs."""

    @classmethod
    def of(cls, resource: Resource) -> ProcessResource:
        return cls(resource.attributes, resource.schema_url)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class _Forwarding(SpanProcessor):
    """Passes spans to the export that is open."""

    def __init__(self) -> None:
        self.add: Callable[[ReadableSpan], None] | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Does nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        if self.add is not None and span.context is not None and span.context.trace_flags.sampled:
            self.add(span)


_FORWARDING: Final = _Forwarding()


@contextmanager
def provide_tracer(resource: Resource, sampler: Sampler, add: Callable[[ReadableSpan], None]) -> Iterator[None]:
    """Inside the block, `add` receives the spans that the project makes with the global tracer provider, unless the
    project has set one."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(_FORWARDING)
        trace.set_tracer_provider(provider)
    before, _FORWARDING.add = _FORWARDING.add, add
    try:
        yield
    finally:
        _FORWARDING.add = before
