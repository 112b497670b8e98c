"""What is seen of a deployment: traces, logs and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import httpx

from slipway.errors import ConfigError
from slipway.go_live.check import Check, Part
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, failed, passed, warned
from slipway.otlp.variables import ENDPOINT, ExporterVariables, exporter_variables

_WITHIN_S: Final = 5.0
_PROTOBUF: Final = {"content-type": "application/x-protobuf"}


async def _kept(inputs: Inputs) -> Sequence[Line]:
    code, settings = "traces.kept", inputs.settings
    if not settings.traces:
        found = "no trace of a run is stored: nobody sees afterwards what it did and waited for"
        return [warned(code, found, "SLIPWAY_TRACES=1")]
    share = settings.trace_sample_ratio
    if share < 1:
        found = f"{share:.0%} of the traces are stored: most runs that fail have none"
        return [warned(code, found, "SLIPWAY_TRACE_SAMPLE_RATIO=1, within SLIPWAY_TRACE_MAX_BYTES")]
    return [passed(code, f"the trace of every run is stored, in at most {settings.trace_max_bytes / 2**20:g} MiB")]


async def _exported(inputs: Inputs) -> Sequence[Line]:
    """Sends a request without spans, which every receiver of OTLP over HTTP accepts."""
    code = "traces.exported"
    try:
        variables = exporter_variables({**inputs.project.env, **inputs.environment})
    except ConfigError as error:
        return [failed(code, str(error), "mend the variable: processes do not start with it")]
    if variables is None:
        return [passed(code, f"spans are sent nowhere, because {ENDPOINT} is not set")]
    host = httpx.URL(variables.endpoint).host
    try:
        status = await _status_of(variables)
    except (httpx.HTTPError, OSError) as error:
        found = f"the receiver at {host} cannot be reached: {type(error).__name__}"
        return [warned(code, found, f"{ENDPOINT}, or the network; runs go on, their spans are dropped")]
    if not 200 <= status < 300:
        found = f"the receiver at {host} answers {status} to a request without spans"
        return [warned(code, found, f"{ENDPOINT} and OTEL_EXPORTER_OTLP_HEADERS")]
    if variables.sampler.endswith("always_off") or variables.sampler_ratio == 0:
        which = "none" if not variables.sampler.startswith("parentbased") else "none but those of sampled requests"
        found = f"the receiver at {host} accepts spans, but the sampler {variables.sampler} sends {which}"
        return [warned(code, found, "OTEL_TRACES_SAMPLER=parentbased_always_on, or traceidratio with a share")]
    return [passed(code, f"the receiver at {host} accepts spans; sampler {variables.sampler}")]


async def _status_of(variables: ExporterVariables) -> int:
    verify: bool | str = variables.certificate or True
    cert = _client_certificate(variables)
    async with httpx.AsyncClient(timeout=_WITHIN_S, verify=verify, cert=cert, trust_env=True) as client:
        response = await client.post(variables.endpoint, headers={**_PROTOBUF, **variables.headers}, content=b"")
        return response.status_code


def _client_certificate(variables: ExporterVariables) -> tuple[str, str] | str | None:
    if variables.client_certificate is None or variables.client_key is None:
        return variables.client_certificate
    return variables.client_certificate, variables.client_key


async def _metrics(inputs: Inputs) -> Sequence[Line]:
    if inputs.settings.metrics:
        return [passed("metrics.counted", "runs, waits and processes are counted: GET /metrics of any web process")]
    found = "nothing is counted: alerts about runs, queues and workers never fire"
    return [warned("metrics.counted", found, "SLIPWAY_METRICS=1")]


async def _logs(inputs: Inputs) -> Sequence[Line]:
    code, kind = "logs.format", inputs.settings.log_format
    if kind == "text":
        return [warned(code, "lines are text for people: programs cannot search them", "SLIPWAY_LOG_FORMAT=json")]
    if inputs.settings.log_level in ("warning", "error"):
        found = f"SLIPWAY_LOG_LEVEL={inputs.settings.log_level} hides what led to a problem"
        return [warned(code, found, "SLIPWAY_LOG_LEVEL=info")]
    return [passed(code, "JSON" if kind == "json" else "JSON, except on a terminal")]


PART: Final = Part(
    "observation",
    "Traces, logs and metrics",
    (
        Check({"traces.kept": "Whether what runs did is stored."}, _kept),
        Check({"traces.exported": "Whether the receiver of spans, if one is set, can be reached."}, _exported),
        Check({"metrics.counted": "Whether runs and processes are counted for Prometheus."}, _metrics),
        Check({"logs.format": "Whether log lines are JSON."}, _logs),
    ),
)
