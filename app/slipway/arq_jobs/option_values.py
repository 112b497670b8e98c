"""Which values arq's settings may have.

arq looks at most of them only when it uses them. A wrong one would then be a fault again and again, or jobs would never
be executed, without an error.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta, tzinfo
from typing import Any, Final

from arq.cron import CronJob
from arq.worker import Function

_Problem = str | None


def _whole(least: int) -> Callable[[object], _Problem]:
    def problem(value: object) -> _Problem:
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return None
        return f"must be a whole number of at least {least}"

    return problem


def _seconds(value: object) -> _Problem:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0:
        return None
    return "must be a number of seconds or a timedelta, and not negative"


def _more_than_0_seconds(value: object) -> _Problem:
    return _seconds(value) or (None if value else "must be more than 0 seconds")


def _instance(kind: type, name: str) -> Callable[[object], _Problem]:
    return lambda value: None if isinstance(value, kind) else f"must be {name}"


def _name(value: object) -> _Problem:
    return None if isinstance(value, str) and value else "must be a text that is not empty"


def _callable(value: object) -> _Problem:
    return None if callable(value) else "must be a function"


def _async_function(value: object) -> _Problem:
    """Objects that can be called may return anything. Of functions, arq demands `async def` where it executes them."""
    if not callable(value):
        return "must be an async function"
    function = inspect.unwrap(value)
    is_plain = inspect.isroutine(function) and not inspect.iscoroutinefunction(function)
    return "must be an async function (async def)" if is_plain else None


_WORKER_OPTIONS: Final[Mapping[str, Callable[[object], _Problem]]] = {
    "queue_name": _name,
    "health_check_key": _name,
    "max_jobs": _whole(1),
    "max_tries": _whole(1),
    "queue_read_limit": _whole(0),
    "expires_extra_ms": _whole(0),
    "job_timeout": _more_than_0_seconds,
    "keep_result": _seconds,
    "poll_delay": _more_than_0_seconds,
    "health_check_interval": _seconds,
    "on_startup": _async_function,
    "on_shutdown": _async_function,
    "on_job_start": _async_function,
    "on_job_end": _async_function,
    "after_job_end": _async_function,
    "job_serializer": _callable,
    "job_deserializer": _callable,
    "timezone": _instance(tzinfo, "a tzinfo, such as zoneinfo.ZoneInfo('Europe/Paris')"),
    "ctx": _instance(dict, "a dict"),
}

_NEVER_NONE: Final = ("queue_name", "max_jobs", "max_tries", "poll_delay", "health_check_interval", "expires_extra_ms")
"""For all other options, arq accepts None in place of a value."""


def problem_with_options(options: Mapping[str, Any]) -> str | None:
    """What is wrong with the values of these arguments of arq's worker, apart from its functions and cron jobs."""
    for name, problem_with in _WORKER_OPTIONS.items():
        if name not in options or (options[name] is None and name not in _NEVER_NONE):
            continue
        if (problem := problem_with(options[name])) is not None:
            return f"{name} {problem}, found {_shown(options[name])}"
    if options.get("keep_result", 0) is None and not options.get("keep_result_forever"):
        return "keep_result must be a number of seconds; to keep results without a limit, set keep_result_forever"
    return None


def problem_with_function(function: Function | CronJob) -> str | None:
    """What is wrong with the arguments of `arq.func` or `arq.cron`, apart from times."""
    for name, value, problem_with in (
        ("name", function.name, _name),
        ("timeout", function.timeout_s, _more_than_0_seconds),
        ("keep_result", function.keep_result_s, _seconds),
        ("max_tries", function.max_tries, _whole(1)),
    ):
        if value is not None and (problem := problem_with(value)) is not None:
            return f"{name} {problem}, found {value!r}"
    return None


def list_of(options: Mapping[str, Any], name: str) -> tuple[list[Any], str | None]:
    """The items of a setting that is a list, and what is wrong with it. An iterator is read only once."""
    value = options.get(name)
    if value is None:
        return [], None
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return [], f"{name} must be a list, found {_shown(value)}"
    return list(value), None


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | bytes | int | float | None | timedelta) else type(value).__name__
