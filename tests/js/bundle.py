"""The pages, bundled and served from an origin of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.js.lines import SDK

HERE = Path(__file__).parent
BUNDLED_WITHIN_S = 60


def bundle(page: str, folder: Path, package: str | None = None) -> None:
    """Put a page into `folder`. All of it uses `package` of this folder for the client, when that is given."""
    command = (
        *(HERE / "node_modules" / ".bin" / "esbuild", HERE / "page" / f"{page}.jsx", "--bundle", "--jsx=automatic"),
        *('--define:process.env.NODE_ENV="production"', "--log-level=warning", f"--outfile={folder / 'app.js'}"),
        *(() if package is None else (f"--alias:{SDK}={package}",)),
    )
    subprocess.run(command, cwd=HERE, check=True, timeout=BUNDLED_WITHIN_S)
    (folder / "index.html").write_bytes((HERE / "page" / "index.html").read_bytes())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def origin(folder: Path) -> Iterator[str]:
    """The URL that serves `folder` until the block is left."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
