"""Bundles the pages of `page/` and serves each from an origin of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.js.client_versions import SDK

HERE = Path(__file__).parent
BUNDLE_WITHIN_S = 60
AGENT_CHAT = HERE / "node_modules" / "create-agent-chat-app" / "templates" / "vite" / "src"
"""The source of Agent Chat UI, as its own package for new projects has it."""
REPLACEMENTS = HERE / "page" / "agent_chat"
ALIASES = {
    "agent-chat-ui": AGENT_CHAT,
    "@/providers/Stream": REPLACEMENTS / "Stream.jsx",
    **dict.fromkeys(("sonner", "date-fns", "lodash", "@langchain/langgraph/web"), REPLACEMENTS / "unused.js"),
}
"""By the name under which code imports it: what is bundled instead."""


def bundle(page: str, folder: Path, package: str | None = None) -> None:
    """Writes the page and its script to `folder`. With `package`, all its code imports that package as the client."""
    command = (
        *(HERE / "node_modules" / ".bin" / "esbuild", HERE / "page" / f"{page}.jsx", "--bundle", "--jsx=automatic"),
        *('--define:process.env.NODE_ENV="production"', "--log-level=warning", f"--outfile={folder / 'app.js'}"),
        *(f"--alias:{name}={path}" for name, path in ALIASES.items()),
        *(() if package is None else (f"--alias:{SDK}={package}",)),
    )
    subprocess.run(command, cwd=HERE, check=True, timeout=BUNDLE_WITHIN_S)
    (folder / "index.html").write_bytes((HERE / "page" / "index.html").read_bytes())


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Writes no access log."""


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """The URL at which `folder` is served until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
