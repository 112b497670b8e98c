"""The origins whose pages can send requests to this server, and whose cookies are accepted.

A browser sends requests for any page, with the user's cookies. CORS only prevents the page from reading the response.
Simple requests (a form, `text/plain`) and WebSockets are sent without a preflight request. So the server itself rejects
requests of other pages by the `Origin` header, which a page can neither omit nor choose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from slipway.api.middleware.header_check_cache import HeaderCheckCache
from slipway.api.middleware.hosts import is_local, name_in
from slipway.graphs.official_sections import CorsSection

STUDIO: Final = frozenset(f"https://{region}smith.langchain.com" for region in ("", "eu.", "apac.", "aws."))
"""The origins of LangSmith's Studio. A Studio on another host must be named in `http.cors.allow_origins`."""

_ORIGIN: Final = re.compile(r"(https?)://([^/@?#\s]+)")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_ANY: Final = "*"


class Origins:
    """The allowed origins.

    Without an auth file (`restricted`) these are the origins of this machine, the origins of Studio, and those in
    `http.cors`. With an auth file the server is protected by credentials: then only `http.cors` decides, which allows
    every origin by default."""

    def __init__(self, cors: CorsSection, *, restricted: bool) -> None:
        default = restricted and "allow_origins" not in cors.model_fields_set
        self._named = frozenset(() if default else cors.allow_origins)
        self._pattern = None if cors.allow_origin_regex is None else re.compile(cors.allow_origin_regex)
        self._restricted, self._credentials = restricted, cors.allow_credentials
        self.decisions = HeaderCheckCache(self._decide)

    @property
    def any(self) -> bool:
        """Whether every origin is allowed."""
        return _ANY in self._named

    def allows(self, origin: str) -> bool:
        """Whether pages of `origin`, which is not this server's, can send requests and read the responses."""
        return self.decisions.decide(origin)

    def _decide(self, origin: str) -> bool:
        return self.any or self._is_named(origin) or self._is_default(origin)

    def accepts_cookies_of(self, origin: str) -> bool:
        """Whether cookies are accepted from pages of `origin`: only if `http.cors` names it, for which `*` is not
        enough."""
        return self._credentials and self._is_named(origin)

    def _is_named(self, origin: str) -> bool:
        return origin in self._named or (self._pattern is not None and self._pattern.fullmatch(origin) is not None)

    def _is_default(self, origin: str) -> bool:
        return self._restricted and (origin in STUDIO or _is_of_this_machine(origin))


def is_same_origin(origin: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a page of this server sends the request.

    A proxy that terminates TLS changes the scheme, and a proxy that does not pass on `Host` changes the name. In these
    cases the header `Sec-Fetch-Site` decides, which browsers set and pages cannot change."""
    match, host = _ORIGIN.fullmatch(origin), headers.get(b"host", b"").decode("latin-1").lower()
    if match is not None and host:
        default = _DEFAULT_PORTS[match[1]]
        if match[2].lower().removesuffix(default) == host.removesuffix(default):
            return True
    return headers.get(b"sec-fetch-site") == b"same-origin"


def _is_of_this_machine(origin: str) -> bool:
    match = _ORIGIN.fullmatch(origin)
    name = None if match is None else name_in(match[2])
    return name is not None and is_local(name)
