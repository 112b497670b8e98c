"""The export of one process: which traces it exports, and the spans that it ends."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from opentelemetry.sdk.resources import Resource

from slipway.otlp.global_provider import ProcessResource, provide_tracer
from slipway.otlp.sampling import TraceSampler, sampler_of
from slipway.otlp.span_export import SpanExport
from slipway.otlp.variables import ExporterVariables, exporter_variables
from slipway.telemetry.span import Span
from slipway.tracing.traced_run import TracedRun
from slipway.versions import version_of

_SERVICE_NAME: Final = "service.name"


class ProcessExport:
    """Exports the spans of sampled runs. It is a `SpanSink`."""

    def __init__(self, variables: ExporterVariables, resource: Resource) -> None:
        self.samples = TraceSampler(variables).samples
        """Whether a new trace is exported: its id, and the span of the client that has begun it."""
        self.queue = SpanExport(variables, resource)

    def ended(self, run: TracedRun, span: Span) -> None:
        """See `SpanSink`."""
        self.queue.add((run, span))

    def request_ended(self, trace_id: str, span: Span) -> None:
        """A span of no run."""
        self.queue.add((trace_id, span))

    async def close(self) -> None:
        """Sends what waits, for a bounded time."""
        await self.queue.close()


@asynccontextmanager
async def process_export(
    process: str, instance: str, release: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[ProcessExport | None]:
    """The export of this process: of the kind `process`, with the id `instance`. None if the variables of
    OpenTelemetry ask for none. `environment` replaces that of the process. Raises `ConfigError` for a mistake in one of
    them."""
    variables = exporter_variables(os.environ if environment is None else environment)
    if variables is None:
        yield None
        return
    resource = _resource(process, instance, release, variables)
    export = ProcessExport(variables, resource)
    try:
        with provide_tracer(resource, sampler_of(variables), export.queue.add):
            yield export
    finally:
        await export.close()


def _resource(process: str, instance: str, release: str, variables: ExporterVariables) -> Resource:
    """What describes the process. What the variables say counts more than the defaults."""
    own = {
        _SERVICE_NAME: f"slipway-{process}",
        "service.version": version_of("slipway"),
        "service.instance.id": instance,
        **({"slipway.release": release} if release else {}),
    }
    return ProcessResource.of(Resource.create({**own, **variables.resource}))
