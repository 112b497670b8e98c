"""The HTTP status in an exception. The packages of services keep it in different attributes."""

from __future__ import annotations

from typing import Any


def http_status_of(error: BaseException) -> int | None:
    """The status of a response that says that a request failed: 400 to 599."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        metadata = response.get("ResponseMetadata")
        found = [metadata.get("HTTPStatusCode")] if isinstance(metadata, dict) else []
    else:
        found = [getattr(error, "status_code", None), getattr(response, "status_code", None)]
    found.append(getattr(error, "code", None))  # Google: an enumeration
    return next((int(each) for each in found if isinstance(each, int) and 400 <= each < 600), None)
