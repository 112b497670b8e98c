"""Access: the project's auth file, API keys and bearer tokens."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import debug, error, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import FIX, PATH, PROBLEM

_KEY: Final = Field("key", Unit.ID, "the id of the API key")
_KID: Final = Field("kid", Unit.ID, "the id of the issuer's key")
_ISSUER: Final = Field("issuer", Unit.TEXT, "the issuer of the tokens")
_KEPT: Final = Field("kept", Unit.FLAG, "whether the keys that were read before stay in use")

_EVENTS: Final = (
    error(
        "auth.failed",
        "The authenticate handler of the project raised an unexpected exception. The client got the status 500.",
        PATH,
        has_exception=True,
    ),
    warning("auth.cache_not_used", "Users are not cached, because the handler may depend on more.", PROBLEM),
    error(
        "access.unknown",
        "Whether the user of an open stream may still read it could not be found out, so the stream ended.",
        has_exception=True,
    ),
    warning("access.keys_not_needed", "API keys exist, and requests without one are accepted.", PROBLEM, FIX),
    warning("access.no_key", "Every request needs an API key, and none exists.", PROBLEM, FIX),
    debug("api_keys.not_read", "API keys were not read again, because Redis does not answer.", PROBLEM),
    debug("api_keys.use_not_stored", "When a key was used was not stored.", _KEY, PROBLEM),
    warning("jwt.key_unusable", "A key of the issuer is left out.", _KID, PROBLEM),
    warning("jwt.keys_not_read", "The keys of the issuer were not read.", _ISSUER, PROBLEM, _KEPT),
)

AREA: Final = Area("Access", _EVENTS)
