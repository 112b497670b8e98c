"""The hooks of a process: their configuration with the secrets, read once when the process starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slipway.access.scopes import checked_owner
from slipway.environment_variables import variable_or_file
from slipway.errors import ConfigError, InvalidRequest
from slipway.graphs.hooks_section import HookConfig, VerifySection
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.hooks import standard_webhooks
from slipway.hooks.github_signature import GithubSignature
from slipway.hooks.hmac_signature import HmacSignature
from slipway.hooks.signature import SignatureScheme
from slipway.hooks.slack_signature import SlackSignature
from slipway.hooks.stripe_signature import StripeSignature
from slipway.redaction.known_secrets import KNOWN

_FEWEST_CHARACTERS: Final = 8
"""A shorter secret can be found by trying."""
_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class LoadedHook:
    """A hook that can verify deliveries."""

    config: HookConfig
    scheme: SignatureScheme = field(repr=False)


def load_hooks(config: LangGraphJson, environment: Mapping[str, str]) -> dict[str, LoadedHook]:
    """All hooks of langgraph.json by name. Raises `ConfigError`, which names file, line and key, for a variable that is
    not set, a file that cannot be read, a secret that the scheme cannot use, and an impossible owner. It never shows a
    secret."""
    for hook in config.hooks.values():
        _check_owner(config, hook)
    return {name: LoadedHook(hook, _scheme(config, hook, environment)) for name, hook in config.hooks.items()}


def _check_owner(config: LangGraphJson, hook: HookConfig) -> None:
    if (owner := hook.section.owner) is None:
        return
    path = ("slipway", "hooks", hook.name, "owner")
    try:
        checked_owner(owner, ".".join(path))
    except InvalidRequest as error:
        raise ConfigError(f"{config.where(*path)}: {error}") from None


def _scheme(config: LangGraphJson, hook: HookConfig, environment: Mapping[str, str]) -> SignatureScheme:
    verify, sources = hook.section.verify, dict(_secrets(config, hook, environment))
    try:
        for source, secret in sources.items():
            if len(secret) < _FEWEST_CHARACTERS:
                raise ValueError(f"has a secret of fewer than {_FEWEST_CHARACTERS} characters")
            if verify.scheme == "standard":
                standard_webhooks.parsed_secrets([secret], verify.window_s)
            KNOWN.remember(source.variable, secret)
    except ValueError as error:
        raise ConfigError(f"{_where(config, hook, source)}: {source.name} {error}") from None
    return _scheme_of(verify, list(sources.values()))


def _scheme_of(verify: VerifySection, texts: list[str]) -> SignatureScheme:
    secrets = [text.encode() for text in texts]
    match verify.scheme:
        case "standard":
            return standard_webhooks.parsed_secrets(texts, verify.window_s)
        case "github":
            return GithubSignature(secrets)
        case "stripe":
            return StripeSignature(secrets, verify.window_s)
        case "slack":
            return SlackSignature(secrets, verify.window_s)
        case "hmac":
            assert verify.header is not None
            return HmacSignature(
                secrets,
                verify.header,
                verify.algorithm,
                verify.encoding,
                verify.prefix,
                verify.timestamp_header,
                verify.window_s,
            )


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a secret comes from."""

    key: str
    index: int
    name: str
    variable: str
    """What is shown instead of the secret."""


def _secrets(config: LangGraphJson, hook: HookConfig, environment: Mapping[str, str]) -> Iterator[tuple[_Source, str]]:
    verify = hook.section.verify
    for index, name in enumerate(verify.secret_env):
        source = _Source("secret_env", index, f"the environment variable {name}", name)
        try:
            value = (variable_or_file(environment, name) or "").strip()
        except ConfigError as error:
            raise ConfigError(f"{_where(config, hook, source)}: {error}") from None
        if not value:
            raise ConfigError(
                f"{_where(config, hook, source)}: {source.name} is not set, so no delivery could be verified"
            )
        yield source, value
    for index, path in enumerate(verify.secret_file):
        source = _Source("secret_file", index, f"the file {path}", f"secret of hook {hook.name}")
        yield source, _content(config, hook, source, config.folder / path)


def _content(config: LangGraphJson, hook: HookConfig, source: _Source, path: Path) -> str:
    try:
        content = path.read_bytes()[: _MOST_BYTES + 1]
        if len(content) > _MOST_BYTES:
            raise ConfigError(f"{_where(config, hook, source)}: {source.name} is larger than {_MOST_BYTES} bytes")
        secret = content.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{_where(config, hook, source)}: {source.name} cannot be read: {reason}") from None
    if not secret:
        raise ConfigError(f"{_where(config, hook, source)}: {source.name} is empty")
    return secret


def _where(config: LangGraphJson, hook: HookConfig, source: _Source) -> str:
    path = ("slipway", "hooks", hook.name, "verify", source.key)
    listed: tuple[str | int, ...] = (*path, source.index)
    return f"{config.where(*listed)}: {'.'.join(path)}"
