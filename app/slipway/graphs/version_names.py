"""Which names a project may give to versions of its graphs."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def checked_version_name(name: object) -> str:
    """`name`. Raises `ValueError` if no version can have it."""
    if not isinstance(name, str):
        raise ValueError(f"expected the name of a version, such as '1', found {name!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not the name of a version: use up to 64 letters, digits and . _ + -, and begin with a letter "
            "or a digit"
        )
    return name
