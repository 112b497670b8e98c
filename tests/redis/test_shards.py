"""A script uses keys of one shard, because a script on a cluster can use keys of one slot only. A channel has no shard:
PUBLISH reaches every node of a cluster."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import pytest

from slipway.redis.catalogue.declarations import Shard
from slipway.redis.catalogue.key_kinds import KEY_KINDS
from slipway.redis.script_source import directives_of
from tests.catalogue.lua_use import Use
from tests.catalogue.scripts import uses
from tests.redis.lua_names import SCRIPTS

EXCEPTIONS: Final = {
    ("heartbeat", Shard.PROCESSES): (
        "One heartbeat renews the leases of a worker and lists the worker. On a cluster it is one script for each "
        "shard with a lease, and one that lists the worker."
    ),
    ("work_census", Shard.PROCESSES): "Counts jobs and workers. On a cluster the counts of the shards are added up.",
}
"""Scripts that still use keys of a second shard, with the reason. A deployment needs one slot until this is empty."""

TWO_THREADS: Final = ("thread_copy", "checkpoint_copy", "document_copy")
"""Scripts that use keys of two threads, which the kinds of the keys do not show. On a cluster, a copy must have its
source's shard, or these scripts must read from one shard and write to another."""


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
    found = foreign(uses(), homes)
    assert {key: kinds for key, kinds in found.items() if key not in EXCEPTIONS} == {}


def test_scripts_with_two_threads_exist() -> None:
    assert set(TWO_THREADS) <= SCRIPTS.keys()


def test_every_exception_is_still_needed(homes: dict[str, Shard]) -> None:
    assert sorted(EXCEPTIONS) == sorted(foreign(uses(), homes))


def test_a_key_of_another_shard_is_noticed() -> None:
    found = {Use("run_read", "run", None, False), Use("run_read", "store_items", None, False)}
    assert foreign(found, {"run_read": Shard.THREAD}) == {("run_read", Shard.STORE): {"store_items"}}


def test_a_script_uses_keys_of_the_shard_that_it_declares(homes: dict[str, Shard]) -> None:
    keys = [use for use in uses() if KEY_KINDS[use.kind].shard is not None]
    own = {use.script for use in keys if KEY_KINDS[use.kind].shard is homes[use.script]}
    assert own == {use.script for use in keys}


def test_a_channel_can_be_used_from_any_shard() -> None:
    assert foreign({Use("duty_acquire", "control", None, True)}, {"duty_acquire": Shard.PROCESSES}) == {}
