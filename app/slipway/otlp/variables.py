"""The environment variables of OpenTelemetry that say where spans are sent, and how.

The names and meanings are those of OpenTelemetry, so that a deployment is configured as its other programs are. Its own
library logs a value that it does not understand and uses a default. Here such a value is an error of the start: spans
that are not sent, or are sent to another place, are noticed only when somebody needs them.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from slipway.errors import ConfigError

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"

_TRACES_PATH: Final = "/v1/traces"
_PROTOCOL: Final = "http/protobuf"
_COMPRESSIONS: Final = ("none", "gzip", "deflate")
_RATIO_SAMPLERS: Final = ("traceidratio", "parentbased_traceidratio")
_SAMPLERS: Final = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *_RATIO_SAMPLERS)
_DEFAULT_SAMPLER: Final = "parentbased_always_on"
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How spans are collected before they are sent."""

    delay_ms: int
    """The longest time that a span waits for others."""
    queue_spans: int
    """The most spans that wait. More are dropped."""
    batch_spans: int
    """The most spans of one request."""


@dataclass(frozen=True, slots=True)
class ExporterVariables:
    """Where spans are sent, and how. Every value was checked."""

    endpoint: str
    """The URL for spans."""
    headers: Mapping[str, str]
    """Of each request. They are secrets."""
    timeout_s: float
    """For a request with its repetitions."""
    compression: str
    certificate: str | None
    """A PEM file with the authorities that sign the certificate of the receiver; None for those of the system."""
    client_certificate: str | None
    client_key: str | None
    sampler: str
    """Which traces are exported: the name of one of OpenTelemetry's samplers."""
    sampler_ratio: float
    """For samplers of a share of the traces: from 0 to 1."""
    batch: BatchLimits
    value_chars: int | None
    """The longest text of an attribute; longer ones are cut. None for no limit."""
    resource: Mapping[str, str]
    """Attributes of the process that the variables name; the name of the service is one."""


def exporter_variables(environment: Mapping[str, str]) -> ExporterVariables | None:
    """What the `environment` says about the export of spans. None if it names no endpoint, or switches the export off.
    Raises `ConfigError`, which names the variable; never with a value, because many are secrets."""
    found = _Variables(environment)
    if not (found.text(ENDPOINT) or found.text(TRACES_ENDPOINT)) or not _is_on(found):
        return None
    endpoint = _endpoint(found)
    _check_protocol(found)
    sampler, ratio = _sampler(found)
    return ExporterVariables(
        endpoint=endpoint,
        headers=_headers(found),
        timeout_s=_positive_number(*found.of_traces("TIMEOUT"), default=10.0),
        compression=_choice(*found.of_traces("COMPRESSION"), allowed=_COMPRESSIONS, default="none"),
        certificate=_file(*found.of_traces("CERTIFICATE")),
        client_certificate=_file(*found.of_traces("CLIENT_CERTIFICATE")),
        client_key=_file(*found.of_traces("CLIENT_KEY")),
        sampler=sampler,
        sampler_ratio=ratio,
        batch=_batch_limits(found),
        value_chars=_value_chars(found),
        resource=_resource(found),
    )


class _Variables:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str:
        """An empty value counts as not set."""
        return self._environment.get(name, "").strip()

    def of_traces(self, end: str) -> tuple[str, str]:
        """The variable for spans, or else that for everything which is sent by OTLP: its name and its value."""
        name = f"OTEL_EXPORTER_OTLP_TRACES_{end}"
        return (name, self.text(name)) if self.text(name) else (f"OTEL_EXPORTER_OTLP_{end}", self._general(end))

    def _general(self, end: str) -> str:
        return self.text(f"OTEL_EXPORTER_OTLP_{end}")


def _is_on(found: _Variables) -> bool:
    if _choice("OTEL_SDK_DISABLED", found.text("OTEL_SDK_DISABLED"), ("true", "false"), default="false") == "true":
        return False
    name = "OTEL_TRACES_EXPORTER"
    exporters = [part.strip() for part in found.text(name).split(",") if part.strip()] or ["otlp"]
    for exporter in exporters:
        _choice(name, exporter, ("otlp", "none"), default="otlp")
    return "none" not in exporters


