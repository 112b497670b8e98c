"""What workers report to the health checks of web processes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline

ARQ_FAULT_TTL_S: Final = 30
"""Seconds that a report is stored. A worker whose fault persists reports again before that."""


def report_arq_fault(pipeline: Pipeline, keys: Keys, worker: str) -> asyncio.Future[Any]:
    """Reports that arq jobs do not execute in this worker. The reports of several workers replace each other: each of
    them is a reason to read the logs."""
    return pipeline.send("SET", keys.arq_fault, worker, "EX", ARQ_FAULT_TTL_S, repeatable=True)
