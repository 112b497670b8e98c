"""A filter applies to every list: an excluded record is neither found nor counted, and does not count for the
offset."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.attacks.rules_server import RUN, YEARLY, admin, ann, graphs, post_json, rules, served, settings

__all__ = ["admin", "ann", "graphs", "rules", "served", "settings"]

MATCHING, EXCLUDED = {"team": "blue"}, {"team": "red"}
RECORDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "threads": ("/threads", "/threads", {}),
    "assistants": ("/assistants", "/assistants", {"graph_id": "greet"}),
    "crons": ("/runs/crons", "/runs/crons", RUN | {"schedule": YEARLY}),
}
"""By resource: the path that creates a record, the path above its lists, and the body without metadata."""


@pytest.mark.parametrize("resource", RECORDS)
async def test_a_record_that_the_filter_excludes_is_neither_found_nor_counted(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, resource: str
) -> None:
    create, lists, body = RECORDS[resource]
    for metadata in (MATCHING, EXCLUDED, MATCHING, EXCLUDED):
        await post_json(admin, create, body | {"metadata": metadata})
    rules.filters = {f"{resource}:search": MATCHING}
    page = await ann.post(f"{lists}/search", json={"limit": 10})
    assert [each["metadata"] for each in page.json()] == [MATCHING, MATCHING]
    assert page.headers["x-pagination-total"] == "2"
    assert await post_json(ann, f"{lists}/count", {}) == 2
    second = await post_json(ann, f"{lists}/search", {"limit": 1, "offset": 1})
    assert [each["metadata"] for each in second] == [MATCHING]
    assert await post_json(ann, f"{lists}/search", {"metadata": EXCLUDED}) == []
    assert await post_json(ann, f"{lists}/count", {"metadata": EXCLUDED}) == 0
    assert await post_json(admin, f"{lists}/count", {"metadata": EXCLUDED}) == 2


async def found_keys(client: httpx.AsyncClient, **body: Any) -> list[str]:
    return [item["key"] for item in (await post_json(client, "/store/items/search", body))["items"]]


async def test_an_item_that_the_filter_excludes_is_not_found(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any
) -> None:
    for key, value in (
        ("1", MATCHING),
        ("2", EXCLUDED),
        ("3", MATCHING | {"n": 3}),
        ("4", EXCLUDED | {"n": 4}),
        ("5", {}),
    ):
        await admin.put("/store/items", json={"namespace": ["n"], "key": key, "value": value})
    rules.filters = {"store:search": MATCHING}
    assert await found_keys(ann) == await found_keys(ann, namespace_prefix=["n"]) == ["3", "1"]
    assert await found_keys(ann, limit=1, offset=1) == ["1"]
    assert await found_keys(ann, filter={"n": {"$gte": 3}}) == ["3"]
    assert await found_keys(ann, filter=EXCLUDED) == []
    assert await found_keys(admin, filter=EXCLUDED) == ["4", "2"]


@pytest.mark.parametrize("operation", ["threads:search", "threads:read"])
async def test_the_runs_of_a_thread_that_the_filter_excludes_are_not_listed(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, operation: str
) -> None:
    paths = {}
    for metadata in (MATCHING, EXCLUDED):
        thread = (await post_json(admin, "/threads", {"metadata": metadata}))["thread_id"]
        await post_json(admin, f"/threads/{thread}/runs", RUN | {"after_seconds": 3600})
        paths[metadata["team"]] = f"/threads/{thread}/runs"
    rules.filters = {operation: MATCHING}
    assert len((await ann.get(paths["blue"])).json()) == 1
    assert (await ann.get(paths["red"])).status_code == 404
    assert len((await admin.get(paths["red"])).json()) == 1
