"""The scripts of a worker that crashes while it executes calls of tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from slipway.errors import StoreUnavailable
from slipway.tool_gateway.scripts import BeginResult, CallBegin, CallEnd, ToolScripts
from tests.runs.conftest import Stores
from tests.runs.executions import CrashingScripts


class CrashingToolScripts(ToolScripts):
    """The scripts of a worker that crashes at its `crash_at`th script: before Redis executes it if that is even, and
    afterwards, before the worker has the reply, if it is odd."""

    def __init__(self, stores: Stores, crash_at: int) -> None:
        super().__init__(stores.pipeline, stores.shards)
        self.run_scripts = CrashingScripts(stores)
        self._left, self._afterwards = crash_at // 2, bool(crash_at % 2)

    async def _unless_crashed(self, send: Callable[[], Awaitable[Any]]) -> Any:
        if self.run_scripts.crashed:
            raise StoreUnavailable("the worker of this test crashed")
        self._left -= 1
        reply = await send() if self._left >= 0 or self._afterwards else None
        if self._left >= 0:
            return reply
        self.run_scripts.crash()
        self.run_scripts.crashed = True
        raise StoreUnavailable("the worker of this test crashed")

    async def begin(self, arguments: CallBegin) -> BeginResult:
        begin = super().begin
        result: BeginResult = await self._unless_crashed(lambda: begin(arguments))
        return result

    async def end(self, arguments: CallEnd, result: bytes) -> bool:
        return bool(await self._unless_crashed(lambda: super(CrashingToolScripts, self).end(arguments, result)))
