"""LangSmith receives the runs of graphs when it is configured."""

from __future__ import annotations

import gzip
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.crash.cluster import running
from tests.crash.test_exported_traces import PROJECT
from tests.crash.test_traces import create, phase_is
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def langsmith(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, bytes]]]:
    """What a server with LangSmith's routes receives: path, key, body."""
    received: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            received.append((self.path, self.headers.get("x-api-key", ""), body))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PATCH = _answer

        def log_message(self, *arguments: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_pt_key-of-this-test")
    monkeypatch.setenv("LANGSMITH_PROJECT", "the-project-of-this-test")
    yield received
    server.shutdown()
    server.server_close()


async def test_langsmith_receives_the_runs_of_graphs(langsmith: list[tuple[str, str, bytes]]) -> None:
    async with running(webs=1, workers=1, project=PROJECT) as cluster:
        run_id = await create(cluster, str(uuid.uuid4()), "work", input={})
        await wait_until(lambda: phase_is(cluster, run_id, "completed"))
        await wait_until(lambda: any("runs" in path for path, _, _ in langsmith))
        await wait_until(lambda: b"thinks" in _sent(langsmith))
    assert {key for path, key, _ in langsmith if "runs" in path} == {"lsv2_pt_key-of-this-test"}
    assert b"the-project-of-this-test" in _sent(langsmith)


def _sent(received: list[tuple[str, str, bytes]]) -> bytes:
    """All bodies, decompressed."""
    return b"".join(_plain(body) for _, _, body in received)


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
