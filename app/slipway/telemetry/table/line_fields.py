"""The fields that every line of the log may have, whatever its event is.

Those of the work are known without being passed: in the code of a request, an attempt, a node, a tool or an arq job,
and in the threads and tasks that this code starts.
"""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import (
    ATTEMPT,
    FUNCTION,
    GRAPH,
    JOB,
    METHOD,
    NODE,
    PATH,
    REQUEST_ID,
    ROUTE,
    RUN,
    THREAD,
    TRACE,
)

TIMESTAMP: Final = Field("timestamp", Unit.TIME, "when the line was logged")
LEVEL: Final = Field("level", Unit.CODE, "how much it matters: debug, info, warning, error or critical")
EVENT: Final = Field("event", Unit.CODE, "what happened: a name of this page, or the message of a library")
PROCESS: Final = Field("process", Unit.CODE, "the process: web, worker, dev, or the command")
RELEASE: Final = Field("release", Unit.NAME, "the release of the project, if it is known (`SLIPWAY_RELEASE`)")
LOGGER: Final = Field(
    "logger", Unit.NAME, "the logger of the library or of the project's code; Slipway's lines have none"
)
EXCEPTION: Final = Field("exception", Unit.TEXT, "the traceback")
STACK: Final = Field("stack", Unit.TEXT, "the stack, if the code asked for it")
CUT: Final = Field("cut", Unit.FLAG, "whether parts were left out because the line was too long")

OF_EVERY_LINE: Final = (TIMESTAMP, LEVEL, EVENT, PROCESS, RELEASE)
"""In this order, at the start of a line."""

OF_THE_WORK: Final = (TRACE, REQUEST_ID, METHOD, PATH, ROUTE, RUN, THREAD, ATTEMPT, GRAPH, NODE, JOB, FUNCTION)
"""Those of the request, the attempt or the arq job in whose code the line is logged."""

OTHERS: Final = (LOGGER, STACK, EXCEPTION, CUT)
"""Those that some lines have at their end."""
