"""The headers of langgraph.json that each webhook call has, and the keys that sign it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from slipway.errors import ConfigError
from slipway.graphs.official_sections import WebhooksSection
from slipway.webhooks.signing import BadKey, SigningKey, signing_keys

_TEMPLATE: Final = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def headers_of(section: WebhooksSection, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of langgraph.json with the values of their environment variables. Raises `ConfigError` for a variable
    that is not set, or whose name does not begin with `webhooks.env_prefix`."""
    variables = os.environ if environment is None else environment

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not name.startswith(section.env_prefix):
            raise ConfigError(f"webhooks.headers: {name} may not be used: a name must begin with {section.env_prefix}")
        if name not in variables:
            raise ConfigError(f"webhooks.headers: the environment variable {name} is not set")
        return variables[name]

    filled = {name: _TEMPLATE.sub(value, text) for name, text in section.headers.items()}
    for name, text in filled.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[^\t\x20-\x7e]", text):
            raise ConfigError(f"webhooks.headers: {name!r} cannot be a header: visible ASCII characters only")
    return filled


def keys_of(secret: str | None) -> Sequence[SigningKey]:
    """The keys of `SLIPWAY_WEBHOOK_SECRET`, which sign the webhooks that runs and rollouts name. Raises
    `ConfigError`."""
    try:
        return () if secret is None else signing_keys(secret)
    except BadKey as error:
        raise ConfigError(f"SLIPWAY_WEBHOOK_SECRET: {error}") from None
