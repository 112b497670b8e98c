"""Fixtures of `tests/http`: the application, its clients and a worker."""

from __future__ import annotations

from tests.http.conftest import client, graphs, sdk, served, settings, worker

__all__ = ["client", "graphs", "sdk", "served", "settings", "worker"]
