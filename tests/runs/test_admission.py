"""The script that creates a run rejects it if the thread does not match the access filter at that moment."""

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
def before_create(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Awaitable[Any]]], None]:
    """Executes an action once, after the filter was evaluated in Python and before the script creates the run."""

    def set_action(action: Callable[[], Awaitable[Any]]) -> None:
        create, actions = stores.scripts.run_create, [action]

        async def act_and_create(
            arguments: RunCreate, serves: bytes = b""
        ) -> RunCreateResult | ThreadChanged | LeftoversExist:
            while actions:
                await actions.pop()()
            return await create(arguments, serves)

        monkeypatch.setattr(stores.scripts, "run_create", act_and_create)

    return set_action


@pytest.mark.parametrize("access_filter", FILTERS)
async def test_an_access_filter_is_checked_against_the_thread(stores: Stores, access_filter: AccessFilter) -> None:
    matching, other = new_id(), new_id()
    await stores.threads.create_or_get(matching, {"members": ["bob", "ann"]})
    await stores.threads.create_or_get(other, {"members": ["bob"], "owner": "bob"})
    assert (await stores.create(new_run(matching, access_filter=access_filter))).thread_id == matching
    for thread, options in ((other, {}), (other, {"create_thread": True}), (new_id(), {})):
        with pytest.raises(NotFound):
            await stores.create(new_run(thread, access_filter=access_filter, **options))
    assert (await stores.create(new_run(new_id(), access_filter=access_filter, create_thread=True))).status == "pending"


@pytest.mark.parametrize("access_filter", FILTERS)
async def test_a_user_who_loses_access_before_the_run_is_created_creates_no_run(
    stores: Stores, before_create: Any, access_filter: AccessFilter
) -> None:
    thread = new_id()
    await stores.threads.create_or_get(thread, {"members": ["ann"]})
    before_create(lambda: stores.threads.patch(thread, {"members": ["bob"]}))
    with pytest.raises(NotFound):
        await stores.create(new_run(thread, access_filter=access_filter))
    assert await stores.runs.list(thread) == []


async def test_a_change_of_metadata_that_still_matches_does_not_reject_the_run(
    stores: Stores, before_create: Any
) -> None:
    thread = new_id()
    await stores.threads.create_or_get(thread, {"members": ["ann"]})
    before_create(lambda: stores.threads.patch(thread, {"members": ["ann", "bob"], "other": 1}))
    assert (await stores.create(new_run(thread, access_filter=MEMBER))).status == "pending"


@pytest.mark.parametrize("metadata", [{}, {"members": ["bob"]}])
async def test_a_thread_that_another_user_created_first_is_not_found(
    stores: Stores, before_create: Any, metadata: dict[str, Any]
) -> None:
    thread = new_id()
    before_create(lambda: stores.threads.create_or_get(thread, metadata))
    with pytest.raises(NotFound):
        await stores.create(new_run(thread, access_filter=MEMBER, create_thread=True))
    assert await stores.runs.list(thread) == []
