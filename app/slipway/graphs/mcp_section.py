"""The member `mcp` of `slipway` in `langgraph.json`: MCP servers whose tools the graphs may call.

"mcp": {
  "crm": {"url": "https://crm.example/mcp", "headers": {"Authorization": "Bearer ${CRM_TOKEN}"},
          "read": ["find_customer"], "pinned": "sha256:..."},
  "files": {"command": ["python", "file_server.py"], "env": {"TOKEN": "${FILES_TOKEN}"}, "pinned": "sha256:..."}
}
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from slipway.graphs.project_objects import Text
from slipway.graphs.strict_section import PositiveNumber, StrictSection

_SECRET: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

McpServerName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
"""It is the beginning of the names of its tools."""


class McpSection(StrictSection):
    """`slipway.mcp.NAME`. In the values of `headers` and `env`, `${NAME}` is the value of an environment variable,
    which becomes a secret of the server's tools."""

    url: Annotated[Text, Field(pattern=r"^https?://")] | None = None
    headers: dict[Text, Text] = Field(default_factory=dict)
    command: Annotated[list[Text], Field(min_length=1)] | None = None
    env: dict[Text, str] = Field(default_factory=dict)
    tools: Annotated[list[Text], Field(min_length=1)] | None = None
    """Only these tools of the server can be called. None means all that are pinned."""
    read: list[Text] = Field(default_factory=list)
    """These only read, by decision of an operator. All others count as tools that write, whatever the server says."""
    pinned: Annotated[Text, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """The hash of the list of tools that `slipway tools pin` has stored."""
    timeout_s: PositiveNumber = 60.0
    """Seconds that each try of a call may take."""

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise ValueError("expected either url or command")
        if self.headers and self.url is None:
            raise ValueError("headers need a url; a command receives env")
        if self.env and self.command is None:
            raise ValueError("env needs a command; a url receives headers")
        return self

    @property
    def secrets(self) -> list[str]:
        """The environment variables that headers and env name."""
        texts = [*self.headers.values(), *self.env.values()]
        return sorted({name for text in texts for name in _SECRET.findall(text)})

    def with_secrets(self, value_of: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and env with the values of the secrets."""

        def filled(texts: dict[str, str]) -> dict[str, str]:
            return {name: _SECRET.sub(lambda match: value_of[match[1]], text) for name, text in texts.items()}

        return filled(self.headers), filled(self.env)
