"""The project's rules: members of JSON objects whose values are replaced by their name, and patterns of texts
(`slipway.redaction` of langgraph.json). They apply to logs, errors, events, results, webhooks, pages and responses.

The state of a graph keeps its values, because the graph needs them; what is sent of it does not have them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway.redaction.credential_patterns import REDACTED


@dataclass(frozen=True, slots=True)
class RedactionRules:
    """`names` are compared without regard to case, and without `-` and `_`: `card_number` is also `cardNumber`."""

    names: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    name_search: re.Pattern[bytes] | None
    """Finds JSON that may have one of the names."""

    @classmethod
    def of(cls, keys: Iterable[str], patterns: Iterable[str]) -> RedactionRules:
        """Raises `re.error` for a pattern that does not compile."""
        names = frozenset(filter(None, map(_normal, keys)))
        by_letter = "|".join("[-_]*".join(map(re.escape, name)) for name in sorted(names))
        search = re.compile(rf'"[-_]*(?:{by_letter})[-_]*"\s*:'.encode(), re.IGNORECASE) if names else None
        if not all(map(str.isascii, names)):
            search = re.compile(b'"')  # bytes have no upper case of other letters
        return cls(names, tuple(map(re.compile, patterns)), search)

    def text(self, text: str) -> str:
        """The text with `[redacted]` instead of what matches a pattern."""
        for pattern in self.patterns:
            text = pattern.sub(REDACTED, text)
        return text

    def json(self, data: bytes) -> bytes:
        """The same for JSON, also for the members with one of the names. The same object if nothing is replaced."""
        named = self.name_search is not None and self.name_search.search(data) is not None
        if not named and not self.patterns:
            return data
        try:
            value = json.loads(data)  # orjson would convert large integers to floats
            shown = self.value(value)
        except (ValueError, RecursionError):
            return _dumps(REDACTED)  # what cannot be searched is not shown
        return data if shown == value else _dumps(shown)

    def member(self, name: Any, value: Any) -> Any:
        """The same for the value of the member `name`, which is replaced as a whole if it has one of the names."""
        is_named = value is not None and isinstance(name, str) and _normal(name) in self.names
        return REDACTED if is_named else self.value(value)

    def value(self, value: Any) -> Any:
        """The same for a value of JSON types."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {name: self.member(name, member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(member) for member in value]
        return value


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _normal(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


NO_RULES: Final = RedactionRules.of((), ())
