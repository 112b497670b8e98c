"""Whether a web process controls access, and how it builds its `AccessControl`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from slipway.access.access_control import AccessControl
from slipway.access.auth_file import load_auth
from slipway.access.required_keys import keys_are_required
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.verification import KeyVerifier
from slipway.graphs.official_sections import AuthSection
from slipway.json_web_tokens.key_set import IssuerKeys
from slipway.json_web_tokens.verification import ClaimNames, TokenVerifier
from slipway.services import Services
from slipway.settings import Settings


def load_access(settings: Settings, section: AuthSection, load_object: Callable[[str], object]) -> AccessControl | None:
    """The access control of a web process; None if everybody may do everything: there is no auth file, no issuer of
    tokens, and no key is required. Raises `ConfigError`."""
    auth_file = load_auth(section, load_object)
    if auth_file is None and settings.jwt_issuer is None and not keys_are_required(settings):
        return None
    return AccessControl(auth_file)


@asynccontextmanager
async def accepting_credentials(access: AccessControl | None, services: Services) -> AsyncIterator[None]:
    """Inside the block, `access` authenticates the users of API keys, tokens, page sessions and stream tickets."""
    if access is None:
        yield
        return
    settings, access.clock = services.settings, services.clock
    async with AsyncExitStack() as stack:
        stack.enter_context(access.accepting(services.stream_tickets))
        keys = KeyVerifier(
            ApiKeyScripts(services.pipeline, services.shards.access), services.subscriber, services.clock
        )
        await keys.start()
        stack.push_async_callback(keys.close)
        stack.enter_context(access.accepting(keys))
        if settings.jwt_issuer is not None:
            issuer_keys = IssuerKeys(settings.jwt_issuer, settings.jwt_jwks_url, services.clock)
            stack.push_async_callback(issuer_keys.close)
            claims = ClaimNames(settings.jwt_owner_claim, settings.jwt_scopes_claim)
            tokens = TokenVerifier(settings.jwt_issuer, settings.jwt_audience, claims, issuer_keys, services.clock)
            stack.enter_context(access.accepting_tokens(tokens))
        stack.enter_context(access.accepting(services.page_sessions))
        yield
