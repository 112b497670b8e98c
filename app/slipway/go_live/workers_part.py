"""Workers: whether they live, serve every version, and execute the same code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from slipway.go_live.check import Check, Part
from slipway.go_live.counted import counted
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, failed, passed, warned
from slipway.graph_versions.reads import VersionReads
from slipway.graph_versions.scripts import VersionScripts
from slipway.versions import version_of

_START: Final = "slipway worker"
_SAME: Final = ("slipway", "langgraph", "python", "release")
"""The members of a build that all workers should share."""


async def _alive(inputs: Inputs) -> Sequence[Line]:
    code, number = "workers.alive", inputs.health.workers
    if number is None:
        return [warned(code, "not checked: Redis did not say which workers live", "see the line health")]
    if not number:
        return [failed(code, "no worker lives: runs are stored and wait", _START)]
    if number == 1:
        return [warned(code, "one worker lives: while it restarts, runs wait", f"{_START} --processes 2")]
    return [passed(code, f"{number} workers live")]


async def _served(inputs: Inputs) -> Sequence[Line]:
    code, graphs = "versions.served", inputs.loaded.graphs
    known = await VersionScripts(inputs.pipeline, inputs.shards).read()
    wanted = [(graph_id, each.name) for graph_id in graphs.names() for each in graphs.versions(graph_id)]
    lines = [
        failed(
            code,
            f"{counted(lane.jobs, 'run')} waiting, and no live worker serves it",
            f"a worker of the release that has it, or slipway threads move --graph {lane.graph_id}",
            lane.graph_id if lane.version is None else f"{lane.graph_id}@{lane.version}",
        )
        for lane in known.lanes
        if not lane.is_served and lane.jobs
    ]
    waiting = {line.subject for line in lines}
    for graph_id, name in wanted:
        if not known.workers_of(graph_id, name) and f"{graph_id}@{name}" not in waiting:
            lines.append(failed(code, "no live worker serves it", _START, f"{graph_id}@{name}"))
    return lines or [
        passed(
            code,
            f"live workers serve {counted(len(wanted), 'version')} of {counted(len(graphs.names()), 'graph')}: all",
        )
    ]


async def _mixed(inputs: Inputs) -> Sequence[Line]:
    """Compares the builds of the versions that live workers serve with each other and with this process."""
    code = "workers.mixed"
    known = await VersionScripts(inputs.pipeline, inputs.shards).read()
    reads = VersionReads(inputs.pipeline, inputs.shards.home)
    found_builds = await asyncio.gather(*(reads.build(each) for each in sorted(known.served_builds)))
    builds = [build for build in found_builds if build is not None]
    if not builds or len(builds) < len(found_builds):
        what = "no live worker has registered" if not found_builds else "not every live worker has registered"
        return [warned(code, f"not checked: {what} what it executes", _START)]
    lines = []
    for member in _SAME:
        values = sorted({str(build.get(member) or "-") for build in builds})
        if len(values) > 1:
            found = f"live workers execute different {member}: {', '.join(values)}"
            lines.append(warned(code, found, "let the rolling deploy end, or restart the workers of before", member))
    own = version_of("slipway")
    if not lines and builds[0]["slipway"] != own:
        found = f"workers execute Slipway {builds[0]['slipway']}, and this command is {own}"
        return [warned(code, found, "run the doctor of the deployed release", "slipway")]
    if lines:
        return lines
    release = builds[0].get("release")
    return [passed(code, f"all execute Slipway {own}, release {release or 'without a name'}")]


PART: Final = Part(
    "workers",
    "Workers and versions",
    (
        Check({"workers.alive": "Whether workers live, and more than one."}, _alive),
        Check({"versions.served": "Whether live workers serve every graph and version."}, _served),
        Check({"workers.mixed": "Whether live workers execute one release of the project and of Slipway."}, _mixed),
    ),
    needs_code=True,
)
