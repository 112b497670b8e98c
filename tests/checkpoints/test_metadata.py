"""The metadata that is stored with the checkpoints of one run."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

from slipway.checkpoints.metadata import ConfigMetadata, checkpoint_metadata

OWN: CheckpointMetadata = {"source": "loop", "step": 1, "parents": {}}


def config(metadata: dict[str, Any] | None = None, **configurable: Any) -> RunnableConfig:
    return {"metadata": {"team": "north"} if metadata is None else metadata, "configurable": configurable}


SAME = config({"team": "north"}, tour="a", __pregel_runtime=object())


@pytest.mark.parametrize(
    "changed",
    [
        config(SAME["metadata"], tour="b", __pregel_runtime=object()),
        config(SAME["metadata"], route="a", __pregel_runtime=object()),
        config(SAME["metadata"], tour="a", route="b", __pregel_runtime=object()),
        config(SAME["metadata"], __pregel_runtime=object()),
        config({"team": "south"}, tour="a", __pregel_runtime=object()),
        config(SAME["metadata"], tour="a", __pregel_runtime=None),
        config(SAME["metadata"], tour="a\0", langgraph_auth_user_id="ann"),
    ],
)
def test_metadata_are_those_of_each_config(changed: RunnableConfig) -> None:
    of_run = ConfigMetadata()
    for each in (SAME, changed, SAME, SAME, changed):
        assert of_run.added_to(OWN, each) == checkpoint_metadata(each, OWN)


def test_a_list_may_change_between_two_checkpoints() -> None:
    of_run, kept = ConfigMetadata(), [1]
    with_list = config(stops=kept)
    assert of_run.added_to(OWN, with_list)["stops"] == [1]
    kept.append(2)
    assert of_run.added_to(OWN, with_list)["stops"] == [1, 2]


def test_a_member_of_langgraph_replaces_one_of_the_config() -> None:
    stored = ConfigMetadata().added_to(OWN, config({"source": "mine", "a": object(), "b": "\0x"}, step=7, a="plain"))
    assert stored == {"source": "loop", "step": 1, "parents": {}, "b": "x", "a": "plain"}
