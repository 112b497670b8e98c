"""Which traces are exported, by the sampler that the variables name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph_sdk.client import LangGraphClient
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from slipway.otlp.sampling import TraceSampler, sampler_of, span_context
from slipway.otlp.variables import ExporterVariables, exporter_variables
from slipway.settings import Settings
from slipway.telemetry.trace_context import TraceContext, new_trace_id
from tests.otlp.receiver import Received
from tests.otlp.test_runs import CREATE, TRACE, executed

SAMPLERS = (
    *("always_on", "always_off", "traceidratio"),
    *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
)
SAMPLED, NOT_SAMPLED = TraceContext(TRACE, "00f067aa0ba902b7", True), TraceContext(TRACE, "00f067aa0ba902b7", False)


def variables_of(name: str, argument: str = "") -> ExporterVariables:
    variables = exporter_variables(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_TRACES_SAMPLER": name,
            "OTEL_TRACES_SAMPLER_ARG": argument,
        }
    )
    assert variables is not None
    return variables


def sampler(name: str, argument: str = "") -> TraceSampler:
    return TraceSampler(variables_of(name, argument))


@pytest.mark.parametrize(
    ("name", "argument", "alone", "with_sampled", "with_unsampled"),
    [
        ("", "", True, True, False),
        ("parentbased_always_on", "", True, True, False),
        ("parentbased_always_off", "", False, True, False),
        ("always_on", "", True, True, True),
        ("always_off", "", False, False, False),
        ("traceidratio", "0", False, False, False),
        ("traceidratio", "1", True, True, True),
        ("traceidratio", "", True, True, True),
        ("parentbased_traceidratio", "0", False, True, False),
        ("parentbased_traceidratio", "1", True, True, False),
    ],
)
def test_samplers(name: str, argument: str, alone: bool, with_sampled: bool, with_unsampled: bool) -> None:
    decides = sampler(name, argument)
    assert decides.samples(TRACE, None) is alone
    assert decides.samples(TRACE, SAMPLED) is with_sampled
    assert decides.samples(TRACE, NOT_SAMPLED) is with_unsampled


@given(
    st.sampled_from(SAMPLERS),
    st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
    st.integers(1, (1 << 128) - 1),
    st.sampled_from([None, SAMPLED, NOT_SAMPLED]),
)
@settings(max_examples=100, deadline=None)
def test_it_decides_as_the_sampler_of_the_sdk(
    name: str, ratio: float, number: int, parent: TraceContext | None
) -> None:
    variables = variables_of(name, repr(ratio))
    context = None if parent is None else set_span_in_context(NonRecordingSpan(span_context(parent)))
    decided = sampler_of(variables).should_sample(context, number, "run").decision
    assert TraceSampler(variables).samples(f"{number:032x}", parent) is (decided is Decision.RECORD_AND_SAMPLE)


def test_a_share_of_the_traces_is_exported() -> None:
    decides = sampler("parentbased_traceidratio", "0.25")
    share = sum(decides.samples(new_trace_id(), None) for _ in range(4000)) / 4000
    assert 0.2 < share < 0.3


@pytest.fixture
def shared(exported: Received, monkeypatch: pytest.MonkeyPatch) -> Received:
    """The receiver, to which only traces of clients that sample are exported."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    return exported


@pytest.mark.usefixtures("shared", "worker")
async def test_all_spans_of_a_trace_are_exported_or_none(shared: Received, sdk: LangGraphClient) -> None:
    await executed(sdk, "spans")
    await executed(sdk, "calls")
    await executed(sdk, "one", SAMPLED.traceparent)
    await shared.until("invoke_agent one", "attempt 1", CREATE)
    assert {each.trace_id for each in shared.spans} == {TRACE}


class TestNotStored:
    """With `SLIPWAY_TRACES=0`."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"traces": False})

    @pytest.mark.usefixtures("exported", "worker")
    async def test_spans_that_are_not_stored_are_exported(self, exported: Received, sdk: LangGraphClient) -> None:
        await executed(sdk, "one")
        await exported.until("invoke_agent one", "attempt 1", "node step", CREATE)
