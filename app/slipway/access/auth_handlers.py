"""Calls a handler of the auth file with the parameters that it declares."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from slipway.errors import ConfigError

HANDLER_PARAMETERS: Final = (
    *("request", "body", "user", "path", "method", "scopes", "path_params", "query_params", "headers"),
    *("authorization", "scope"),
)
"""What an authenticate handler may ask for, by the names of its parameters."""
AUTHORIZE_PARAMETERS: Final = ("ctx", "value")


class AuthHandler:
    """A function of the author's, given what its parameters name. A synchronous one runs in a thread."""

    def __init__(self, function: Callable[..., Any], offered: tuple[str, ...], what: str) -> None:
        self._function = function
        self._waits = any(
            inspect.iscoroutinefunction(each) for each in (inspect.unwrap(function), type(function).__call__)
        )
        parameters = inspect.signature(function).parameters.values()
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        wanted = [
            parameter
            for parameter in parameters
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        ]
        for parameter in wanted:
            if parameter.name not in offered and parameter.default is parameter.empty:
                raise ConfigError(f"auth.path: {what} asks for {parameter.name!r}; there is {', '.join(offered)}")
        self._by_position = [p.name for p in wanted if p.kind is p.POSITIONAL_ONLY]
        named = {p.name for p in wanted if p.kind is not p.POSITIONAL_ONLY and p.name in offered}
        self.names = frozenset(offered if takes_all else named | set(self._by_position))

    async def __call__(self, offered: Mapping[str, Any]) -> object:
        """The handler's answer. A handler may await a future that it shares with other callers, such as one request for
        keys. When another caller cancels that future, the handler has failed; whoever asks here is not cancelled."""
        try:
            return await self._answer(offered)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError("it awaited something that was cancelled") from error

    async def _answer(self, offered: Mapping[str, Any]) -> object:
        args = [offered[name] for name in self._by_position]
        kwargs = {name: offered[name] for name in self.names if name not in self._by_position}
        if self._waits:
            return await cast("Awaitable[object]", self._function(*args, **kwargs))
        answer = await asyncio.to_thread(self._function, *args, **kwargs)
        return await answer if inspect.isawaitable(answer) else answer
