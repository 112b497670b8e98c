"""Each duty is one file of the same shape, is performed by workers or web processes, and is in the glossary."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from slipway.api.host_app import internal_webhooks
from slipway.duties.duty import Duty
from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.services import open_services
from slipway_workers import duties
from slipway_workers.process import DUTIES
from tests.runs.conftest import settings_of

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"
FILES = sorted(path.stem for path in Path(duties.__path__[0]).glob("*.py") if path.stem != "__init__")
MODULES = [*(import_module(f"slipway_workers.duties.{name}") for name in FILES), internal_webhooks]


def duties_in(module: ModuleType) -> list[type[Duty]]:
    classes = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
    return [each for each in classes if issubclass(each, Duty)]


def glossary_entry(noun: str) -> str:
    return next(line for line in GLOSSARY.read_text().splitlines() if line.startswith(f"- **{noun}.**"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_file_defines_one_duty(module: ModuleType) -> None:
    (duty,) = duties_in(module)
    assert duty.name == module.__name__.rpartition(".")[2]
    assert not inspect.isabstract(duty)
    assert "run_once" in vars(duty), "a round"
    assert not {"run", "run_round", "run_soon"} & vars(duty).keys(), "every duty repeats rounds in the same way"
    assert re.findall(r"^(Interval|Who|Logs): ", module.__doc__ or "", re.MULTILINE) == ["Interval", "Who", "Logs"]


def test_workers_perform_every_duty_of_their_package() -> None:
    assert {duty.__name__ for duty in DUTIES} == {
        duty.__name__ for module in MODULES[:-1] for duty in duties_in(module)
    }
    assert len(DUTIES) == len(FILES)


async def test_every_duty_of_a_worker_has_an_interval(valkey_url: str, keys: Keys, graphs: Registry) -> None:
    async with open_services(settings_of(valkey_url, keys), graphs, "worker") as services:
        assert all(create(services).interval_s > 0 for create in DUTIES)


def test_the_glossary_lists_every_duty() -> None:
    entry, _, exclusive = glossary_entry("Duty").partition("*exclusive*")
    found = [duty for module in MODULES for duty in duties_in(module)]
    assert sorted(re.findall(r"`(\w+)`", entry)) == sorted(duty.name for duty in found)
    held_by_one = sorted(duty.name for duty in found if issubclass(duty, ExclusiveDuty))
    assert sorted(re.findall(r"`(\w+)`", exclusive)) == held_by_one
