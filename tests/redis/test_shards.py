"""A script uses keys of one shard, because a script on a cluster can use keys of one slot only. A channel has no shard:
PUBLISH reaches every node of a cluster."""

from __future__ import annotations

from collections import defaultdict

import pytest

from slipway.redis.catalogue.declarations import Shard
from slipway.redis.catalogue.key_kinds import KEY_KINDS
from slipway.redis.script_source import directives_of
from tests.catalogue.lua_use import Use
from tests.catalogue.scripts import KEYS, uses
from tests.redis.lua_names import LIBRARIES, SCRIPTS
from tests.redis.lua_threads import threads_received


def foreign(found: set[Use], homes: dict[str, Shard]) -> dict[tuple[str, Shard], set[str]]:
    """The key kinds of other shards than its own that a script uses, by script and shard."""
    kinds: dict[tuple[str, Shard], set[str]] = defaultdict(set)
    for use in found:
        shard = KEY_KINDS[use.kind].shard
        if shard not in (None, homes[use.script]):
            kinds[use.script, shard].add(use.kind)
    return dict(kinds)


@pytest.fixture(scope="module")
def homes() -> dict[str, Shard]:
    return {name: Shard(*directives_of(text)["shard"]) for name, text in SCRIPTS.items()}


def test_a_script_uses_keys_of_its_shard_only(homes: dict[str, Shard]) -> None:
    assert foreign(uses(), homes) == {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_receives_two_threads_declares_it(name: str) -> None:
    """Both threads have keys of the same kinds, so `foreign` does not notice them. On a cluster, either a copy is
    stored in the shard of its source, or each of these scripts becomes two: one that reads from the shard of the
    source, and one that writes to the shard of the copy."""
    received = threads_received(SCRIPTS[name], LIBRARIES, KEYS.get(name, ()))
    assert directives_of(SCRIPTS[name]).get("threads") == ([str(received)] if received > 1 else None)


@pytest.mark.parametrize(
    ("text", "key_kinds"),
    [
        ("local a, b = key('thread', args.source), key('thread', args.thread_id)", ()),
        ("local other = args.other\nredis.call('DEL', key('thread_runs', args.thread_id))\nset_updated(other)", ()),
        ("redis.call('COPY', KEYS[1], KEYS[2])", ("checkpoints", "checkpoints")),
    ],
)
def test_a_second_thread_is_noticed(text: str, key_kinds: tuple[str, ...]) -> None:
    assert threads_received(text, LIBRARIES, key_kinds) == 2


def test_threads_that_a_script_reads_are_not_received() -> None:
    text = "local thread_id = redis.call('HGET', run, 'thread_id')\nset_updated(thread_id)\nset_updated(args.thread_id)"
    assert threads_received(text, LIBRARIES, ()) == 1


def test_a_key_of_another_shard_is_noticed() -> None:
    found = {Use("run_read", "run", None, False), Use("run_read", "store_items", None, False)}
    assert foreign(found, {"run_read": Shard.THREAD}) == {("run_read", Shard.STORE): {"store_items"}}


def test_a_script_uses_keys_of_the_shard_that_it_declares(homes: dict[str, Shard]) -> None:
    keys = [use for use in uses() if KEY_KINDS[use.kind].shard is not None]
    own = {use.script for use in keys if KEY_KINDS[use.kind].shard is homes[use.script]}
    assert own == {use.script for use in keys}


def test_a_channel_can_be_used_from_any_shard() -> None:
    assert foreign({Use("run_cancel", "control", None, True)}, {"run_cancel": Shard.THREAD}) == {}