def _endpoint(found: _Variables) -> str:
    name = TRACES_ENDPOINT if found.text(TRACES_ENDPOINT) else ENDPOINT
    url = found.text(name)
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_valid = False
    if not is_valid or re.search(r"[^\x21-\x7e]", url):
        raise ConfigError(f"{name}: must be a URL such as http://collector:4318, beginning with http:// or https://")
    return url if name == TRACES_ENDPOINT else parts._replace(path=parts.path.rstrip("/") + _TRACES_PATH).geturl()


def _check_protocol(found: _Variables) -> None:
    name, protocol = found.of_traces("PROTOCOL")
    if protocol and protocol != _PROTOCOL:
        raise ConfigError(
            f"{name}: spans are sent as {_PROTOCOL} only; set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL={_PROTOCOL}, and an "
            "endpoint that accepts it (a collector does at port 4318)"
        )


def _headers(found: _Variables) -> dict[str, str]:
    name, text = found.of_traces("HEADERS")
    headers = {}
    for number, part in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        header, equals, value = part.partition("=")
        header, value = unquote(header).strip().lower(), unquote(value).strip()
        if not equals or not _HEADER_NAME.fullmatch(header) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigError(
                f"{name}: entry {number} is no header: write name=value,name=value, with %20 for a space and %2C for "
                "a comma in a value"
            )
        headers[header] = value
    return headers


def _sampler(found: _Variables) -> tuple[str, float]:
    name, argument = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
    sampler = _choice(name, found.text(name), _SAMPLERS, default=_DEFAULT_SAMPLER)
    ratio = 1.0
    if sampler in _RATIO_SAMPLERS and found.text(argument):
        ratio = _number(argument, found.text(argument), "from 0 to 1")
        if not 0 <= ratio <= 1:
            raise ConfigError(f"{argument}: must be a number from 0 to 1, the share of the traces that are exported")
    return sampler, ratio


def _batch_limits(found: _Variables) -> BatchLimits:
    queue, batch = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
    limits = BatchLimits(
        delay_ms=_positive_integer(found, "OTEL_BSP_SCHEDULE_DELAY", 5000),
        queue_spans=_positive_integer(found, queue, 2048),
        batch_spans=_positive_integer(found, batch, 512),
    )
    if limits.batch_spans > limits.queue_spans:
        raise ConfigError(f"{batch} ({limits.batch_spans}) must not be more than {queue} ({limits.queue_spans})")
    return limits


def _value_chars(found: _Variables) -> int | None:
    name = "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"
    name = name if found.text(name) else "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
    return _positive_integer(found, name, 0) if found.text(name) else None


def _resource(found: _Variables) -> dict[str, str]:
    name = "OTEL_RESOURCE_ATTRIBUTES"
    attributes = {}
    for number, part in enumerate(filter(None, map(str.strip, found.text(name).split(","))), 1):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"{name}: entry {number} is no attribute: write name=value,name=value")
        attributes[unquote(key.strip())] = unquote(value.strip())
    service = found.text("OTEL_SERVICE_NAME")
    return attributes | ({"service.name": service} if service else {})


def _choice(name: str, value: str, allowed: Collection[str], default: str) -> str:
    chosen = value.lower() or default
    if chosen not in allowed:
        near = difflib.get_close_matches(chosen, allowed, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{name}: must be one of {', '.join(allowed)}{hint}")
    return chosen


def _file(name: str, path: str) -> str | None:
    if path and not Path(path).is_file():
        raise ConfigError(f"{name}: there is no such file")
    return path or None


def _positive_number(name: str, text: str, default: float) -> float:
    number = _number(name, text, "above 0, in seconds") if text else default
    if not 0 < number < float("inf"):
        raise ConfigError(f"{name}: must be a number above 0, in seconds")
    return number


def _number(name: str, text: str, which: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}: must be a number {which}") from None


def _positive_integer(found: _Variables, name: str, default: int) -> int:
    text = found.text(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ConfigError(f"{name}: must be a whole number, 1 or more")
    return int(text)
