"""The body of an event for an endpoint that wants full ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway.redaction.redact import redact_json
from slipway.serialization.json_encoding import dumps

MOST_BYTES: Final = 20_000
"""A larger body is sent thin: receivers have limits, and fetch the rest by the link."""


@dataclass(frozen=True, slots=True)
class FullEvent:
    """The thin event, and what a full one has in its member `data` as well."""

    thin: Mapping[str, Any]
    details: Mapping[str, Any]

    def body(self) -> bytes:
        """The full body. If it would be larger than `MOST_BYTES`, the thin one with the member `data.omitted`, which
        says why it is not full."""
        full = self._with(self.details)
        if len(full) <= MOST_BYTES:
            return full
        return self._with({"omitted": f"the full event has {len(full)} bytes, and at most {MOST_BYTES} are sent"})

    def _with(self, members: Mapping[str, Any]) -> bytes:
        return redact_json(dumps({**self.thin, "data": {**self.thin["data"], **members}}))
