"""The stores of one process, as the tests of runs have them."""

from __future__ import annotations

from tests.runs.conftest import stores

__all__ = ["stores"]
