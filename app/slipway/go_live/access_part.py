"""Access and secrets: who may send requests, where secrets are, and whether stored values are encrypted."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from typing import Final

import orjson

from slipway.access.required_keys import keys_are_required
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.store import ApiKeyStore
from slipway.encryption_at_rest.counts import BY_SCRIPTS, PLAIN, UNREADABLE, KeyCounts
from slipway.encryption_at_rest.process_keys import encryption_of
from slipway.encryption_at_rest.scripts import RotationScripts
from slipway.encryption_at_rest.walk import ValueWalk
from slipway.environment_variables import FILE_SUFFIX, PREFIX, REDIS_URL_NAMES, variable_of
from slipway.go_live.check import Check, Part
from slipway.go_live.counted import counted
from slipway.go_live.credentials import looks_like_credential
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, failed, passed, warned
from slipway.loopback import is_loopback
from slipway.redis.document_keys import DocumentNames
from slipway.settings import Settings

MOST_KEYS: Final = 1000
"""So many keys are read at most."""
ENCRYPTION_WITHIN_S: Final = 8.0
"""Seconds after which no further stored values are looked at."""


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
    return [passed(code, f"{counted(len(active), 'active key')}, each with an end")]


def _store(inputs: Inputs) -> ApiKeyStore:
    return ApiKeyStore(ApiKeyScripts(inputs.pipeline, inputs.shards.access))


async def _secrets(inputs: Inputs) -> Sequence[Line]:
    """Variables are inherited by every child process, and shown by tools that print the environment; a file is not."""
    code, lines = "access.secrets", []
    own = {variable_of(name) for name in Settings.secrets()}
    of_hooks = {name for hook in inputs.project.hooks.values() for name in hook.section.verify.secret_env}
    in_document = _env_is_in_document(inputs)
    for name, value in sorted(inputs.project.env.items()):
        if _is_secret(name, value, own | of_hooks):
            lines.append(_in_env(inputs, name, own, in_document=in_document))
    for name, value in sorted(inputs.environment.items()):
        if name not in inputs.project.env and _is_secret(name, value, own | of_hooks):
            lines.append(warned(code, "is a variable of the environment, not in a file", _fix(name, own), name))
    return lines or [passed(code, "no variable of the environment or of `env` in langgraph.json looks like a secret")]


def _env_is_in_document(inputs: Inputs) -> bool:
    """Whether `env` has the variables themselves, not the path of a dotenv file."""
    return not isinstance(orjson.loads(inputs.project.file.read_bytes()).get("env"), str)


def _is_secret(name: str, value: str, certain: Container[str]) -> bool:
    if not value or (name in certain and "://" not in value):
        return bool(value)
    return not name.endswith(FILE_SUFFIX) and looks_like_credential(name, value)


def _in_env(inputs: Inputs, name: str, own: Container[str], *, in_document: bool) -> Line:
    code, file = "access.secrets", inputs.project.file.name
    if in_document:
        found = f"{file} has it in `env`, so it is wherever the code is"
        return failed(code, found, f"remove it there; {_fix(name, own)}", name)
    found = f"the dotenv file that {file} names as `env` has it: it must be in no repository and no image"
    return warned(code, found, _fix(name, own), name)


def _fix(name: str, own: Container[str]) -> str:
    if name in own:
        return f"{name}{FILE_SUFFIX}=/run/secrets/{name.removeprefix(PREFIX).lower()}"
    if name in REDIS_URL_NAMES:
        return f"{variable_of('redis_url')}{FILE_SUFFIX}, or accept this line where the platform sets the variable"
    return "set it from a store of secrets, only for the processes that need it, then accept this line"


async def _encryption(inputs: Inputs) -> Sequence[Line]:
    """Looks at stored values, because a key encrypts only what is written after it was set."""
    code, encryption = "encryption.at_rest", encryption_of(inputs.settings)
    if encryption is None:
        found = "inputs, states and results are stored as they are: who reads Redis or a backup reads them"
        return [
            warned(code, found, "SLIPWAY_ENCRYPTION_KEY_FILE, then `slipway encryption rotate` (docs/encryption.md)")
        ]
    documents = DocumentNames(inputs.settings.langgraph_redis_prefix)
    counts = KeyCounts(encryption.first_name)
    walk = ValueWalk(RotationScripts(inputs.pipeline, inputs.shards, documents), encryption, counts, renews=False)
    complete, ends = False, time.monotonic() + ENCRYPTION_WITHIN_S
    async for page in walk.pages("0"):
        complete = page.cursor == "0"
        if time.monotonic() > ends:
            break
    return [_encrypted(code, counts, complete=complete)]


def _encrypted(code: str, counts: KeyCounts, *, complete: bool) -> Line:
    totals, looked_at = counts.totals, sum(counts.totals.values()) - counts.totals.get(BY_SCRIPTS, 0)
    of = counted(looked_at, "stored value") + ("" if complete else " that were looked at")
    if totals.get(UNREADABLE):
        return warned(code, f"{totals[UNREADABLE]} of {of} cannot be read", "slipway encryption status")
    if totals.get(PLAIN):
        found = f"{totals[PLAIN]} of {of} are not encrypted: they are older than the key, or a process has no key"
        return warned(code, found, "slipway encryption rotate")
    if not complete:
        found = f"only {of} in {ENCRYPTION_WITHIN_S:g} s; each of these is encrypted"
        return warned(code, found, "slipway encryption status looks at all of them")
    if not looked_at:
        return passed(code, "nothing is stored that has to be encrypted; values will be, with the first key")
    if left := counts.left:
        return passed(code, f"all of {of} are encrypted, {left} of them not with the first key")
    return passed(code, f"all of {of} are encrypted with the first key")


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
