"""The project of `tests/auth`, served: ann has one of everything, bob sees none of it."""

from __future__ import annotations

from tests.auth.conftest import ann, bob, graphs, settings
from tests.http.conftest import client, served, worker

__all__ = ["ann", "bob", "client", "graphs", "served", "settings", "worker"]
