"""Receives deliveries to hooks: verifies the signature of the bytes, and only then looks into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from slipway.clock import Clock
from slipway.errors import HookSignatureRefused, NotFound, SlipwayError, TooLarge
from slipway.hooks.handling import DeliveryHandler, HookAnswer, Replay
from slipway.hooks.loaded_hooks import LoadedHook
from slipway.hooks.payload import payload_of
from slipway.hooks.plan import Incoming
from slipway.hooks.scripts import HookScripts
from slipway.serialization.json_encoding import clean

log = structlog.get_logger(__name__)

_MOST_CHALLENGE_CHARACTERS: Final = 1_000
_MOST_HEADER_CHARACTERS: Final = 1_000
"""Of a header that is kept. The rest is cut off."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Slack asks whether this URL belongs to its receiver. The response is this text."""

    text: str


@dataclass(frozen=True, slots=True)
class HookReceiver:
    """The hooks of a web process, by name."""

    hooks: Mapping[str, LoadedHook]
    handler: DeliveryHandler
    scripts: HookScripts
    clock: Clock

    @property
    def controls_access(self) -> bool:
        """Whether the deployment controls access."""
        return self.handler.access is not None

    def hook(self, name: str) -> LoadedHook:
        """Raises `NotFound`."""
        hook = self.hooks.get(name)
        if hook is None:
            raise NotFound("hook", clean(name), why="langgraph.json does not have it")
        return hook

    async def verified(self, hook: LoadedHook, headers: Mapping[str, str], body: bytes) -> Incoming | Challenge:
        """A delivery whose signature is valid. `headers` have names in lower case. Raises `TooLarge` and
        `HookSignatureRefused`."""
        config = hook.config
        if len(body) > config.section.max_bytes:
            raise too_large(hook)
        try:
            verified = hook.scheme.verify(headers, body, self.clock.now().timestamp())
        except HookSignatureRefused as error:
            log.warning("hook.refused", hook=config.name, problem=str(error))
            await self.scripts.refuse(config.name, str(error))
            raise
        if config.section.verify.scheme == "slack" and (challenge := _challenge(headers, body)) is not None:
            return challenge
        kept = {
            header: headers[header][:_MOST_HEADER_CHARACTERS]
            for header in sorted(config.kept_headers)
            if header in headers
        }
        return Incoming(kept, body, verified.digest)

    async def handle(self, hook: LoadedHook, incoming: Incoming) -> HookAnswer:
        """Handles a verified delivery. Raises what `DeliveryHandler.handle` raises."""
        return await self.handler.handle(hook.config, incoming)

    async def replay(self, name: str, delivery: str, by: str, token: str) -> HookAnswer:
        """Handles a stored delivery again, by the mapping of now, as a new delivery. Raises `NotFound`, and what
        `DeliveryHandler.handle` raises."""
        config = self.hook(name).config
        record = await self.handler.reads.delivery(name, delivery)
        incoming = Incoming(record.headers, record.body, record.digest)
        return await self.handler.handle(config, incoming, Replay(record.replay_of or delivery, by, token))


def too_large(hook: LoadedHook) -> TooLarge:
    """The error for a body that is larger than the hook permits."""
    section = hook.config.section
    return TooLarge(f"the body is larger than slipway.hooks.{hook.config.name}.max_bytes ({section.max_bytes})")


def _challenge(headers: Mapping[str, str], body: bytes) -> Challenge | None:
    """Source: docs.slack.dev, "url_verification event"."""
    try:
        payload: Any = payload_of(headers.get("content-type", ""), body)
    except SlipwayError:
        return None
    if not isinstance(payload, dict) or payload.get("type") != "url_verification":
        return None
    text = payload.get("challenge")
    return Challenge(text) if isinstance(text, str) and len(text) <= _MOST_CHALLENGE_CHARACTERS else None
