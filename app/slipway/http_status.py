"""The HTTP status in an exception. The packages of services keep it in different attributes."""

from __future__ import annotations

from typing import Any, Final

_BY_CODE: Final = {
    "api_error": 500,
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "timeout_error": 504,
}
"""The statuses of errors in the middle of a stream, whose own status said that all is well: by their codes."""


def http_status_of(error: BaseException) -> int | None:
    """The status of a response that says that a request failed: 400 to 599."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        metadata = response.get("ResponseMetadata")
        found = [metadata.get("HTTPStatusCode")] if isinstance(metadata, dict) else []
    else:
        found = [getattr(error, "status_code", None), getattr(response, "status_code", None)]
    found.append(getattr(error, "code", None))  # Google: an enumeration
    found += [_BY_CODE.get(code) for code in codes_of(error)]
    return next((int(each) for each in found if isinstance(each, int) and 400 <= each < 600), None)


def codes_of(error: BaseException) -> list[str]:
    """The codes in the body of a reply of OpenAI (`{"code": …, "type": …}`) or of Anthropic (`{"error": {"type":
    …}}`)."""
    body: Any = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    found = [body.get("code"), body.get("type")] if isinstance(body, dict) else []
    return [each for each in found if isinstance(each, str)]
