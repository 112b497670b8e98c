"""The project's arq application: what `slipway.arq` in langgraph.json names, checked before anything executes it.

arq reads the settings of its worker from a class, an object or a dict, and ignores everything that is not an argument
of `arq.worker.Worker`. Slipway reads them in the same way, with arq's own function.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from arq.connections import ArqRedis, RedisSettings
from arq.constants import default_queue_name, expires_extra_ms, health_check_key_suffix, job_key_prefix
from arq.cron import CronJob
from arq.jobs import Deserializer, Serializer
from arq.worker import Function, Worker, func, get_kwargs

from slipway.arq_jobs.cron_times import problem_with_times
from slipway.arq_jobs.option_values import list_of, problem_with_function, problem_with_options
from slipway.environment_variables import variable_of
from slipway.errors import ConfigError
from slipway.redis.keys import Keys
from slipway.settings import Settings

KEY: Final = "slipway.arq"
"""The key of langgraph.json. Each error message begins with it."""

LoadObject = Callable[[str], object]
"""Returns the object that `./file.py:attribute` names. Raises `ConfigError`."""

_REJECTED: Final[Mapping[str, tuple[object, str]]] = {
    "burst": (False, "a worker of Slipway serves until it is stopped"),
    "max_burst_jobs": (-1, "a worker of Slipway serves until it is stopped"),
    "redis_pool": (None, "Slipway opens the connections; set redis_settings to use another Redis"),
    "handle_signals": (False, "Slipway's worker drains on SIGTERM and SIGINT, graph runs and arq jobs together"),
    "job_completion_wait": (0, f"the time that jobs have to end after SIGTERM is {variable_of('drain_s')}"),
}
"""Arguments of arq's worker that have no effect here: the only accepted value, and what applies instead."""


@dataclass(frozen=True, slots=True)
class ArqApplication:
    """A checked arq application. `worker_options` are arguments of `arq.worker.Worker`, without those for Redis."""

    source: str
    worker_options: Mapping[str, Any]
    redis_settings: RedisSettings | None
    """None: the application uses the Redis of Slipway."""
    connections: int
    """The most connections to Redis that one process opens for the application."""

    @property
    def queue_name(self) -> str:
        return str(self.worker_options.get("queue_name", default_queue_name))

    @property
    def job_serializer(self) -> Serializer | None:
        return self.worker_options.get("job_serializer")

    @property
    def job_deserializer(self) -> Deserializer | None:
        return self.worker_options.get("job_deserializer")

    @property
    def expires_extra_ms(self) -> int:
        """Milliseconds after its planned start when a job that has not started expires."""
        return int(self.worker_options.get("expires_extra_ms", expires_extra_ms))


async def load_arq_application(source: str, load_object: LoadObject, settings: Settings) -> ArqApplication:
    """Imports the settings in a thread and checks them. Raises `ConfigError`, which names `slipway.arq` and the
    reason."""
    try:
        target = await asyncio.to_thread(load_object, source)
    except ConfigError as error:
        raise ConfigError(f"{KEY}: {source} cannot be loaded: {error}") from error
    try:
        options = await asyncio.to_thread(_worker_options, target)
        return _application(source, options, settings)
    except ConfigError as error:
        raise ConfigError(f"{KEY}: {source}: {error}") from error


def _worker_options(target: object) -> dict[str, Any]:
    """The arguments of arq's worker. Imports functions that are named as text, so it may block."""
    if not isinstance(target, dict) and not hasattr(target, "__dict__"):
        raise ConfigError(f"must be a class, an object or a dict with arq's settings, found {type(target).__name__}")
    options: dict[str, Any] = get_kwargs(cast(Any, target))
    for name, (accepted, why) in _REJECTED.items():
        if options.pop(name, accepted) != accepted:
            raise ConfigError(f"{name} cannot be set here: {why}")
    if (problem := problem_with_options(options)) is not None:
        raise ConfigError(problem)
    for name in ("functions", "cron_jobs"):
        if name in options:
            options[name], problem = list_of(options, name)
            if problem is not None:
                raise ConfigError(problem)
    _check_functions(options)
    return options


