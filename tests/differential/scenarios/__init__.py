"""The scenarios: one module for each topic, which registers its scenarios when it is imported."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.differential.recording import Client

Requests = Callable[[Client], Awaitable[None]]
"""Sends the requests of one scenario to one server."""


@dataclass(frozen=True)
class Scenario:
    """Requests that both servers receive. While an `exclusive` scenario executes, no other scenario does."""

    name: str
    requests: Requests
    exclusive: bool = False


def all_scenarios() -> list[Scenario]:
    """All scenarios, topic by topic, in the order of their definition."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return [*_registered.values()]


def scenario(requests: Requests) -> Requests:
    """Registers the function as the scenario `topic.function`; the topic is the name of its module."""
    return _register_function(requests, exclusive=False)


def exclusive_scenario(requests: Requests) -> Requests:
    """Registers the function as an exclusive scenario, named `topic.function`."""
    return _register_function(requests, exclusive=True)


def register(topic: str, name: str, requests: Requests) -> None:
    """Registers a scenario whose function a loop creates."""
    _registered[f"{topic}.{name}"] = Scenario(f"{topic}.{name}", requests)


_registered: dict[str, Scenario] = {}


def _register_function(requests: Requests, *, exclusive: bool) -> Requests:
    name = f"{requests.__module__.rsplit('.', 1)[-1]}.{requests.__name__}"
    _registered[name] = Scenario(name, requests, exclusive)
    return requests
