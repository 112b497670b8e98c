"""Texts that users put everywhere are in no byte that Redis keeps, in memory and on disk."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.server_pipeline import ServerPipeline
from tests.encryption.conftest import NEW, Canary, every_byte, forms_of, settings_for
from tests.http.conftest import serving
from tests.worker import running_worker

CANARY = "canary-Zq7wX9"


async def found(url: str, text: str) -> set[str]:
    """Where the text is: keys, and files of the server."""
    pipeline = ServerPipeline(Address(url), "test", patience_s=5)
    await pipeline.open()
    try:
        await pipeline.send("SAVE")
        keys = await every_byte(pipeline)
        places = {name for name, data in keys.items() if any(form in data for form in forms_of(text))}
    finally:
        await pipeline.close()
    folder = Path(urlparse(url).path).parent
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".rdb" for path in files)
    assert any(path.suffix == ".aof" for path in files)
    return places | {path.name for path in files if any(form in path.read_bytes() for form in forms_of(text))}


@pytest.mark.parametrize("encrypted", [True, False])
async def test_a_text_that_is_put_everywhere_is_stored_nowhere(
    own_url: str, keys: Keys, graphs: Registry, *, encrypted: bool
) -> None:
    settings = settings_for(own_url, keys, *([NEW] if encrypted else []))
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        httpx.AsyncClient(base_url=served.url, timeout=20) as client,
    ):
        canary = Canary(client, CANARY)
        thread = await canary.put_everywhere()
        await canary.has_ended(thread)
        state = await canary.get(f"/threads/{thread}/state")
        assert state["values"]["sent"] == f"sent {CANARY} edited"
        hits = await found(own_url, CANARY)
    if encrypted:
        assert hits == set()
    else:
        assert len(hits) > 20, "the test puts the text into few places"
