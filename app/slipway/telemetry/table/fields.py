"""The fields that more than one area of the table uses."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.field import Field, Unit

RUN: Final = Field("run", Unit.ID, "the run")
THREAD: Final = Field("thread", Unit.ID, "the thread")
ATTEMPT: Final = Field("attempt", Unit.NUMBER, "the attempt at the run, from 1")
GRAPH: Final = Field("graph", Unit.NAME, "the graph")
VERSION: Final = Field("version", Unit.NAME, "the version of the graph, empty for graphs without versions")
NODE: Final = Field("node", Unit.NAME, "the node of the graph")
WORKER: Final = Field("worker", Unit.ID, "the worker")
OUTCOME: Final = Field("outcome", Unit.CODE, "how it ended")
CODE: Final = Field("code", Unit.CODE, "the stable code of the error (docs/errors.md)")
PROBLEM: Final = Field("problem", Unit.TEXT, "what is wrong, and what to do about it")
REASON: Final = Field("reason", Unit.TEXT, "why")
PHASE: Final = Field("phase", Unit.CODE, "the phase of the run (docs/state-machine.md)")
MODEL: Final = Field("model", Unit.NAME, "the model")
TOOL: Final = Field("tool", Unit.NAME, "the tool")
METHOD: Final = Field("method", Unit.CODE, "the HTTP method")
ROUTE: Final = Field("route", Unit.NAME, "the path of the route, with the names of its parameters")
STATUS: Final = Field("status", Unit.NUMBER, "the HTTP status of the response")
BY: Final = Field("by", Unit.NAME, "who did it")
PRIORITY: Final = Field("priority", Unit.CODE, "the priority of the run: high, normal or low")
RESULT: Final = Field("result", Unit.CODE, "what came of it, a word from the list of the metric")
DECISION: Final = Field("decision", Unit.CODE, "what became of the review: decided, expired or superseded")
HOOK: Final = Field("hook", Unit.NAME, "the hook")
POLICY: Final = Field("policy", Unit.NAME, "the rate (docs/network-limits.md)")
SHADOW: Final = Field("shadow", Unit.CODE, "yes if the request was served all the same, because rates are only counted")
LEVEL: Final = Field("level", Unit.CODE, "how much the finding matters: warning or error")
KIND: Final = Field("kind", Unit.CODE, "the kind of what is named: a model, a tool, a node, a graph, all")
NAME: Final = Field("name", Unit.NAME, "the name of what is meant")
PROCESS: Final = Field("process", Unit.CODE, "the kind of process: web or worker")
