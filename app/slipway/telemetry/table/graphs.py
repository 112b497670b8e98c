"""Graphs: loading them, their versions, and the classes of their states."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import ERROR, GRAPH, GRAPHS, MEMBER, PROBLEM, REASON, THREAD, VARIABLE, VERSION

_SOURCE: Final = Field("source", Unit.TEXT, "the file of the graph and its name there")
_FILE: Final = Field("file", Unit.TEXT, "the path of the file")
_MODULE: Final = Field("module", Unit.NAME, "the module")
_TYPE: Final = Field("type", Unit.NAME, "the class with its module")
_ATTRIBUTES: Final = Field("attributes", Unit.NAMES, "the attributes that are lost")
_USED: Final = Field("used", Unit.TEXT, "what Slipway uses instead")
_VERSIONS: Final = Field("versions", Unit.NAMES, "the versions that this process serves")
_NEWLY_SERVED: Final = Field("newly_served", Unit.COUNT, "those that no other worker served")
_LANE: Final = Field("lane", Unit.NAME, "the version for which runs wait")
_FROM_VERSION: Final = Field("from_version", Unit.NAME, "the version before")
_TO_VERSION: Final = Field("to_version", Unit.NAME, "the version since then")
_VERDICT: Final = Field("verdict", Unit.CODE, "how much the structure of the graph has changed")

_EVENTS: Final = (
    error("graph.unavailable", "A graph could not be loaded. Its runs wait.", GRAPH, _SOURCE, PROBLEM, VERSION),
    error("graph.factory_failed", "The factory of a graph raised an exception.", GRAPH, has_exception=True),
    warning("graph.cleanup_failed", "The context manager of a factory raised at its end.", GRAPH, PROBLEM),
    warning(
        "graph.structure_unknown",
        "Classes of the project prevent reading the structure of a graph: threads cannot be moved by themselves.",
        *(GRAPH, _SOURCE, PROBLEM),
    ),
    info(
        "graph.structure_not_read",
        "The factory of a graph needs a real run, so the structure is unknown until there is one.",
        *(GRAPH, _SOURCE, PROBLEM),
    ),
    warning("graphs.default_config_unused", "A default config names a graph that does not exist.", VARIABLE, PROBLEM),
    warning("graphs.env_file_missing", "The file of environment variables does not exist.", _FILE),
    warning("langgraph_json.not_used", "A key of langgraph.json has no effect in Slipway.", MEMBER, _USED),
    warning("state.module_not_imported", "A module that stored state names could not be imported.", _MODULE, ERROR),
    warning(
        "state.not_restored",
        "Objects of a class in stored state are not restored as they were. One line for each class and reason.",
        *(_TYPE, REASON, _ATTRIBUTES),
    ),
    info("versions.registered", "This process serves these versions from now on.", _VERSIONS, _NEWLY_SERVED),
    info("versions.served", "A version for which runs waited is served again.", _LANE),
    warning("versions.unserved", "Runs wait for a version that no live worker serves.", _LANE),
    info("rollouts.changed", "The rollouts of these graphs were read again.", GRAPHS),
    warning(
        "rollout.rolled_back",
        "A guard ended the ramp of a version: new threads get the old one.",
        GRAPH,
        VERSION,
        REASON,
    ),
    info(
        "thread.moved",
        "A thread was moved to another version of its graph, or to its changed code.",
        *(THREAD, _FROM_VERSION, _TO_VERSION, _VERDICT),
    ),
)

AREA: Final = Area("Graphs and their versions", _EVENTS)
