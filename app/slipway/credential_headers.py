"""Which request headers carry credentials, by their names."""

from __future__ import annotations

import re
from typing import Final

_CREDENTIALS: Final = frozenset({"x-tenant-id", "x-service-key", "x-amzn-oidc-data", "x-amzn-oidc-identity"})
"""Credentials whose names do not match the patterns below."""

_WORDS: Final = re.compile(
    r"(authorization|cookie2?|tokens?|secrets?|passwords?|passwd|passphrase|passcode|api[-_]?key|access[-_]?key|jwt|"
    r"credentials?|csrf|xsrf)($|[-_])|"
    r"(^|[-_])(authentication|bearer|oauth|dpop|t?otp|pass)($|[-_])|"
    r"(^|[-_])auth$"
)
"""Names of headers with credentials: `authorization`, `x-api-key`, `x-amz-security-token`, `x-csrftoken`, …"""
_KEY: Final = re.compile(r"(?<!idempotency)(?<!cache)(?<!surrogate)(?<!partition)(?<!routing)(?<!shard)[-_]key$")
"""Names of headers with secret keys: `ocp-apim-subscription-key`, `x-functions-key`, `x-auth-key`, …"""


def is_credential(name: str) -> bool:
    """Whether a header has a credential, by its name in lower case."""
    return name in _CREDENTIALS or _WORDS.search(name) is not None or _KEY.search(name) is not None
