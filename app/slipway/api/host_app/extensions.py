"""What a project adds to the application: its auth file, its own app, and what langgraph.json's `http` says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette

from slipway.access.auth_file import AuthFile, load_auth
from slipway.graphs.attributes import attribute_of
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.graphs.sections import HttpSection


@dataclass(frozen=True, slots=True)
class Extensions:
    """Loaded, and fit to serve."""

    http: HttpSection = field(default_factory=HttpSection)
    auth: AuthFile | None = None
    app: Starlette | None = None


async def load_extensions(config: LangGraphJson, attribute: Callable[[str], object]) -> Extensions:
    """`attribute` gets what `./file.py:name` means. It raises `ConfigError`, and so does this,
    with the key and the reason."""
    return await asyncio.to_thread(_load, config, attribute)


def _load(config: LangGraphJson, attribute: Callable[[str], object]) -> Extensions:
    return Extensions(config.http, load_auth(config.auth, attribute), _app(config.http, attribute))


def _app(section: HttpSection, attribute: Callable[[str], object]) -> Starlette | None:
    if section.app is None:
        return None
    return attribute_of(Starlette, "Starlette or FastAPI application", "http.app", section.app, attribute)
