"""Access and secrets: who may send requests, where secrets are, and whether stored values are encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slipway.access.required_keys import keys_are_required
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.store import ApiKeyStore
from slipway.environment_variables import FILE_SUFFIX, PREFIX, REDIS_URL_NAMES, variable_of
from slipway.go_live.check import Check, Part
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, failed, passed, warned
from slipway.loopback import is_loopback
from slipway.settings import Settings

MOST_KEYS: Final = 1000
"""So many keys are read at most."""


async def _required(inputs: Inputs) -> Sequence[Line]:
    code, settings = "access.required", inputs.settings
    fix = "SLIPWAY_REQUIRE_KEYS=1, then `slipway keys create --scope administer`"
    if inputs.project.auth.path is not None:
        return [passed(code, "the auth file of the project authenticates each request")]
    if settings.jwt_issuer is not None:
        return [passed(code, f"each request needs a token of {settings.jwt_issuer}, or a key")]
    if keys_are_required(settings):
        if await _store(inputs).has_active():
            return [passed(code, "each request needs an API key")]
        return [
            failed(code, "each request needs an API key, and there is none", "slipway keys create --scope administer")
        ]
    if is_loopback(settings.host):
        found = f"everybody on this machine may do everything ({settings.host}); behind a proxy that is everybody"
        return [warned(code, found, fix)]
    return [failed(code, f"everybody who reaches {settings.host} may read, change and delete everything", fix)]


async def _keys(inputs: Inputs) -> Sequence[Line]:
    code = "access.keys"
    page = await _store(inputs).page(MOST_KEYS)
    active = [key for key in page.keys if key.state(page.now_us) == "active"]
    if not active:
        return [passed(code, "no API key is active")]
    endless = [key.name or key.key_id for key in active if key.expires_us is None]
    if endless:
        more = f" and {len(endless) - 3} more" if len(endless) > 3 else ""
        found = f"{len(endless)} of {len(active)} active keys never expire: {', '.join(endless[:3])}{more}"
        return [warned(code, found, "slipway keys create --expires 90d, then revoke the old one")]
    return [passed(code, f"{len(active)} active keys, each with an end")]


def _store(inputs: Inputs) -> ApiKeyStore:
    return ApiKeyStore(ApiKeyScripts(inputs.pipeline, inputs.keys))


async def _secrets(inputs: Inputs) -> Sequence[Line]:
    """Variables are inherited by every child process, and shown by tools that print the environment; a file is not."""
    code, lines = "access.secrets", []
    names = [variable_of(name) for name in sorted(Settings.secrets())]
    for name in names:
        if name in inputs.project.env:
            found = f"{inputs.project.file.name} has it in `env`, so it is wherever the code is"
            lines.append(failed(code, found, f"remove it there, and set {name}{FILE_SUFFIX}", name))
        elif inputs.environment.get(name) and not _is_plain_address(inputs.environment[name]):
            fix = f"{name}{FILE_SUFFIX}=/run/secrets/{name.removeprefix(PREFIX).lower()}"
            lines.append(warned(code, "is a variable of the environment, not in a file", fix, name))
    for name in REDIS_URL_NAMES:
        if _has_password(inputs.environment.get(name, "")) and not inputs.environment.get(variable_of("redis_url")):
            fix = f"{variable_of('redis_url')}{FILE_SUFFIX}, or accept this line where the platform sets the variable"
            lines.append(warned(code, "has the password of Redis, as a variable of the environment", fix, name))
    return lines or [passed(code, "no secret of Slipway is in the environment or in langgraph.json")]


def _is_plain_address(value: str) -> bool:
    """An address without a password is no secret."""
    return "://" in value and not _has_password(value)


def _has_password(address: str) -> bool:
    return "@" in address.partition("://")[2]


async def _encryption(inputs: Inputs) -> Sequence[Line]:
    code, key = "encryption.at_rest", inputs.settings.encryption_key
    if key is None:
        found = "inputs, states and results are stored as they are: who reads Redis or a backup reads them"
        return [
            warned(code, found, "SLIPWAY_ENCRYPTION_KEY_FILE, then `slipway encryption rotate` (docs/encryption.md)")
        ]
    number = len(key.get_secret_value().split(","))
    return [passed(code, "encrypted with one key" if number == 1 else f"encrypted with the first of {number} keys")]


PART: Final = Part(
    "access",
    "Access, secrets and encryption",
    (
        Check({"access.required": "Whether each request needs credentials."}, _required),
        Check({"access.keys": "Whether API keys expire."}, _keys),
        Check({"access.secrets": "Whether secrets are in files, not in variables or in the code."}, _secrets),
        Check({"encryption.at_rest": "Whether stored values are encrypted."}, _encryption),
    ),
)
