"""The body of a delivery as JSON: JSON itself, or a form.

Slack and GitHub can send a form whose field `payload` is JSON; then that is the body. The fields of any other form
become the members of an object (commands of Slack).
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from slipway.errors import HookBodyUnknown, InvalidRequest
from slipway.serialization.json_depth import exceeds_depth
from slipway.serialization.json_encoding import DEEPEST

FORM: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 1_000

_PAYLOAD: Final = "payload"
_MOST_SHOWN_CHARACTERS: Final = 100


def payload_of(content_type: str, body: bytes) -> Any:
    """The JSON value of a body. A body without a content type must be JSON. Raises `HookBodyUnknown` for another
    content type, and `InvalidRequest` for a body that is not what its content type says."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == FORM:
        return _form(body)
    if media_type in ("", "application/json", "text/json") or media_type.endswith("+json"):
        return _json(body, "the body")
    raise HookBodyUnknown(
        f"content-type: {media_type[:_MOST_SHOWN_CHARACTERS]!r} is not accepted: send application/json or {FORM}"
    )


def _json(text: bytes, what: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest("", f"{what} is not valid JSON: {error}") from None
    if exceeds_depth(text, value, DEEPEST):
        raise InvalidRequest("", f"{what} is nested deeper than {DEEPEST} levels")
    return value


def _form(body: bytes) -> Any:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequest("", "the form is not UTF-8") from None
    except ValueError:
        raise InvalidRequest("", f"the form has more than {MOST_FIELDS} fields") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise InvalidRequest("", "the form has a field twice")
    if not fields:
        raise InvalidRequest("", "the form has no fields")
    return _json(fields[_PAYLOAD].encode(), f"the field {_PAYLOAD!r}") if _PAYLOAD in fields else fields
