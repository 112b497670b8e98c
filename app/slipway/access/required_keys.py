"""Whether each request needs credentials, by the settings alone."""

from __future__ import annotations

from slipway.loopback import is_loopback
from slipway.settings import Settings


def keys_are_required(settings: Settings) -> bool:
    """Whether each request needs an API key, unless a token or the auth file authenticates it: by default if other
    machines can reach the process, else as `SLIPWAY_REQUIRE_KEYS` says."""
    if settings.require_keys == "auto":
        return not is_loopback(settings.host)
    return settings.require_keys
