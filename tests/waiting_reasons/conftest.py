"""The stores of runs, on a real Valkey."""

from __future__ import annotations

from tests.runs.conftest import graphs, stores

__all__ = ["graphs", "stores"]
