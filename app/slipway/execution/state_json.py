"""The newest state of the root graph as JSON, which its event, the result of the run and the thread's record share.
Secrets are replaced in it."""

from __future__ import annotations

from typing import Any

from slipway.redaction.redact import redact_json
from slipway.serialization.json_encoding import dumps, dumps_in_turns
from slipway.serialization.slices import is_large


class StateJson:
    """Encodes a state once. It is recognised by its identity, so `renew` must be called when a state is streamed: a
    graph may change one object and stream it again."""

    def __init__(self) -> None:
        self._state: Any = None
        self._encoded: bytes | None = None

    def renew(self, state: Any) -> None:
        """`state` is the newest state."""
        self._state, self._encoded = state, None

    @property
    def is_large(self) -> bool:
        """Whether the newest state should be encoded by `encode_in_turns`."""
        return self._encoded is None and is_large(self._state)

    async def encode_in_turns(self) -> None:
        """Encodes the newest state in slices, between which the event loop continues. Nothing else may change the state
        meanwhile."""
        self._encoded = redact_json(await dumps_in_turns(self._state))

    def dumps(self, state: Any) -> bytes:
        """A state as JSON."""
        if state is not self._state:
            return redact_json(dumps(state))
        if self._encoded is None:
            self._encoded = redact_json(dumps(state))
        return self._encoded

    async def dumps_in_turns(self, state: Any) -> bytes:
        """The same as `dumps`. A large state is encoded in slices."""
        if state is not self._state:
            return redact_json(await dumps_in_turns(state))
        if self._encoded is None:
            await self.encode_in_turns()
        return self.dumps(state)
