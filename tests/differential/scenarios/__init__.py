"""The scenarios, one module a topic; importing this package registers them all."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.differential.recording import Client

Play = Callable[[Client], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """What is asked of both servers. One that is `alone` looks at things that other scenarios change."""

    name: str
    play: Play
    alone: bool = False


def all_scenarios() -> list[Scenario]:
    """In the order in which they are written: topic by topic."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return [*_registered.values()]


def scenario(play: Play) -> Play:
    """Registers the function as a scenario, named `topic.function`."""
    return _register(play, alone=False)


def scenario_alone(play: Play) -> Play:
    """The same, for one during which nothing else may run."""
    return _register(play, alone=True)


def add(topic: str, name: str, play: Play) -> None:
    """Registers one of a family that a loop makes."""
    _registered[f"{topic}.{name}"] = Scenario(f"{topic}.{name}", play)


_registered: dict[str, Scenario] = {}


def _register(play: Play, *, alone: bool) -> Play:
    name = f"{play.__module__.rsplit('.', 1)[-1]}.{play.__name__}"
    _registered[name] = Scenario(name, play, alone)
    return play
