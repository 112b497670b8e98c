"""A run is made only on a thread that its caller may use, in the moment in which it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from slipway.access.filters import AccessFilter, parse_filter
from slipway.checkpoints.leftovers_exist import LeftoversExist
from slipway.errors import NotFound
from slipway.runs.record import new_id
from slipway.runs.script_results import RunCreateResult, ThreadChanged
from slipway.runs.scripts import RunCreate
from tests.runs.conftest import Stores, new_run

MEMBER = parse_filter({"members": {"$contains": "ann"}})
FILTERS = (MEMBER, parse_filter({"$or": [{"owner": "ann"}, {"members": {"$contains": "ann"}}]}))


@pytest.fixture
def meanwhile(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Awaitable[Any]]], None]:
    """Has something done once, after the filter was asked and before the run is made."""

    def between(act: Callable[[], Awaitable[Any]]) -> None:
        create, acts = stores.scripts.run_create, [act]

        async def then(arguments: RunCreate) -> RunCreateResult | ThreadChanged | LeftoversExist:
            while acts:
                await acts.pop()()
            return await create(arguments)

        monkeypatch.setattr(stores.scripts, "run_create", then)

    return between


@pytest.mark.parametrize("only", FILTERS)
async def test_an_access_filter_is_checked_against_the_thread(stores: Stores, only: AccessFilter) -> None:
    hers, his = new_id(), new_id()
    await stores.threads.create_or_get(hers, {"members": ["bob", "ann"]})
    await stores.threads.create_or_get(his, {"members": ["bob"], "owner": "bob"})
    assert (await stores.create(new_run(hers, access_filter=only))).thread_id == hers
    for thread, more in ((his, {}), (his, {"create_thread": True}), (new_id(), {})):
        with pytest.raises(NotFound):
            await stores.create(new_run(thread, access_filter=only, **more))
    assert (await stores.create(new_run(new_id(), access_filter=only, create_thread=True))).status == "pending"


@pytest.mark.parametrize("only", FILTERS)
async def test_who_was_shut_out_meanwhile_makes_no_run(stores: Stores, meanwhile: Any, only: AccessFilter) -> None:
    thread = new_id()
    await stores.threads.create_or_get(thread, {"members": ["ann"]})
    meanwhile(lambda: stores.threads.patch(thread, {"members": ["bob"]}))
    with pytest.raises(NotFound):
        await stores.create(new_run(thread, access_filter=only))
    assert await stores.runs.list(thread) == []


async def test_a_change_that_lets_the_caller_in_is_not_in_the_way(stores: Stores, meanwhile: Any) -> None:
    thread = new_id()
    await stores.threads.create_or_get(thread, {"members": ["ann"]})
    meanwhile(lambda: stores.threads.patch(thread, {"members": ["ann", "bob"], "other": 1}))
    assert (await stores.create(new_run(thread, access_filter=MEMBER))).status == "pending"


@pytest.mark.parametrize("metadata", [{}, {"members": ["bob"]}])
async def test_a_thread_that_somebody_else_made_meanwhile_is_theirs(
    stores: Stores, meanwhile: Any, metadata: dict[str, Any]
) -> None:
    thread = new_id()
    meanwhile(lambda: stores.threads.create_or_get(thread, metadata))
    with pytest.raises(NotFound):
        await stores.create(new_run(thread, access_filter=MEMBER, create_thread=True))
    assert await stores.runs.list(thread) == []
