"""The one rule for inputs and outputs in traces, whether they are recorded with a span or read when they are asked
for, and wherever they are shown: as JSON, in a terminal, on a page, or exported.

A person reads them to find a mistake, and no program needs them as they were. So more is replaced than in the data of
a graph: also what looks like a credential, and the texts of members that are named as one.
"""

from __future__ import annotations

import json
from typing import Any, Final

from slipway.redaction.credential_names import is_credential_name
from slipway.redaction.credential_patterns import REDACTED, without_credentials
from slipway.redaction.redact import redact_json

_UNREADABLE: Final = json.dumps(REDACTED).encode()


def redact_trace_content(data: bytes) -> bytes:
    """The JSON of an input or an output without secrets. What cannot be searched is replaced as a whole."""
    try:
        value = json.loads(redact_json(data))  # orjson would convert large integers to floats
        return json.dumps(_shown(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return _UNREADABLE


def _shown(value: Any, *, named: bool = False) -> Any:
    """`named`: whether a member that the value is a part of is named as a credential."""
    if isinstance(value, str):
        return REDACTED if named and value else _text(value)
    if isinstance(value, dict):
        return {
            without_credentials(name): _shown(member, named=named or is_credential_name(name))
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [_shown(item, named=named) for item in value]
    return value


def _text(text: str) -> str:
    """A text may be JSON itself, such as the arguments of a call that a model has written."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            inner = json.loads(text)
            shown = _shown(inner)
        except (ValueError, RecursionError):
            return without_credentials(text)
        if shown != inner:
            return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    return without_credentials(text)
