"""The data of a page, which its scripts read, has no member that the project names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slipway.api.ui.rendering import as_data
from slipway.redaction.redact import use_rules
from slipway.redaction.rules import NO_RULES, RedactionRules


@pytest.fixture
def rules() -> Iterator[None]:
    use_rules(RedactionRules.of(["card_number"], [r"\bcard-\d{4}\b"]))
    yield
    use_rules(NO_RULES)


@pytest.mark.usefixtures("rules")
def test_the_data_of_a_page_has_no_named_member() -> None:
    data = as_data({"input": {"cardNumber": "4711", "text": "pay <b>card-4711</b>"}})
    assert data == r'{"input":{"cardNumber":"[redacted]","text":"pay \u003cb\u003e[redacted]\u003c/b\u003e"}}'
