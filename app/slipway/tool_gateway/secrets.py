"""Secrets of tools: environment variables, or files that they name (`NAME_FILE`), that only the tool may read that
declares them.

When the tools are loaded, their secrets are taken out of the environment of the process, so that a node cannot read
them there and a program that a node starts does not inherit them. Their values are replaced in everything that a tool
returns or raises. This keeps secrets out of states, events, traces and logs; it is no sandbox: code that runs in the
same process can read its memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langgraph.types import Command

from slipway.environment_variables import variable_or_file
from slipway.errors import SecretMissing
from slipway.redaction.known_secrets import KNOWN
from slipway.tool_gateway.definition import ToolDefinition

SHORTEST_REPLACED: Final = 4
"""Shorter values are not replaced: they would occur everywhere."""

_TAKEN: Final[dict[str, str]] = {}
"""What was taken out of the environment of this process."""


def take_secrets(names: Iterable[str]) -> None:
    """Takes these variables out of the environment. A variable that is set again replaces the value. Raises
    `ConfigError` if the file of a secret cannot be read."""
    for name in names:
        value = variable_or_file(os.environ, name)
        os.environ.pop(name, None)
        if value is not None:
            _TAKEN[name] = value
            KNOWN.remember(name, value)


def secret_of(tool: ToolDefinition, name: str) -> str:
    """Raises `SecretMissing`."""
    if name not in tool.secrets:
        raise SecretMissing(
            f"tool {tool.name!r} does not declare the secret {name!r}: add it to its secrets", tool.name
        )
    value = secret_value(name)
    if not value:
        raise SecretMissing(f"the secret {name!r} of tool {tool.name!r} is not set: set {name}", tool.name)
    return value


def secret_value(name: str) -> str | None:
    """The value of a secret, for parts of Slipway that call a service for a tool."""
    return _TAKEN.get(name) or os.environ.get(name)


class Redaction:
    """Replaces the secrets of one tool in texts and values."""

    def __init__(self, tool: ToolDefinition) -> None:
        found = {name: secret_value(name) or "" for name in sorted(tool.secrets)}
        self._values = sorted(
            ((value, name) for name, value in found.items() if len(value) >= SHORTEST_REPLACED),
            key=lambda pair: -len(pair[0]),  # a value that contains another one is replaced first
        )

    def text(self, text: str) -> str:
        for value, name in self._values:
            text = text.replace(value, f"[secret {name}]")
        return text

    def changes(self, text: str) -> bool:
        return any(value in text for value, _ in self._values)

    def value(self, value: Any) -> Any:
        """The value with secrets replaced, in texts, lists, objects, messages and commands. The same object if it has
        none."""
        return value if not self._values else self._replaced(value)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return (
                self.text(value.decode("latin-1")).encode("latin-1") if self.changes(value.decode("latin-1")) else value
            )
        if isinstance(value, Mapping) and type(value) is dict:
            return {self._replaced(name): self._replaced(member) for name, member in value.items()}
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(self._replaced(member) for member in value)
        if isinstance(value, BaseMessage):
            members = {name: self._replaced(getattr(value, name)) for name in ("content", "additional_kwargs")}
            if hasattr(value, "artifact"):
                members["artifact"] = self._replaced(value.artifact)
            return value.model_copy(update=members)
        if isinstance(value, Command):
            return Command(graph=value.graph, update=self._replaced(value.update), resume=value.resume, goto=value.goto)
        return value
