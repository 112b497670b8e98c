"""The variables of OpenTelemetry: what they mean, and that a mistake in one is an error which names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.errors import ConfigError
from slipway.otlp.variables import BatchLimits, exporter_variables

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "desk", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {**COLLECTOR, "OTEL_SDK_DISABLED": "true"},
        {**COLLECTOR, "OTEL_SDK_DISABLED": "TRUE"},
        {**COLLECTOR, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_exported_without_an_endpoint(environment: dict[str, str]) -> None:
    assert exporter_variables(environment) is None


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        (COLLECTOR, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.test/in/"}, "https://otlp.test/in/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.test/in?key=1"}, "https://otlp.test/in/v1/traces?key=1"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://otlp.test/spans"}, "https://otlp.test/spans"),
        ({**COLLECTOR, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[::1]:4318/"}, "http://[::1]:4318/"),
    ],
)
def test_the_endpoint(environment: dict[str, str], url: str) -> None:
    variables = exporter_variables(environment)
    assert variables is not None
    assert variables.endpoint == url


def test_defaults() -> None:
    variables = exporter_variables(COLLECTOR)
    assert variables is not None
    assert variables.batch == BatchLimits(delay_ms=5000, queue_spans=2048, batch_spans=512)
    assert (variables.timeout_s, variables.compression, variables.value_chars) == (10.0, "none", None)
    assert (variables.sampler, variables.sampler_ratio) == ("parentbased_always_on", 1.0)
    assert (variables.headers, variables.resource) == ({}, {})


def test_everything_set(tmp_path: Path) -> None:
    pem = tmp_path / "authority.pem"
    pem.write_text("")
    variables = exporter_variables(
        {
            **COLLECTOR,
            "OTEL_EXPORTER_OTLP_HEADERS": "x=1",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "Authorization=Bearer%20a%2Cb, tenant = desk ",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3.5",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "GZIP",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(pem),
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.25",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BSP_MAX_QUEUE_SIZE": "20",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "64",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod,team=a%20b,service.name=other",
            "OTEL_SERVICE_NAME": "desk",
        }
    )
    assert variables is not None
    assert variables.headers == {"authorization": "Bearer a,b", "tenant": "desk"}
    assert (variables.timeout_s, variables.compression, variables.certificate) == (3.5, "gzip", str(pem))
    assert (variables.sampler, variables.sampler_ratio) == ("traceidratio", 0.25)
    assert variables.batch == BatchLimits(delay_ms=100, queue_spans=20, batch_spans=10)
    assert variables.value_chars == 64
    assert variables.resource == {"deployment.environment.name": "prod", "team": "a b", "service.name": "desk"}


SECRET = "s3cr3t-of-a-vendor"


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"collector:4318/{SECRET}", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"ftp://{SECRET}.test", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://:4318/{SECRET}", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{SECRET}.test:port", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://a\nb.test/{SECRET}", "http://"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{SECRET}", "http://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"a=1,{SECRET}", "entry 2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"a b={SECRET}", "entry 1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", f"a=b%0Ac: {SECRET}", "entry 1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "seconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "seconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan", "seconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "inf", "seconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "did you mean gzip?"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file.pem", "no such file"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/no/such/file.pem", "no such file"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_onn", "did you mean parentbased_always_on?"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "always_on"),
        ("OTEL_TRACES_EXPORTER", "console", "otlp"),
        ("OTEL_SDK_DISABLED", "yes", "true"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "1 or more"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "1 or more"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "OTEL_BSP_MAX_QUEUE_SIZE (2048)"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0", "1 or more"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,team", "entry 2"),
    ],
)
def test_a_mistake_is_an_error_that_names_the_variable(name: str, value: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        exporter_variables({**COLLECTOR, name: value})
    assert str(raised.value).startswith(f"{name}")
    assert hint in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("argument", ["1.5", "-0.1", "nan", "half"])
def test_the_share_of_a_sampler_must_be_a_share(argument: str) -> None:
    environment = {**COLLECTOR, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": argument}
    with pytest.raises(ConfigError, match="OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1"):
        exporter_variables(environment)
