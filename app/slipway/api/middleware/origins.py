"""Pages of other sites: which of them may call this server, and whose cookies count.

A browser sends requests for any page, and the user's cookies with them; CORS only keeps the page from reading the
answer. It sends simple requests (a form, `text/plain`) and opens sockets without a question beforehand. What a page
must not do is therefore refused here, by the `Origin` header: pages can neither leave it out nor choose it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from slipway.api.middleware.decision_cache import DecisionCache
from slipway.api.middleware.hosts import is_local, name_in
from slipway.graphs.sections import CorsSection

STUDIO: Final = frozenset(f"https://{region}smith.langchain.com" for region in ("", "eu.", "apac.", "aws."))
"""Where LangSmith serves Studio. One that is hosted elsewhere is named in `http.cors.allow_origins`."""

_ORIGIN: Final = re.compile(r"(https?)://([^/@?#\s]+)")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_ANY: Final = "*"


class Origins:
    """The pages that may call this server.

    Without an auth file (`restricted`): those of this machine, Studio's, and those that `http.cors` names. With one the
    credentials protect the server, and `http.cors` alone decides, whose default is every origin."""

    def __init__(self, cors: CorsSection, *, restricted: bool) -> None:
        default = restricted and "allow_origins" not in cors.model_fields_set
        self._named = frozenset(() if default else cors.allow_origins)
        self._pattern = None if cors.allow_origin_regex is None else re.compile(cors.allow_origin_regex)
        self._restricted, self._credentials = restricted, cors.allow_credentials
        self._decisions = DecisionCache(self._decide)

    @property
    def any(self) -> bool:
        """Whether every page may."""
        return _ANY in self._named

    def allows(self, origin: str) -> bool:
        """Whether pages of `origin`, which is not this server's own, may call it and read its answers."""
        return self._decisions.of(origin)

    def _decide(self, origin: str) -> bool:
        return self.any or self._is_named(origin) or self._is_default(origin)

    def trust_cookies_of(self, origin: str) -> bool:
        """Whether cookies count in requests of `origin`, which is not this server's own: `*` names no page."""
        return self._credentials and self._is_named(origin)

    def _is_named(self, origin: str) -> bool:
        return origin in self._named or (self._pattern is not None and self._pattern.fullmatch(origin) is not None)

    def _is_default(self, origin: str) -> bool:
        return self._restricted and (origin in STUDIO or _is_of_this_machine(origin))


def is_same_origin(origin: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a page of this server itself sends the request. A proxy that ends TLS changes the scheme, and one that
    does not pass `Host` on changes the name; then the browser's own word counts, which no page can write."""
    found, host = _ORIGIN.fullmatch(origin), headers.get(b"host", b"").decode("latin-1").lower()
    if found is not None and host:
        default = _DEFAULT_PORTS[found[1]]
        if found[2].lower().removesuffix(default) == host.removesuffix(default):
            return True
    return headers.get(b"sec-fetch-site") == b"same-origin"


def _is_of_this_machine(origin: str) -> bool:
    found = _ORIGIN.fullmatch(origin)
    name = None if found is None else name_in(found[2])
    return name is not None and is_local(name)
