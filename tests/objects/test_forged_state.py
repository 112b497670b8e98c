"""Somebody who can write into Redis names any class in a stored state: nothing is imported, constructed or run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ormsgpack
import pytest

from slipway.redis.checkpoint_keys import names_of
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.conftest import embedded_valkey
from tests.objects.test_restored_objects import Talk
from tests.site import developing

ARMED = """
from dataclasses import dataclass
from pathlib import Path
from pydantic import BaseModel, PrivateAttr, field_validator

def spring(*given):
    (Path(__file__).parent / "sprung").write_text(repr(given))

class Model(BaseModel):
    x: int
    _private: object = PrivateAttr(default_factory=spring)

    def __new__(cls, *args, **kwargs):
        spring("__new__")

    def __init__(self, **given):
        spring("__init__")

    def model_post_init(self, context):
        spring("model_post_init")

    @field_validator("x")
    def _x(cls, x):
        spring("validator")

@dataclass
class Record:
    x: int

    def __post_init__(self):
        spring("__post_init__")

    def __setattr__(self, name, value):
        spring("__setattr__")

class Finalized(BaseModel):
    x: int

    def __del__(self):
        spring("__del__")

class NoData:
    def __init__(self, **given):
        spring("NoData")
"""
GRAPH = """
from typing import Any, TypedDict
import armed
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    held: Any
    seen: list[str]

def look(state):
    held = state.get("held")
    return {"seen": [type(one).__name__ for one in held] if isinstance(held, list) else []}

graph = StateGraph(State).add_node(look).add_edge(START, "look").compile()
"""
TRAP = "from pathlib import Path\n(Path(__file__).parent / 'sprung').write_text('imported')\nclass Bait: ...\n"
NAMED = [
    ("armed", "Model", "Model"),
    ("armed", "Record", "Record"),
    ("armed", "Finalized", "dict"),
    ("armed", "NoData", "dict"),
    ("armed", "spring", "dict"),
    ("trap", "Bait", "dict"),
    ("subprocess", "Popen", "dict"),
    ("os", "system", "dict"),
    ("slipway.settings", "Settings", "dict"),
    ("slipway.execution.execution", "Execution", "dict"),
]


def _stored(module: str, name: str) -> Any:
    fields = {"x": "not validated"}
    payload = fields if name == "Record" else ormsgpack.Ext(1, ormsgpack.packb([fields]))
    return ormsgpack.Ext(64, ormsgpack.packb([[module, name], payload]))


@pytest.mark.timeout(120)
async def test_a_forged_state_imports_and_calls_nothing(tmp_path: Path) -> None:
    for name, text in {"armed": ARMED, "desk": GRAPH, "trap": TRAP}.items():
        (tmp_path / f"{name}.py").write_text(text)
    config, data, sprung = tmp_path / "langgraph.json", tmp_path / "data", tmp_path / "sprung"
    config.write_text(json.dumps({"graphs": {"desk": "./desk.py:graph"}}))
    data.mkdir()
    with embedded_valkey() as url, developing(config, data, SLIPWAY_REDIS_URL=url) as site:
        talk = Talk(site, "desk")
        await talk.run({"held": []})
        await _write(url, talk.path.rpartition("/")[2], [_stored(module, name) for module, name, _ in NAMED])
        held = (await talk.state())["values"]["held"]
        assert held == [{"x": "not validated"} for _ in NAMED]
        assert len(await talk.history()) == 3
        assert (await talk.run({"seen": []}))["seen"] == [kind for _, _, kind in NAMED]
        await site.call("POST", f"{talk.path}/state", {"values": {"seen": []}})
        assert not sprung.exists()


async def _write(url: str, thread_id: str, held: list[Any]) -> None:
    """Put a value in place of what the thread's channel `held` has."""
    pipeline = Pipeline(Address(url), "intruder", patience_s=5)
    await pipeline.open()
    state = names_of(Keys(Settings().key_prefix), thread_id).state
    fields = [field for field in await pipeline.send("HKEYS", state) if field.startswith(b"b\0held\0")]
    assert fields
    for field in fields:
        await pipeline.send("HSET", state, field, ormsgpack.packb(held))
    await pipeline.close()
