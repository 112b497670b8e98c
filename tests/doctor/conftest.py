"""The stores of one process, as the tests of the heart have them."""

from __future__ import annotations

from tests.runs.conftest import stores

__all__ = ["stores"]
