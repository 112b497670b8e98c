"""The project's arq settings are read as arq reads them, and a wrong one is one line that names `slipway.arq`."""

from __future__ import annotations

from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from arq import cron, func
from arq.connections import ArqRedis, RedisSettings

from slipway.arq_jobs.application import load_arq_application
from slipway.errors import ConfigError
from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.arq.conftest import loaded

untyped_cron: Any = cron


async def work(ctx: dict[Any, Any]) -> None: ...


async def other(ctx: dict[Any, Any]) -> None: ...


def plain() -> None: ...


class Inherits:
    functions = (work,)


class WithoutFunctions(Inherits):
    pass


class ClassSettings:
    functions = (work,)
    queue_name = "arq:mine"
    not_an_option_of_arq = 1


@pytest.mark.parametrize(
    "target",
    [
        ClassSettings,
        {"functions": [work], "queue_name": "arq:mine", "not_an_option_of_arq": 1},
        SimpleNamespace(functions=[work], queue_name="arq:mine", burst=False, handle_signals=False, redis_pool=None),
    ],
    ids=["class", "dict", "object"],
)
async def test_a_class_a_dict_and_an_object_are_accepted(settings: Settings, target: object) -> None:
    application = await load_arq_application("./tasks.py:settings", lambda _: target, settings)
    assert application.queue_name == "arq:mine"
    assert set(application.worker_options) == {"functions", "queue_name"}
    assert application.connections == settings.arq_connections


async def test_the_defaults_are_those_of_arq(settings: Settings) -> None:
    application = await loaded(settings, functions=[work])
    assert (application.queue_name, application.expires_extra_ms) == ("arq:queue", 86_400_000)
    assert [application.job_serializer, application.job_deserializer, application.redis_settings] == [None] * 3


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"burst": True}, "burst cannot be set here: a worker of Slipway serves"),
        ({"max_burst_jobs": 3}, "max_burst_jobs cannot be set here"),
        ({"redis_pool": ArqRedis()}, "redis_pool cannot be set here: Slipway opens the connections"),
        ({"handle_signals": True}, "handle_signals cannot be set here: Slipway's worker drains"),
        ({"job_completion_wait": 5}, "job_completion_wait cannot be set here: .* SLIPWAY_DRAIN_S"),
        ({"functions": []}, "has neither functions nor cron_jobs"),
        ({"functions": [plain]}, "functions: RuntimeError: .*plain.* is not a coroutine function"),
        ({"functions": ["no.such.module.f"]}, "functions: ModuleNotFoundError: No module named 'no'"),
        ({"cron_jobs": [work]}, r"cron_jobs must be made with arq.cron\(\.\.\.\), found function"),
        ({"cron_jobs": [cron(work, hour={1, 25})]}, "cron job 'cron:work': hour=25 is not between 0 and 23"),
        ({"cron_jobs": [cron(work, weekday={7})]}, "cron job 'cron:work': weekday=7 is not between 0 and 6"),
        (
            {"cron_jobs": [untyped_cron(work, weekday="monday")]},
            "cron job 'cron:work': weekday='monday' is none of mon, tues",
        ),
        (
            {"cron_jobs": [untyped_cron(work, weekday={"mon"})]},
            "cron job 'cron:work': weekday='mon' is not between 0 and 6",
        ),
        ({"cron_jobs": [cron(work, hour=set())]}, r"cron job 'cron:work': hour=set\(\) has no value"),
        (
            {"cron_jobs": [untyped_cron(work, hour=range(9, 12))]},
            r"cron job 'cron:work': hour=range\(9, 12\) must be a whole",
        ),
        ({"cron_jobs": [cron(work, month={2, 4}, day=31)]}, "cron job 'cron:work': no day 31 is in month 2, 4"),
        ({"functions": [work, func(other, name="work")]}, "two different functions or cron jobs have the name 'work'"),
        ({"functions": [func(work, name="cron:work")], "cron_jobs": [cron(work)]}, ".* have the name 'cron:work'"),
        ({"functions": [work, func(work, name="work", timeout=1)]}, ".* have the name 'work'"),
        ({"on_startup": 5}, "on_startup must be an async function, found 5"),
        ({"on_startup": plain}, r"on_startup must be an async function \(async def\), found function"),
        ({"max_jobs": "many"}, "max_jobs must be a whole number of at least 1, found 'many'"),
        ({"max_jobs": 0}, "max_jobs must be a whole number of at least 1, found 0"),
        ({"max_tries": None}, "max_tries must be a whole number of at least 1, found None"),
        ({"job_timeout": -1}, "job_timeout must be a number of seconds or a timedelta, and not negative, found -1"),
        ({"poll_delay": timedelta(0)}, "poll_delay must be more than 0 seconds, found datetime.timedelta"),
        ({"keep_result": None}, "keep_result must be a number of seconds; .* set keep_result_forever"),
        ({"timezone": "Europe/Paris"}, "timezone must be a tzinfo"),
        ({"ctx": [1]}, "ctx must be a dict, found list"),
        ({"job_serializer": "json"}, "job_serializer must be a function, found 'json'"),
        ({"functions": work}, "functions must be a list, found function"),
        ({"functions": [func(work, max_tries=0)]}, "function 'work': max_tries must be a whole number of at least 1"),
        ({"cron_jobs": cron(work, hour=1)}, "cron_jobs must be a list, found CronJob"),
        ({"cron_jobs": [cron(work, hour=1, timeout=-1)]}, "cron job 'cron:work': timeout must be a number of seconds"),
        ({"queue_name": None}, "queue_name must be a text that is not empty, found None"),
        ({"health_check_key": b"health"}, "health_check_key must be a text that is not empty, found b'health'"),
        ({"queue_name": "PREFIX:queue"}, "queue_name 'PREFIX:queue' is among the keys of Slipway"),
        ({"queue_name": "PREFIX"}, "queue_name 'PREFIX' is among the keys of Slipway"),
        ({"health_check_key": "PREFIX:health"}, "health_check_key 'PREFIX:health' is among the keys of Slipway"),
        ({"queue_name": "arq:a", "health_check_key": "arq:a"}, "health_check_key must not be the queue"),
        ({"redis_settings": "redis://localhost"}, "redis_settings must be arq's RedisSettings, found str"),
        ({"redis_settings": RedisSettings(sentinel=True)}, "redis_settings: with sentinel=True, host must be a list"),
        ({"redis_settings": RedisSettings(host=[("a", 1)])}, "redis_settings: host must be a text"),
        ({"redis_settings": RedisSettings(max_connections=-1)}, "redis_settings: max_connections must be a whole"),
    ],
    ids=lambda value: value.partition(" ")[0] if isinstance(value, str) else "",
)
async def test_a_wrong_setting_is_one_line(settings: Settings, options: dict[str, Any], problem: str) -> None:
    for name in ("queue_name", "health_check_key"):
        if isinstance(options.get(name), str):
            options[name] = options[name].replace("PREFIX", settings.key_prefix)
    expected = problem.replace("PREFIX", settings.key_prefix)
    with pytest.raises(ConfigError, match=rf"^slipway\.arq: \./tasks\.py:settings: {expected}") as raised:
        await loaded(settings, **{"functions": [work]} | options)
    assert "\n" not in str(raised.value)


