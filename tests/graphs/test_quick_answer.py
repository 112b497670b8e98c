"""The quick answers: sums in limited time and memory, units, dates, and the library."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph.state import CompiledStateGraph

from examples.quick_answer.arithmetic import Uncomputable, evaluate, find_expression, readable
from examples.quick_answer.dates import about_date
from examples.quick_answer.graph import FALLBACK, build, compute
from examples.quick_answer.units import convert
from examples.reading.library import SHIPPED

TODAY = date(2026, 3, 1)


async def ask(question: object) -> dict[str, Any]:
    graph: CompiledStateGraph[Any, Any, Any, Any] = build()
    out: dict[str, Any] = await graph.ainvoke({"question": question})
    return out


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 12.5% of 480?", "60"),
        ("2 ^ 10", "1,024"),
        ("what is 1,000 times 3", "3,000"),
        ("0.1 + 0.2 =", "0.3"),
        ("(3 + 4) * -2", "-14"),
        ("7 // 2 + 7 % 4", "6"),
        ("1 / 3", "0.3333333333"),
        ("What is 007 + 0.5?", "7.5"),
    ],
)
def test_sums_are_calculated(question: str, answer: str) -> None:
    text, kind = compute(question, TODAY)
    assert kind == "sum"
    assert text.endswith(f"= {answer}")


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9", "2**100000",
        "(9**200)**200", "10**60*10**60", "1/0", "0**-1", "(-8)**0.5", "1" * 150, "(" * 120 + "1" + ")" * 120,
        "-" * 150 + "1", "1+",
        "__import__('os')", "[1]*9", "'a'*9", "True+1", "1 if 1 else 2", "lambda: 1", "1j*1j", "x", "1e999*1",
    ],
)  # fmt: skip
def test_dangerous_expressions_are_rejected(expression: str) -> None:
    with pytest.raises(Uncomputable):
        evaluate(expression)


@given(st.text(alphabet="0123456789+-*/%(). e_j'[]", max_size=300))
def test_any_expression_is_calculated_or_rejected(expression: str) -> None:
    try:
        value = evaluate(expression)
    except Uncomputable:
        return
    assert value.is_finite()
    assert len(readable(value)) < 300


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_sums_agree_with_python(a: int, b: int) -> None:
    assert evaluate(f"({a}) + ({b}) * 2") == Decimal(a + b * 2)


@given(st.text(max_size=300))
def test_a_question_has_an_answer_unless_its_kind_is_none(question: str) -> None:
    answer, kind = compute(question, TODAY)
    assert bool(answer) == (kind != "none")


@pytest.mark.parametrize("text", ["What is love?", "2026-03-01", "hello", "1", "What is the 2nd rule?"])
def test_other_text_is_not_taken_for_a_sum(text: str) -> None:
    assert find_expression(text) is None
    assert compute(text, TODAY) == ("", "none")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("5 km in miles", "5 km is 3.106856 mi."),
        ("how many ounces are in 2 kg?", "2 kg is 70.547924 oz."),
        ("Convert 100 F to C", "100 °F is 37.78 °C."),
        ("3 GiB in MB", "3 gib is 3,221.225472 mb."),
        ("0 K in C", "0 K is -273.15 °C."),
        ("25 C to K", "25 °C is 298.15 K."),
        ("-40 F to C", "-40 °F is -40 °C."),
        ("1 m2 in sqft", "1 m2 is 10.76391 sqft."),
        ("5 km in kg", "km is a unit of length and kg one of mass: they do not convert."),
    ],
)
def test_units_are_converted(question: str, answer: str) -> None:
    assert convert(question) == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is today's date?", "Today is Sunday, 1 March 2026."),
        ("Which weekday is 24 December 2027?", "24 December 2027 is a Friday."),
        ("How many days until Christmas?", "25 December 2026 is 299 days away."),
        ("How many days between 2026-01-01 and 2026-03-01?", "From 1 January 2026 to 1 March 2026 it is 59 days."),
        ("What date is it in 30 days?", "That is Tuesday, 31 March 2026."),
        ("2 weeks from today", "That is Sunday, 15 March 2026."),
        ("in 99999 weeks", "That is Sunday, 6 September 3942."),
        ("99999 weeks before 1 January 1900", "That date is outside the calendar."),
        ("Which weekday is 1 March 2026?", "1 March 2026 is a Sunday."),
        ("Which weekday is 28 February 2026?", "28 February 2026 was a Saturday."),
        ("How many days until tomorrow?", "2 March 2026 is 1 day away."),
        ("How many days since 28 February 2026?", "28 February 2026 was 1 day ago."),
    ],
)
def test_questions_about_dates_are_answered(question: str, answer: str) -> None:
    assert about_date(question, TODAY) == answer


@pytest.mark.parametrize(
    ("today", "answer"),
    [
        (date(2026, 12, 24), "25 December 2026 is 1 day away."),
        (date(2026, 12, 25), "25 December 2026 is 0 days away."),
        (date(2026, 12, 26), "25 December 2027 is 364 days away."),
    ],
)
def test_christmas_means_the_next_christmas(today: date, answer: str) -> None:
    assert about_date("How many days until Christmas?", today) == answer


async def test_the_library_answers_other_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_LIBRARY_DIR", str(SHIPPED))
    out = await ask("When is payday?")
    assert out["kind"] == "library"
    assert "25th" in out["answer"]
    assert out["source"].endswith("When is payday?")
    assert await ask("Who wrote Faust?") == {"answer": FALLBACK, "kind": "none", "source": ""}


@pytest.mark.parametrize("question", ["", "  ", None, 4])
async def test_the_error_of_a_missing_question_names_the_field(question: object) -> None:
    with pytest.raises(ValueError, match=r"^question:"):
        await ask(question)
