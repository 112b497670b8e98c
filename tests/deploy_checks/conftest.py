"""Releases of a project in folders of their own, and threads that one of them has executed."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from pydantic import SecretStr

from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.deploy_checks.check import CheckedVerdict
from slipway.deploy_checks.report import DeployReport
from slipway.deploy_checks.run_check import run_check
from slipway.graph_versions.registration import VersionRegistration
from slipway.graph_versions.scripts import VersionScripts
from slipway.graph_versions.served_graphs import ServedGraphs
from slipway.graphs.interface import with_checkpointer
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.shards import shards_of

GRAPH: Final = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

class State(TypedDict, total=False):
    {key}: int
    answer: str
    paid: str

def prepare(state):
    return {{"answer": ""}}

def review(state):
    return {{"answer": interrupt("may I pay?")}}

def pay(state):
    return {{"paid": "yes"}}

builder = StateGraph(State)
builder.add_node("prepare", prepare)
builder.add_node("{node}", review)
builder.add_node("pay", pay)
builder.add_edge(START, "prepare")
builder.add_edge("prepare", "{node}")
builder.add_edge("{node}", "pay")
graph = builder.compile()
"""


def code(node: str = "review", key: str = "amount") -> str:
    """A graph that asks in this node, with the amount under this key."""
    return GRAPH.format(node=node, key=key)


@dataclass(frozen=True, slots=True)
class Release:
    """The code of a release, loaded."""

    settings: Settings
    graphs: Registry


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Redis, and folders with releases."""

    folder: Path
    pipeline: Pipeline
    keys: Keys
    valkey_url: str

    def write(
        self, name: str, versions: Mapping[str, str] | str, *, migrations: str | None = None, **section: Any
    ) -> Path:
        """Writes a release of the graph `desk` and returns the path of its langgraph.json. `versions` are the codes of
        declared versions, the last one is the default, or the code of an undeclared one."""
        folder = self.folder / name
        folder.mkdir()
        if isinstance(versions, str):
            (folder / "desk.py").write_text(versions)
            source = "./desk.py:graph"
        else:
            for version, text in versions.items():
                (folder / f"v{version}.py").write_text(text)
            sources = {version: f"./v{version}.py:graph" for version in versions}
            source = list(sources.values())[-1]
            section |= {"versions": sources, "default": list(versions)[-1]}
        if migrations is not None:
            (folder / "migrations.py").write_text(textwrap.dedent(migrations))
            section["migrations"] = "./migrations.py"
        document = {"graphs": {"desk": source}, "slipway": {"graphs": {"desk": section}}}
        path = folder / "langgraph.json"
        path.write_text(json.dumps(document))
        return path

    async def release(self, name: str, versions: Mapping[str, str] | str, **options: Any) -> Release:
        """Writes and loads a release."""
        path = self.write(name, versions, **options)
        values = {"redis_url": self.valkey_url, "key_prefix": self.keys.prefix, "config": path, "release": name}
        settings = Settings.from_values(values)
        return Release(settings, await Registry.load(path, release=name))

    async def deploy(self, release: Release) -> None:
        """Registers the versions, as the processes of the release do when they start."""
        registration = VersionRegistration(
            VersionScripts(self.pipeline, shards_of(self.keys)),
            release.graphs,
            ServedGraphs(release.graphs),
            is_worker=False,
        )
        await registration.register()

    async def thread(
        self,
        thread_id: str,
        release: Release,
        version: str | None = None,
        *,
        status: str = "interrupted",
        answer: str | None = None,
        pinned: bool = True,
    ) -> None:
        """A thread that this version has executed until it asks, or with an `answer` to its end."""
        served = release.graphs.version("desk", version)
        config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
        core = CoreCheckpointer(self.pipeline, shards_of(self.keys))
        async with release.graphs.open("desk", config, "threads.create_run", version=served.name) as opened:
            graph = with_checkpointer(opened, core)
            key = next(name for name in ("amount", "total") if name in graph.channels)
            await graph.ainvoke({key: 5}, config)
            if answer is not None:
                await graph.ainvoke(Command(resume=answer), config)
        await self.record(thread_id, status=status, version=served.name if pinned else None, schema=served.schema)

    async def record(
        self, thread_id: str, *, status: str, version: str | None, schema: str = "", graph_id: str = "desk"
    ) -> None:
        """The record of a thread, as scripts write it."""
        fields: list[str] = ["created_us", "1", "status", status, "m:graph_id", json.dumps(graph_id)]
        fields += [] if version is None else ["version", version, "schema", schema]
        await self.pipeline.send("HSET", self.keys.thread(thread_id), *fields)
        await self.pipeline.send("ZADD", self.keys.threads, 1, thread_id)

    async def check(self, release: Release, *allowed: str, url: str | None = None, collect: bool = True) -> Checked:
        """The result of a check of this release. Without `collect` it does not have the verdicts of single threads."""
        found: dict[str, CheckedVerdict] = {}
        settings = (
            release.settings if url is None else release.settings.model_copy(update={"redis_url": SecretStr(url)})
        )
        report, check = await run_check(
            settings,
            release.graphs,
            allowed=allowed,
            receive=lambda checked: found.update({checked.thread.thread_id: checked} if collect else {}),
        )
        return Checked(report, found, check)


@dataclass(frozen=True, slots=True)
class Checked:
    """A report, and the verdicts by thread."""

    report: DeployReport
    threads: Mapping[str, CheckedVerdict]
    check: Any

    def said(self, thread_id: str) -> tuple[str, str, list[str]]:
        """Verdict, version on which the thread would continue, codes of the reasons."""
        checked = self.threads[thread_id]
        return checked.verdict.kind.value, checked.target, [reason.code for reason in checked.verdict.reasons]


@pytest.fixture
def deployment(tmp_path: Path, pipeline: Pipeline, keys: Keys, valkey_url: str) -> Deployment:
    return Deployment(tmp_path, pipeline, keys, valkey_url)