async def test_inherited_settings_are_not_read_as_in_arq(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"has neither functions nor cron_jobs; .* none that are inherited"):
        await load_arq_application("./tasks.py:settings", lambda _: WithoutFunctions, settings)


async def test_a_value_that_has_no_settings_is_rejected(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"slipway\.arq: \./t\.py:a: must be a class, an object or a dict .* int"):
        await load_arq_application("./t.py:a", lambda _: 5, settings)


@pytest.mark.parametrize(("source", "reason"), [("./none.py:a", "there is no file"), ("./tasks.py:None", "no attr")])
async def test_settings_that_cannot_be_loaded_are_rejected(
    settings: Settings, graphs: Registry, source: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^slipway\.arq: {source} cannot be loaded: .*{reason}"):
        await load_arq_application(source, graphs.load_object, settings)


async def test_settings_whose_module_raises_are_rejected(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "graph.py").write_text(
        "from langgraph.graph import MessagesState, StateGraph\n"
        "graph = StateGraph(MessagesState).add_node('a', lambda s: s).set_entry_point('a').compile()\n"
    )
    (tmp_path / "broken_tasks.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "langgraph.json").write_text('{"graphs": {"g": "./graph.py:graph"}}')
    graphs = await Registry.load(tmp_path / "langgraph.json")
    with pytest.raises(ConfigError, match=r"^slipway\.arq: .* cannot be loaded: SystemExit: 3 \(broken_tasks\.py:2\)"):
        await load_arq_application("./broken_tasks.py:WorkerSettings", graphs.load_object, settings)


async def test_values_that_arq_accepts_are_accepted(settings: Settings) -> None:
    application = await loaded(
        settings,
        functions=map(str, ["tests.arq.test_application.other"]),
        cron_jobs=iter([untyped_cron(work, weekday="Mon", hour=[1, 2], minute=(3,))]),
        on_startup=partial(work),
        keep_result=None,
        keep_result_forever=True,
        poll_delay=timedelta(milliseconds=100),
        timezone=UTC,
    )
    assert [len(application.worker_options[name]) for name in ("functions", "cron_jobs")] == [1, 1]


async def test_one_function_may_have_several_cron_jobs(settings: Settings) -> None:
    crons = [cron(work, hour=1), cron(work, month=2, day=29)]
    application = await loaded(settings, functions=[work, work], cron_jobs=crons)
    assert len(application.worker_options["cron_jobs"]) == 2


async def test_a_key_prefix_that_is_also_arqs_is_rejected(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"^slipway\.arq: .* begin with 'arq:', .* this SLIPWAY_KEY_PREFIX"):
        await loaded(settings.model_copy(update={"key_prefix": "arq"}), functions=[work])


async def test_a_queue_among_the_keys_of_the_checkpointer_is_rejected(settings: Settings) -> None:
    other = settings.model_copy(update={"checkpointer": "langgraph-redis"})
    with pytest.raises(ConfigError, match="is among the keys of the checkpointer"):
        await loaded(other, functions=[work], queue_name="checkpoint:jobs")
    await loaded(settings, functions=[work], queue_name="checkpoint:jobs")