def _application(source: str, options: dict[str, Any], settings: Settings) -> ArqApplication:
    """Creates a worker of arq to check its arguments, which needs the event loop."""
    redis_settings = options.pop("redis_settings", None)
    try:
        worker = Worker(**options, redis_pool=ArqRedis(), handle_signals=False)
    except Exception as error:  # arq checks its arguments with many kinds of exceptions
        raise ConfigError(f"arq does not accept these settings: {type(error).__name__}: {error}") from error
    _check_key_names(worker, settings)
    return ArqApplication(source, options, redis_settings, _connections(redis_settings, settings))


def _check_functions(options: Mapping[str, Any]) -> None:
    """Raises `ConfigError` without functions, or when two different functions have one name: arq would call the second
    one for jobs of both."""
    given, crons = options.get("functions") or (), options.get("cron_jobs") or ()
    if not given and not crons:
        raise ConfigError(
            "has neither functions nor cron_jobs; arq reads the attributes of this class or object itself, and "
            "none that are inherited"
        )
    try:
        functions: Sequence[Function | CronJob] = [*map(func, given), *crons]
    except (Exception, SystemExit) as error:  # not a coroutine function, or any error of an import
        raise ConfigError(f"functions: {type(error).__name__}: {error}") from error
    if wrong := [each for each in crons if not isinstance(each, CronJob)]:
        raise ConfigError(f"cron_jobs must be made with arq.cron(...), found {type(wrong[0]).__name__}")
    for each in crons:
        if (problem := problem_with_times(each)) is not None:
            raise ConfigError(f"cron job {each.name!r}: {problem}")
    for each in functions:
        if (problem := problem_with_function(each)) is not None:
            raise ConfigError(f"{'cron job' if isinstance(each, CronJob) else 'function'} {each.name!r}: {problem}")
    by_name: dict[str, Function | CronJob] = {}
    for each in functions:
        if _behaviour(by_name.setdefault(each.name, each)) != _behaviour(each):
            raise ConfigError(
                f"two different functions or cron jobs have the name {each.name!r}: give one of them another name, "
                "with func(..., name=...) or cron(..., name=...)"
            )


def _behaviour(function: Function | CronJob) -> tuple[object, ...]:
    """What a job with this function's name does. Cron jobs of one function may differ in their times."""
    return (
        type(function),
        function.coroutine,
        function.timeout_s,
        function.keep_result_s,
        function.keep_result_forever,
        function.max_tries,
    )


def _check_key_names(worker: Worker, settings: Settings) -> None:
    """Raises `ConfigError` when arq's keys could be keys of Slipway."""
    keys = Keys(settings.key_prefix)
    if keys.owns(job_key_prefix):
        raise ConfigError(
            f"arq's keys begin with 'arq:', and with this {variable_of('key_prefix')} those of Slipway do too: set "
            "another prefix"
        )
    for name, key in (("queue_name", worker.queue_name), ("health_check_key", worker.health_check_key)):
        if keys.owns(key):
            raise ConfigError(f"{name} {key!r} is among the keys of Slipway ({variable_of('key_prefix')}): rename it")
        if settings.checkpointer == "langgraph-redis" and key.startswith(settings.langgraph_redis_prefix):
            raise ConfigError(
                f"{name} {key!r} is among the keys of the checkpointer ({variable_of('langgraph_redis_prefix')}): "
                "rename it"
            )
    if worker.health_check_key == worker.queue_name:
        raise ConfigError(f"health_check_key must not be the queue; leave it out for {health_check_key_suffix!r}")


def _connections(redis_settings: object, settings: Settings) -> int:
    if redis_settings is None:
        return settings.arq_connections
    if not isinstance(redis_settings, RedisSettings):
        raise ConfigError(f"redis_settings must be arq's RedisSettings, found {type(redis_settings).__name__}")
    if redis_settings.sentinel and isinstance(redis_settings.host, str):
        raise ConfigError("redis_settings: with sentinel=True, host must be a list of (host, port) of the sentinels")
    if not redis_settings.sentinel and not isinstance(redis_settings.host, str):
        raise ConfigError("redis_settings: host must be a text; a list of sentinels needs sentinel=True")
    most = redis_settings.max_connections
    if most is not None and not (isinstance(most, int) and most >= 0):
        raise ConfigError(f"redis_settings: max_connections must be a whole number, found {most!r}")
    return redis_settings.max_connections or settings.arq_connections
