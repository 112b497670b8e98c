"""Names of members and of fields that say that their value is a credential, however they are written."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from slipway.credential_headers import is_credential

_LONGEST: Final = 256
"""Characters of a name that are looked at."""

_WORD_BEGINS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_credential_name(name: str) -> bool:
    """Whether a member is named as a credential: as a header with one, in any case, also with `_`, and as one word
    with upper case letters: `authorization`, `api_key`, `privateKey`."""
    return _is_credential(name[:_LONGEST])


@lru_cache(maxsize=2048)
def _is_credential(name: str) -> bool:
    return is_credential(_WORD_BEGINS.sub("-", name).lower().replace("_", "-"))
