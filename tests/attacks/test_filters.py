"""A filter holds in every list: what it excludes is neither found nor counted, and takes no place on a page."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.attacks.rules_server import NEVER, RUN, admin, ann, graphs, made, rules, served, settings

__all__ = ["admin", "ann", "graphs", "rules", "served", "settings"]

OURS, THEIRS = {"team": "ours"}, {"team": "theirs"}
RECORDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "threads": ("/threads", "/threads", {}),
    "assistants": ("/assistants", "/assistants", {"graph_id": "greet"}),
    "crons": ("/runs/crons", "/runs/crons", RUN | {"schedule": NEVER}),
}
"""By resource: where a record is made, what its lists are below, and the body without metadata."""


@pytest.mark.parametrize("resource", RECORDS)
async def test_a_record_that_the_filter_excludes_is_neither_found_nor_counted(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, resource: str
) -> None:
    create, lists, body = RECORDS[resource]
    for metadata in (OURS, THEIRS, OURS, THEIRS):
        await made(admin, create, body | {"metadata": metadata})
    rules.filters = {f"{resource}:search": OURS}
    page = await ann.post(f"{lists}/search", json={"limit": 10})
    assert [each["metadata"] for each in page.json()] == [OURS, OURS]
    assert page.headers["x-pagination-total"] == "2"
    assert await made(ann, f"{lists}/count", {}) == 2
    second = await made(ann, f"{lists}/search", {"limit": 1, "offset": 1})
    assert [each["metadata"] for each in second] == [OURS]
    assert await made(ann, f"{lists}/search", {"metadata": THEIRS}) == []
    assert await made(ann, f"{lists}/count", {"metadata": THEIRS}) == 0
    assert await made(admin, f"{lists}/count", {"metadata": THEIRS}) == 2


async def found(client: httpx.AsyncClient, **body: Any) -> list[str]:
    """The keys of the items that a search finds."""
    return [item["key"] for item in (await made(client, "/store/items/search", body))["items"]]


async def test_an_item_that_the_filter_excludes_is_not_found(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any
) -> None:
    for key, value in (("1", OURS), ("2", THEIRS), ("3", OURS | {"n": 3}), ("4", THEIRS | {"n": 4}), ("5", {})):
        await admin.put("/store/items", json={"namespace": ["n"], "key": key, "value": value})
    rules.filters = {"store:search": OURS}
    assert await found(ann) == await found(ann, namespace_prefix=["n"]) == ["3", "1"]
    assert await found(ann, limit=1, offset=1) == ["1"]
    assert await found(ann, filter={"n": {"$gte": 3}}) == ["3"]
    assert await found(ann, filter=THEIRS) == []
    assert await found(admin, filter=THEIRS) == ["4", "2"]


@pytest.mark.parametrize("operation", ["threads:search", "threads:read"])
async def test_the_runs_of_a_thread_that_the_filter_excludes_are_not_listed(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, operation: str
) -> None:
    paths = {}
    for metadata in (OURS, THEIRS):
        thread = (await made(admin, "/threads", {"metadata": metadata}))["thread_id"]
        await made(admin, f"/threads/{thread}/runs", RUN | {"after_seconds": 3600})
        paths[metadata["team"]] = f"/threads/{thread}/runs"
    rules.filters = {operation: OURS}
    assert len((await ann.get(paths["ours"])).json()) == 1
    assert (await ann.get(paths["theirs"])).status_code == 404
    assert len((await admin.get(paths["theirs"])).json()) == 1
