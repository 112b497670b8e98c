"""Values that compression does not make smaller, for tests of limits and pages."""

from __future__ import annotations

import random


def incompressible(size_bytes: int) -> bytes:
    """The same bytes for the same size."""
    return random.Random(size_bytes).randbytes(size_bytes)
