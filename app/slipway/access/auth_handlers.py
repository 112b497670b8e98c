"""Calls the handlers of an auth file with the parameters that they declare."""

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
"""The names of the parameters that an authenticate handler can declare."""
AUTHORIZE_PARAMETERS: Final = ("ctx", "value")


class AuthHandler:
    """A handler function of the project. A synchronous function runs in a thread.

    `available` are the names of the parameters that the function can declare, `description` names the handler in
    errors. Raises `ConfigError` when the function needs any other parameter."""

    def __init__(self, function: Callable[..., Any], available: tuple[str, ...], description: str) -> None:
        self._function = function
        self._is_async = any(
            inspect.iscoroutinefunction(each) for each in (inspect.unwrap(function), type(function).__call__)
        )
        parameters = inspect.signature(function).parameters.values()
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        declared = [
            parameter
            for parameter in parameters
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        ]
        for parameter in declared:
            if parameter.name not in available and parameter.default is parameter.empty:
                raise ConfigError(
                    f"auth.path: {description} has the parameter {parameter.name!r}, which does not exist; "
                    f"choose from: {', '.join(available)}"
                )
        self._by_position = [p.name for p in declared if p.kind is p.POSITIONAL_ONLY]
        by_name = {p.name for p in declared if p.kind is not p.POSITIONAL_ONLY and p.name in available}
        self.names = frozenset(available if takes_all else by_name | set(self._by_position))

    async def __call__(self, arguments: Mapping[str, Any]) -> object:
        """Calls the function with the arguments that it declares.

        A handler can await a future that it shares with other requests, such as one download of keys. When another
        request cancels that future, this handler has failed (`RuntimeError`), but this request is not cancelled."""
        try:
            return await self._call(arguments)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError("the handler awaited something that was cancelled") from error

    async def _call(self, arguments: Mapping[str, Any]) -> object:
        args = [arguments[name] for name in self._by_position]
        kwargs = {name: arguments[name] for name in self.names if name not in self._by_position}
        if self._is_async:
            return await cast("Awaitable[object]", self._function(*args, **kwargs))
        result = await asyncio.to_thread(self._function, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result
