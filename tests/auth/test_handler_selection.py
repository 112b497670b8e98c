"""Which handler of an auth file is called for an operation, and what its result changes. Other details of the protocol
are in `tests/compat/test_protocol_details.py`."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk import Auth
from langgraph_sdk.errors import NotFoundError

from slipway.access.auth_file import AuthFile
from slipway.access.users import User
from slipway.graphs.official_sections import AuthSection
from tests.auth.conftest import Client


async def test_one_handler_decides_filters_hide_records_and_changes_are_stored(ann: Client, bob: Client) -> None:
    """One handler is called, a run is `threads:create_run`, a hidden record is 404, and changes of a handler are
    stored."""
    thread = await ann.threads.create(metadata={"owner": "bob", "team": "x"})
    assert thread["metadata"] == {"owner": "ann", "team": "x"}
    for hidden in (bob.threads.get(thread["thread_id"]), bob.runs.create(thread["thread_id"], "greet", input={})):
        with pytest.raises(NotFoundError):
            await hidden
    run = await ann.runs.create(thread["thread_id"], "greet", input={"text": "hi"}, after_seconds=3600)
    assert run["metadata"]["owner"] == "ann"


def _auth() -> Auth:
    """Handlers that authenticate every client."""
    auth = Auth()

    @auth.authenticate
    async def authenticate(authorization: str | None) -> str:
        return authorization or "ann"

    return auth


async def test_only_the_most_specific_handler_is_called() -> None:
    """The most specific handler that matches: resource and action, resource, action, anything."""
    auth, called = _auth(), list[str]()

    @auth.on
    async def anything(ctx: Any, value: Any) -> bool:
        called.append("anything")
        return True

    @auth.on.threads
    async def threads(ctx: Any, value: Any) -> bool:
        called.append("threads")
        return True

    @auth.on.threads.create_run
    async def runs(ctx: Any, value: Any) -> bool:
        called.append("threads:create_run")
        return True

    custom = AuthFile(auth, AuthSection(path="./auth.py:auth"))
    user = User({"identity": "ann"})
    for resource, action in (("threads", "create_run"), ("threads", "read"), ("store", "get")):
        await custom.authorize(user, resource, action, {})
    assert called == ["threads:create_run", "threads", "anything"]


async def test_a_handler_of_a_resource_comes_before_one_of_an_action() -> None:
    """`@auth.on(actions="read")` is for every resource; `@auth.on.threads` is more specific if both match."""
    auth, called = _auth(), list[str]()

    @auth.on(actions="read")
    async def reads(ctx: Any, value: Any) -> bool:
        called.append("reads")
        return True

    @auth.on.threads
    async def threads(ctx: Any, value: Any) -> bool:
        called.append("threads")
        return True

    custom = AuthFile(auth, AuthSection(path="./auth.py:auth"))
    for resource in ("threads", "assistants"):
        await custom.authorize(User({"identity": "ann"}), resource, "read", {})
    assert called == ["threads", "reads"]
