"""The fixture `stores` of the tests of runs."""

from __future__ import annotations

from tests.runs.conftest import stores

__all__ = ["stores"]
