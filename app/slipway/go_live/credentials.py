"""Which environment variables look like credentials, by their names and values."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(
    r"(^|_)(API_?KEY|SECRET|SECRET_KEY|SECRET_ACCESS_KEY|ACCESS_TOKEN|TOKEN|PASSWORD|PASSWD|PRIVATE_KEY|CREDENTIALS)$"
    r"|^OTEL_EXPORTER_OTLP_([A-Z]+_)?HEADERS$",
    re.IGNORECASE,
)


def has_password(address: str) -> bool:
    """Whether the text is a URL with a user or a password before its host."""
    return "@" in re.split(r"[/?#]", address.partition("://")[2], maxsplit=1)[0]


def looks_like_credential(name: str, value: str) -> bool:
    """Whether the variable is probably a secret. A path of a file and an empty text are none."""
    if not value.strip() or value.startswith("/"):
        return False
    if "://" in value:
        return has_password(value)
    return _NAME.search(name) is not None
