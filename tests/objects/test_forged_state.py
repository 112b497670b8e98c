"""An attacker who can write into Redis puts names of any classes into a stored state. Nothing outside the allowlist is
imported, created or called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ormsgpack
import pytest

from slipway.redis.checkpoint_keys import names_of
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.server_pipeline import ServerPipeline
from slipway.settings import Settings
from tests.embedded_valkey import embedded_valkey
from tests.objects.test_restored_objects import GraphThread
from tests.site import running_site

CLASSES = """
from dataclasses import dataclass
from pathlib import Path
from pydantic import BaseModel, PrivateAttr, field_validator

def detect(*arguments):
    (Path(__file__).parent / "detected").write_text(repr(arguments))

class Model(BaseModel):
    x: int
    _private: object = PrivateAttr(default_factory=detect)

    def __new__(cls, *args, **kwargs):
        detect("__new__")

    def __init__(self, **given):
        detect("__init__")

    def model_post_init(self, context):
        detect("model_post_init")

    @field_validator("x")
    def _x(cls, x):
        detect("validator")

@dataclass
class Record:
    x: int

    def __post_init__(self):
        detect("__post_init__")

    def __setattr__(self, name, value):
        detect("__setattr__")

class Finalized(BaseModel):
    x: int

    def __del__(self):
        detect("__del__")

class NoData:
    def __init__(self, **given):
        detect("NoData")
"""
GRAPH = """
from typing import Any, TypedDict
import classes
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    values: Any
    types: list[str]

def report(state):
    values = state.get("values")
    return {"types": [type(one).__name__ for one in values] if isinstance(values, list) else []}

graph = StateGraph(State).add_node(report).add_edge(START, "report").compile()
"""
UNIMPORTED = (
    "from pathlib import Path\n(Path(__file__).parent / 'detected').write_text('imported')\nclass Unimported: ...\n"
)
FORGED = [
    ("classes", "Model", "Model"),
    ("classes", "Record", "Record"),
    ("classes", "Finalized", "dict"),
    ("classes", "NoData", "dict"),
    ("classes", "detect", "dict"),
    ("unimported", "Unimported", "dict"),
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
    for name, text in {"classes": CLASSES, "desk": GRAPH, "unimported": UNIMPORTED}.items():
        (tmp_path / f"{name}.py").write_text(text)
    config, data, detected = tmp_path / "langgraph.json", tmp_path / "data", tmp_path / "detected"
    config.write_text(json.dumps({"graphs": {"desk": "./desk.py:graph"}}))
    data.mkdir()
    with embedded_valkey() as url, running_site(config, data, SLIPWAY_REDIS_URL=url) as site:
        thread = GraphThread(site, "desk")
        await thread.run({"values": []})
        await _overwrite(url, thread.path.rpartition("/")[2], [_stored(module, name) for module, name, _ in FORGED])
        values = (await thread.state())["values"]["values"]
        assert values == [{"x": "not validated"} for _ in FORGED]
        assert len(await thread.history()) == 3
        assert (await thread.run({"types": []}))["types"] == [kind for _, _, kind in FORGED]
        await site.call("POST", f"{thread.path}/state", {"values": {"types": []}})
        assert not detected.exists()


async def _overwrite(url: str, thread_id: str, values: list[Any]) -> None:
    """Replace the stored value of the channel `values`."""
    pipeline = ServerPipeline(Address(url), "intruder", patience_s=5)
    await pipeline.open()
    state = names_of(Keys(Settings().key_prefix), thread_id).state
    fields = [field for field in await pipeline.send("HKEYS", state) if field.startswith(b"b\0values\0")]
    assert fields
    for field in fields:
        await pipeline.send("HSET", state, field, ormsgpack.packb(values))
    await pipeline.close()
