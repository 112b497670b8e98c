"""A project and a deployment for the checklist, of which a test changes one thing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slipway.go_live.checklist import PARTS, Checklist, run_checklist
from slipway.go_live.line import Line, Outcome
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.layout import LayoutRecord
from slipway.redis.server_pipeline import ServerPipeline
from slipway.settings import Settings
from tests.embedded_valkey import embedded_valkey
from tests.shards import shards_of

GRAPH = """
from typing import TypedDict
from langgraph.graph import END, START, StateGraph

class State(TypedDict):
    text: str

def answer(state: State) -> dict:
    return {"text": "yes"}

graph = StateGraph(State).add_node("answer", answer).add_edge(START, "answer").compile()
"""
"""A graph without loops, tools and questions."""

_NUMBERS = iter(range(1_000_000))


@dataclass(frozen=True, slots=True)
class Deployment:
    """A project below `folder`, and a Valkey of its own for the tests of this folder."""

    folder: Path
    url: str
    keys: Keys

    def project(self, code: str = GRAPH, **members: Any) -> Path:
        """Writes the project; `members` are those of langgraph.json. Each project has a module name of its own."""
        folder = self.folder / f"project{next(_NUMBERS)}"
        folder.mkdir()
        name = f"desk_{uuid.uuid4().hex[:8]}"
        (folder / f"{name}.py").write_text(code)
        document = {"dependencies": ["."], "graphs": {"desk": f"./{name}.py:graph"}, **members}
        (folder / "langgraph.json").write_text(json.dumps(document).replace("DESK", name))
        return folder / "langgraph.json"

    def settings(self, config: Path, **changed: Any) -> Settings:
        values: dict[str, Any] = {"redis_url": self.url, "key_prefix": self.keys.prefix, "config": config}
        return Settings(**values | changed)

    async def check(
        self, config: Path, *parts: str, environment: Mapping[str, str] | None = None, **settings: Any
    ) -> Checklist:
        """The checklist, of some parts only if they are named."""
        chosen = parts or tuple(part.name for part in PARTS)
        return await run_checklist(self.settings(config, **settings), environment or {}, chosen=chosen)


@pytest.fixture(scope="session")
def own_valkey_url() -> Iterator[str]:
    """A server whose configuration the tests of this folder change."""
    with embedded_valkey("--appendonly", "yes", "--maxmemory", "400mb") as url:
        yield url


@pytest.fixture
async def deployment(tmp_path: Path, own_valkey_url: str, keys: Keys) -> Deployment:
    pipeline = ServerPipeline(Address(own_valkey_url), "test", patience_s=5)
    await pipeline.open()
    await LayoutRecord(pipeline, shards_of(keys)).check_or_upgrade()
    await pipeline.close()
    return Deployment(tmp_path, own_valkey_url, keys)


@pytest.fixture
async def pipeline(own_valkey_url: str) -> Any:
    """Of the same server."""
    opened = ServerPipeline(Address(own_valkey_url), "test", patience_s=5)
    await opened.open()
    yield opened
    await opened.close()


def worst(lines: list[Line], code: str, subject: str | None = None) -> Line:
    """The worst line with this code, and this subject if one is given."""
    order = [Outcome.FAIL, Outcome.WARN, Outcome.PASS]
    found = [line for line in lines if line.code == code and subject in (None, line.subject)]
    assert found, f"no line {code}: {[each.code for each in lines]}"
    return min(found, key=lambda line: order.index(line.outcome))
