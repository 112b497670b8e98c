"""What is replaced in texts and in JSON, and what is not."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.redaction.credential_patterns import without_credentials
from slipway.redaction.known_secrets import SHORTEST, KnownSecrets
from slipway.redaction.rules import NO_RULES, RedactionRules

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def replaced(known: KnownSecrets, text: str) -> str:
    for secret, shown in known.texts:
        text = text.replace(secret, shown)
    return text


@given(st.text(min_size=SHORTEST).filter(lambda text: len(text.strip()) >= SHORTEST))
def test_every_form_of_a_known_secret_is_replaced(secret: str) -> None:
    known = KnownSecrets()
    known.remember("THE_KEY", secret)
    secret = secret.strip()
    forms = (
        secret,
        json.dumps(secret),
        orjson.dumps(secret, option=0).decode() if secret.isprintable() else json.dumps(secret, ensure_ascii=False),
        html.escape(secret),
        quote(secret, safe="", errors="replace"),
    )
    for form in forms:
        shown = replaced(known, f"before {form} after")
        assert "[THE_KEY]" in shown
        assert secret not in shown


def test_a_secret_that_contains_another_one_is_replaced_as_a_whole() -> None:
    known = KnownSecrets()
    known.remember("SHORT", "abcdefghijkl")
    known.remember("LONG", "abcdefghijklmnop")
    assert replaced(known, "abcdefghijklmnop abcdefghijkl") == "[LONG] [SHORT]"


def test_a_short_value_is_no_secret() -> None:
    known = KnownSecrets()
    known.remember("WORD", "password")
    assert not known.texts


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("OPENAI_API_KEY", "a-key-of-16-chars", "a-key-of-16-chars"),
        ("lower_case_token", "a-token-of-20-characters", "a-token-of-20-characters"),
        ("DATABASE_URL", "postgres://app:long-password@db/app", "long-password"),
        ("SENTRY_DSN", "https://user:long%2Fpassword@host/1", "long/password"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:long-password@host/otlp", "long-password"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "tenant=desk,authorization=Basic%20a-key-of-a-vendor", "a-key-of-a-vendor"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=another-key-of-a-vendor", "another-key-of-a-vendor"),
    ],
)
def test_secrets_of_the_environment_are_known_by_the_names_of_variables(name: str, value: str, secret: str) -> None:
    known = KnownSecrets()
    known.remember_environment({name: value, "PATH": "/usr/bin:/usr/local/bin", "KEY_PLACE": "under-the-flower-pot"})
    assert replaced(known, f"it is {secret}.") == f"it is [{name}]."
    assert replaced(known, "under-the-flower-pot") == "under-the-flower-pot"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key slipway_" + "a" * 40, "key [redacted]"),
        ("sk-" + "b" * 24 + " is wrong", "[redacted] is wrong"),
        ("whsec_" + "C" * 32 + "=", "[redacted]"),
        ("Authorization: Bearer abcdefghijklmnopqrstuvwx", "Authorization: Bearer [redacted]"),
        ("postgres://app:s3cr3t@db:5432/x", "postgres://app:[redacted]@db:5432/x"),
        ("redis://:s3cr3t@cache", "redis://:[redacted]@cache"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "[redacted]"),
        ("ghp_" + "d" * 36, "[redacted]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "[redacted]"),
    ],
)
def test_what_looks_like_a_credential_is_replaced_in_messages(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize("before", [*"\n\r\t\b\f\x1b\x00\u202e", '"', "\\"])
@pytest.mark.parametrize(
    "credential", ["sk-" + "b" * 24, "slipway_" + "a" * 40, "AKIAIOSFODNN7EXAMPLE", "ghp_" + "d" * 36]
)
def test_a_credential_behind_a_character_that_is_escaped_is_replaced(before: str, credential: str) -> None:
    text = f"the key is:{before}{credential}"
    for line in (text, orjson.dumps(text).decode(), json.dumps(text), text.encode("unicode_escape").decode()):
        shown = without_credentials(line)
        assert credential not in shown
        assert "[redacted]" in shown


@pytest.mark.parametrize(
    "text",
    [
        "GET /threads/0198-77/runs 200 in 4 ms",
        "http://127.0.0.1:8123/docs and mailto:ann@example.com",
        "node 'ask-the-desk' failed: KeyError('task-of-a-very-long-name-in-the-graph')",
        "2026-11-30T17:45:00.123456Z run.started run=01986f7e-7c3a-7bb0-9a6f-0242ac120002",
    ],
)
def test_ordinary_messages_are_not_changed(text: str) -> None:
    assert without_credentials(text) == text


@given(JSON_VALUES)
def test_without_rules_json_is_the_same_object(value: object) -> None:
    data = json.dumps(value).encode()
    assert NO_RULES.json(data) is data


@given(JSON_VALUES, st.sampled_from(["card_number", "cardNumber", "Card-Number", "CARDNUMBER", "_card__number"]))
def test_a_member_is_found_by_its_name_in_any_depth_and_spelling(value: object, name: str) -> None:
    rules = RedactionRules.of(["card_number"], [])
    document = {"a": [{"other": value, name: {"deep": "4711"}}], "cardNumbers": "kept", "empty": None}
    shown = orjson.loads(rules.json(orjson.dumps(document)))
    assert shown["a"][0][name] == "[redacted]"
    assert "4711" not in json.dumps(shown["a"])
    assert shown["cardNumbers"] == "kept"


@given(JSON_VALUES)
def test_other_members_keep_their_values(value: object) -> None:
    rules = RedactionRules.of(["card_number"], [r"\bcard-\d{4}\b"])
    document = {"card_number": "x", "value": value}
    shown = orjson.loads(rules.json(orjson.dumps(document)))
    if not re.search(r"card", json.dumps(value), re.IGNORECASE):
        assert shown["value"] == value


def test_a_pattern_is_replaced_in_texts_and_keeps_the_rest() -> None:
    rules = RedactionRules.of([], [r"\bcard-\d{4}\b", r"(?i)iban \w+"])
    data = b'{"text":"pay \\"card-4711\\" by IBAN DE02","n":4711,"list":["card-1"]}'
    assert orjson.loads(rules.json(data)) == {"text": 'pay "[redacted]" by [redacted]', "n": 4711, "list": ["card-1"]}
    assert rules.text("card-4711") == "[redacted]"


def test_anchored_patterns_match_whole_texts_of_json() -> None:
    rules = RedactionRules.of([], [r"^\d{16}$"])
    assert orjson.loads(rules.json(b'{"n":"4711471147114711","m":"x 4711471147114711"}')) == {
        "n": "[redacted]",
        "m": "x 4711471147114711",
    }


def test_large_numbers_and_other_letters_survive() -> None:
    rules = RedactionRules.of(["Geheimnis", "schlüssel"], [])
    data = '{"SCHLÜSSEL":"x","n":123456789012345678901234567890,"text":"Grüße"}'.encode()
    assert rules.json(data).decode() == '{"SCHLÜSSEL":"[redacted]","n":123456789012345678901234567890,"text":"Grüße"}'


def test_what_cannot_be_searched_is_not_shown() -> None:
    rules = RedactionRules.of([], ["card"])
    assert rules.json(b"[" * 100_000 + b"]" * 100_000) == b'"[redacted]"'
