"""Which environment variables configure Slipway.

An option is `SLIPWAY_` and its name in upper case; nothing else that a project has in its environment is an option. The
address of Redis and the port are also read from the variables that hosting platforms set; those count only in the
environment of the process, for a project's `.env` names its own services with them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from slipway.errors import ConfigError

PREFIX: Final = "SLIPWAY_"

REDIS_URL_NAMES: Final = ("REDIS_TLS_URL", "REDIS_URL", "REDISCLOUD_URL")
"""Where the address of Redis is read when `SLIPWAY_REDIS_URL` is not set, in this order: an add-on that offers both
an address with TLS and one without names the first so."""

_SECOND_ADD_ON: Final = re.compile(r"HEROKU_REDIS_[A-Z]+_URL")
_INTERNAL: Final = frozenset({"FAILPOINT", "FAILPOINT_SIGNAL", "PARENT_PID", "READY_FD"})
"""Set by Slipway for its own processes, or by its tests: no options."""


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of an option, and the name of the variable that holds it."""

    name: str
    value: str


def variable_of(option: str) -> str:
    """`max_steps` is `SLIPWAY_MAX_STEPS`."""
    return f"{PREFIX}{option.upper()}"


def options_of(environment: Mapping[str, str], known: Iterable[str], refused: Mapping[str, str]) -> dict[str, Variable]:
    """The options that are set, by name; empty values count as unset. Raises `ConfigError` that names every variable
    of ours that is no option, with the reason where `refused` has one: a misspelt option must not be ignored."""
    options, links = set(known), tuple(_service_links(environment))
    found: dict[str, Variable] = {}
    unknown = []
    for name, value in environment.items():
        option = name.upper().removeprefix(PREFIX).lower()
        if not name.upper().startswith(PREFIX) or option.upper() in _INTERNAL or name.startswith(links):
            continue
        if option not in options:
            unknown.append(f"{name}: {refused[option]}" if option in refused else _unknown(name, options))
        elif value.strip():
            found[option] = Variable(name, value.strip())
    if unknown:
        raise ConfigError("; ".join(unknown))
    return found


def platform_options(environment: Mapping[str, str]) -> dict[str, Variable]:
    """The port and the address of Redis as hosting platforms name them. Raises `ConfigError` when several add-ons
    offer different addresses."""
    found = {"port": Variable("PORT", environment["PORT"])} if environment.get("PORT") else {}
    if name := next((name for name in REDIS_URL_NAMES if environment.get(name)), None):
        return found | {"redis_url": Variable(name, environment[name])}
    add_ons = {value: name for name, value in environment.items() if value and _SECOND_ADD_ON.fullmatch(name)}
    if len(add_ons) > 1:
        names = ", ".join(sorted(add_ons.values()))
        raise ConfigError(f"{names} differ: set {variable_of('redis_url')} to the value of one of them")
    for value, name in add_ons.items():
        found["redis_url"] = Variable(name, value)
    return found


def _unknown(name: str, options: Collection[str]) -> str:
    near = difflib.get_close_matches(name.upper().removeprefix(PREFIX).lower(), options, n=1)
    return f"{name}: there is no such option{f'; did you mean {variable_of(near[0])}?' if near else ''}"


def _service_links(environment: Mapping[str, str]) -> Iterator[str]:
    """The beginnings of the variables that Kubernetes sets in every pod for a service whose name begins with
    `slipway`, such as `SLIPWAY_PORT=tcp://10.0.0.1:80`."""
    for name in environment:
        if name.startswith(PREFIX) and name.endswith("_SERVICE_HOST"):
            service = name.removesuffix("SERVICE_HOST")
            yield from (f"{service}SERVICE_", f"{service}PORT")
