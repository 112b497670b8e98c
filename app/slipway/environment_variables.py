"""The environment variables that configure Slipway.

The variable of an option is `SLIPWAY_` and the option's name in upper case. The address of Redis and the port are also
read from the variables that hosting platforms set, but only from the environment of the process: in a project's `.env`
these names belong to the project's own services.
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
"""Variables with the address of Redis, used in this order when `SLIPWAY_REDIS_URL` is not set. An add-on that offers
one address with TLS and one without uses the first name for TLS."""

_SECOND_ADD_ON: Final = re.compile(r"HEROKU_REDIS_[A-Z]+_URL")
_INTERNAL: Final = frozenset({"FAILPOINT", "FAILPOINT_SIGNAL", "PARENT_PID", "READY_FD"})
"""Names after `SLIPWAY_` that Slipway sets for its own processes, or its tests set. They are not options."""


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of an option, and the variable that it came from."""

    name: str
    value: str


def variable_of(option: str) -> str:
    """The variable of an option: `max_steps` has `SLIPWAY_MAX_STEPS`."""
    return f"{PREFIX}{option.upper()}"


def options_of(environment: Mapping[str, str], known: Iterable[str], refused: Mapping[str, str]) -> dict[str, Variable]:
    """The options that are set, by name; an empty value counts as not set. Raises `ConfigError` that names every
    `SLIPWAY_` variable that is not an option, with the reason in `refused` if there is one: a misspelt option must not
    be ignored."""
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
    """The port and the address of Redis from the variables of hosting platforms. Raises `ConfigError` when several
    add-ons offer different addresses."""
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
    """Prefixes of the variables that Kubernetes sets in every pod for a service whose name starts with `slipway`, such
    as `SLIPWAY_PORT=tcp://10.0.0.1:80`. They are not options."""
    for name in environment:
        if name.startswith(PREFIX) and name.endswith("_SERVICE_HOST"):
            service = name.removesuffix("SERVICE_HOST")
            yield from (f"{service}SERVICE_", f"{service}PORT")
