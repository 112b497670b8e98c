"""The environment variables that configure Slipway.

The name of a setting's variable is `SLIPWAY_` followed by the name of the setting in upper case. The address of Redis
and the port are also read from variables that hosting platforms set. These are read only from the environment of the
process, because in a project's `.env` these names belong to the project's own services.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipway.errors import ConfigError

PREFIX: Final = "SLIPWAY_"

FILE_SUFFIX: Final = "_FILE"
"""The end of the name of a variable that names the file in which a secret is."""
LARGEST_SECRET_BYTES: Final = 65_536

REDIS_URL_NAMES: Final = ("REDIS_TLS_URL", "REDIS_URL", "REDISCLOUD_URL")
"""Variables with the address of Redis, read in this order if `SLIPWAY_REDIS_URL` is not set. An add-on that has an
address with TLS and one without sets the first variable to the one with TLS."""

RELEASE_NAMES: Final = (
    "RELEASE",
    "HEROKU_SLUG_COMMIT",
    "HEROKU_RELEASE_VERSION",
    "RENDER_GIT_COMMIT",
    "RAILWAY_GIT_COMMIT_SHA",
    "SOURCE_VERSION",
    "K_REVISION",
    "FLY_IMAGE_REF",
    "GIT_COMMIT",
)
"""Variables that name the release of the project, read in this order if `SLIPWAY_RELEASE` is not set."""

RELEASE_CHARS: Final = 48
"""The longest name of a release: with a fingerprint it is the name of a version, which may have 64 characters."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_COMMIT_CHARS: Final = 12

_SECOND_ADD_ON: Final = re.compile(r"HEROKU_REDIS_[A-Z]+_URL")
_INTERNAL: Final = frozenset({"FAILPOINT", "FAILPOINT_SIGNAL", "PARENT_PID", "READY_FD"})
"""The names, without `SLIPWAY_`, of variables that Slipway or its tests set for its processes, not settings."""


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of a setting, and the name of the variable that has it."""

    name: str
    value: str


def variable_of(setting: str) -> str:
    """The name of a setting's variable: `SLIPWAY_MAX_STEPS` for `max_steps`."""
    return f"{PREFIX}{setting.upper()}"


def settings_of(
    environment: Mapping[str, str], known: Iterable[str], rejected: Mapping[str, str], secrets: Collection[str] = ()
) -> dict[str, Variable]:
    """The variables that have a value, by setting. An empty value counts as not set. The value of a setting in
    `secrets` may be in a file that another variable names (`variable_or_file`). Raises `ConfigError` for `SLIPWAY_`
    variables that belong to no setting, because a misspelt setting must not be ignored. The error names all of them,
    with the reason in `rejected` if it has one."""
    settings, links = set(known), tuple(_service_links(environment))
    files = {f"{setting}{FILE_SUFFIX.lower()}": setting for setting in secrets}
    variables: dict[str, Variable] = {}
    unknown = []
    for name, value in environment.items():
        setting = name.upper().removeprefix(PREFIX).lower()
        if not name.upper().startswith(PREFIX) or setting.upper() in _INTERNAL or name.startswith(links):
            continue
        if setting in files:
            if value.strip() and (text := variable_or_file(environment, name.removesuffix(name[-len(FILE_SUFFIX) :]))):
                variables[files[setting]] = Variable(name, text)
        elif setting not in settings:
            unknown.append(f"{name}: {rejected[setting]}" if setting in rejected else _unknown(name, settings))
        elif value.strip():
            variables[setting] = Variable(name, value.strip())
    if unknown:
        raise ConfigError("; ".join(unknown))
    return variables


def variable_or_file(environment: Mapping[str, str], name: str) -> str | None:
    """The value of the variable `name`, or what is in the file that the variable `NAME_FILE` names, as orchestrators
    mount secrets. None if neither is set. Raises `ConfigError` if both are, and for a file that cannot be read, is
    empty, or has more than `LARGEST_SECRET_BYTES`. Its message does not have the value."""
    value, file_variable = environment.get(name), f"{name}{FILE_SUFFIX}"
    path = environment.get(file_variable, "").strip()
    if not path:
        return value
    if value:
        raise ConfigError(f"{name} and {file_variable} are both set: remove one of them")
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file_variable}: {path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST_SECRET_BYTES:
        raise ConfigError(f"{file_variable}: {path} has more than {LARGEST_SECRET_BYTES} bytes, so it is no secret")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{file_variable}: {path} is not a text in UTF-8") from None
    if not text:
        raise ConfigError(f"{file_variable}: {path} is empty")
    return text


def platform_settings(environment: Mapping[str, str]) -> dict[str, Variable]:
    """The port, the release and the address of Redis, from the variables of hosting platforms. Raises `ConfigError` if
    two add-on variables name different Redis servers and none of `REDIS_URL_NAMES` is set."""
    variables = {"port": Variable("PORT", environment["PORT"])} if environment.get("PORT") else {}
    releases = ((name, release_of(environment.get(name, ""))) for name in RELEASE_NAMES)
    if release := next((Variable(name, release) for name, release in releases if release), None):
        variables["release"] = release
    if name := next((name for name in REDIS_URL_NAMES if environment.get(name)), None):
        return variables | {"redis_url": Variable(name, environment[name])}
    add_ons = {value: name for name, value in environment.items() if value and _SECOND_ADD_ON.fullmatch(name)}
    if len(add_ons) > 1:
        names = ", ".join(sorted(add_ons.values()))
        raise ConfigError(f"{names} differ: set {variable_of('redis_url')} to the value of one of them")
    for value, name in add_ons.items():
        variables["redis_url"] = Variable(name, value)
    return variables


def release_of(text: str) -> str:
    """The name of a release from the variable of a platform: 12 digits of a commit, else the last characters of the
    text without those that a name of a version may not have. Empty if nothing remains."""
    text = text.strip()
    if _COMMIT.fullmatch(text.lower()):
        return text.lower()[:_COMMIT_CHARS]
    allowed = re.sub(r"[^A-Za-z0-9._+-]+", "-", text)[-RELEASE_CHARS:]
    return re.sub(r"^[^A-Za-z0-9]+", "", allowed)


def _unknown(name: str, settings: Collection[str]) -> str:
    near = difflib.get_close_matches(name.upper().removeprefix(PREFIX).lower(), settings, n=1)
    return f"{name}: there is no such setting{f'; did you mean {variable_of(near[0])}?' if near else ''}"


def _service_links(environment: Mapping[str, str]) -> Iterator[str]:
    """The prefixes of variables that Kubernetes sets in every pod for a service whose name starts with `slipway`, such
    as `SLIPWAY_PORT=tcp://10.0.0.1:80`. These variables are not settings."""
    for name in environment:
        if name.startswith(PREFIX) and name.endswith("_SERVICE_HOST"):
            service = name.removesuffix("SERVICE_HOST")
            yield from (f"{service}SERVICE_", f"{service}PORT")
