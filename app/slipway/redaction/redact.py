"""Replaces secrets in a text or in JSON, before it is written to a log, an error, an event, a webhook or a response.

what                                      logs, errors   events, results, webhooks, pages, responses
exact values of known secrets             yes            yes
names and patterns of the project         yes            yes
what looks like a credential              yes            no: it may be data of a graph

Inputs and outputs in traces have a rule of their own (`trace_contents`).
"""

from __future__ import annotations

from typing import Any, Final

from slipway.redaction.credential_patterns import without_credentials
from slipway.redaction.known_secrets import KNOWN
from slipway.redaction.rules import NO_RULES, RedactionRules


class _Rules:
    """The rules of this process."""

    current: RedactionRules = NO_RULES


_RULES: Final = _Rules()


def use_rules(rules: RedactionRules) -> None:
    """Makes these the rules of this process."""
    _RULES.current = rules


def redact_message(text: str) -> str:
    """For texts of logs and errors."""
    return without_credentials(redact_text(text))


def redact_plain_message(text: str) -> str:
    """The same as `redact_message`, for a text that is made of plain texts and of what has no credentials."""
    shown = redact_text(text)
    return shown if shown == text else without_credentials(shown)


def redacts_members() -> bool:
    """Whether the project names members or patterns, so that `redact_member` may change a value."""
    rules = _RULES.current
    return bool(rules.names or rules.patterns)


def redact_member(name: str, value: Any) -> Any:
    """For a field of a log line, by the names and patterns of the project: these know the text as it is, and not how a
    line escapes it. The rest is replaced with the line."""
    return _RULES.current.member(name, value) if redacts_members() else value


def redact_patterns(text: str) -> str:
    """For the message of a log line, by the patterns of the project, if the line will escape something of it. The rest
    is replaced with the line."""
    return text if text.isprintable() else _RULES.current.text(text)


def redact_text(text: str) -> str:
    """For data of graphs that is no JSON, such as a page."""
    for secret, shown in KNOWN.texts:
        if secret in text:
            text = text.replace(secret, shown)
    return _RULES.current.text(text)


def redact_json(data: bytes) -> bytes:
    """For data of graphs as JSON. The same object if nothing is replaced."""
    for secret, shown in KNOWN.encoded:
        if secret in data:
            data = data.replace(secret, shown)
    return _RULES.current.json(data)
