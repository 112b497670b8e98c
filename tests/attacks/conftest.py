"""The fixtures of `tests/auth`: a server, and the users ann and bob, who cannot read each other's records."""

from __future__ import annotations

from tests.auth.conftest import ann, bob, graphs, settings
from tests.http.conftest import client, served, worker

__all__ = ["ann", "bob", "client", "graphs", "served", "settings", "worker"]
