"""What a project adds to the API: its access control, its host app, and the section `http` of langgraph.json."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.applications import Starlette

from slipway.access.access_control import AccessControl
from slipway.api.auth.access_settings import load_access
from slipway.api.header_policy import warn_about_credentials
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.graphs.official_sections import HttpSection
from slipway.graphs.project_objects import load_project_object
from slipway.hooks.loaded_hooks import LoadedHook, load_hooks
from slipway.settings import Settings


@dataclass(frozen=True, slots=True)
class Extensions:
    """The loaded and validated extensions of one project."""

    http: HttpSection = field(default_factory=HttpSection)
    auth: AccessControl | None = None
    host_app: Starlette | None = None
    hooks: Mapping[str, LoadedHook] = field(default_factory=dict)


async def load_extensions(
    config: LangGraphJson, load_object: Callable[[str], object], settings: Settings
) -> Extensions:
    """Imports the project's code in a thread. `load_object` returns the object for a reference `./file.py:name`. Raises
    `ConfigError` with the key of langgraph.json and the reason."""
    return await asyncio.to_thread(_load, config, load_object, settings)


def _load(config: LangGraphJson, load_object: Callable[[str], object], settings: Settings) -> Extensions:
    warn_about_credentials(config.http)
    hooks = load_hooks(config, os.environ)
    access = load_access(settings, config.auth, load_object)
    return Extensions(config.http, access, _load_host_app(config.http, load_object), hooks)


def _load_host_app(section: HttpSection, load_object: Callable[[str], object]) -> Starlette | None:
    if section.app is None:
        return None
    return load_project_object(Starlette, "Starlette or FastAPI application", "http.app", section.app, load_object)
