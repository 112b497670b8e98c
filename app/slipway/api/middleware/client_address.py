"""The address of the client, and whether it uses TLS, as trusted proxies report them.

A proxy in front of this server writes the address of its client to `X-Forwarded-For` or to `Forwarded` (RFC 7239), and
the scheme beside it. Any client can send these headers too, so they are read only on connections of proxies that
`SLIPWAY_TRUSTED_PROXIES` names, and only back to the first address that is none of them: everything before it was
written by somebody unknown. Only one of both headers is read: a proxy passes on the one that it does not write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.api.raw_headers import header_value
from slipway.settings import ProxyHeader

Network = IPv4Network | IPv6Network

_Report = tuple[str | None, bool | None]
"""What one proxy says about its client: an address, and whether it used TLS; None for what is unknown."""

_IS_SECURE: Final = {"https": True, "wss": True, "http": False, "ws": False}
_SECURE: Final = {"http": "https", "ws": "wss"}
_PLAIN: Final = {"https": "http", "wss": "ws"}
_PARAMETER: Final = re.compile(r"\s*([a-z]+)\s*=\s*(?:\"([^\"]*)\"|([^;,\"\s]*))\s*", re.IGNORECASE)
_PORT: Final = re.compile(r"(?:\[([^\]]+)\]|([^:]+))(?::[\w]+)?")


class ClientAddress:
    """Sets `client` and `scheme` of each request to what the trusted `proxies` report in the header `reads`. Without
    proxies nothing is read. Each header has one value (`RepeatedHeaders`)."""

    def __init__(self, app: ASGIApp, proxies: Sequence[Network], reads: ProxyHeader) -> None:
        self._app, self._proxies = app, proxies
        self._reported = _forwarded if reads == "forwarded" else _x_forwarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if self._proxies and client is not None and self._trusts(client[0]):
            self._apply_headers(scope)
        await self._app(scope, receive, send)

    def _apply_headers(self, scope: Scope) -> None:
        for address, is_secure in reversed(self._reported(scope)):
            if is_secure is not None:
                scheme = scope["scheme"]
                scope["scheme"] = (_SECURE if is_secure else _PLAIN).get(scheme, scheme)
            if address is None:
                return  # the proxy hides it, so the connection's address stays
            scope["client"] = (address, 0)
            if not self._trusts(address):
                return

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._proxies)


def _x_forwarded(scope: Scope) -> list[_Report]:
    """What the proxies wrote to `X-Forwarded-For` and `X-Forwarded-Proto`, the last one last."""
    reported: list[_Report] = [(_address(part), None) for part in _value(scope, b"x-forwarded-for").split(",")]
    scheme = _value(scope, b"x-forwarded-proto").split(",")[-1].strip().lower()
    if scheme in _IS_SECURE:
        reported[-1] = (reported[-1][0], _IS_SECURE[scheme])
    return reported


def _forwarded(scope: Scope) -> list[_Report]:
    """What the proxies wrote to `Forwarded`, the last one last."""
    return [_forwarded_element(element) for element in _value(scope, b"forwarded").split(",")]


def _forwarded_element(element: str) -> _Report:
    parameters = {match[1].lower(): match[2] or match[3] or "" for match in _PARAMETER.finditer(element)}
    return _address(parameters.get("for", "")), _IS_SECURE.get(parameters.get("proto", "").lower())


def _value(scope: Scope, name: bytes) -> str:
    return header_value(scope, name).decode("latin-1")


def _address(text: str) -> str | None:
    """An IP address without its port; None for `unknown`, for a hidden name and for anything else."""
    text = text.strip()
    try:
        return str(ip_address(text))
    except ValueError:
        match = _PORT.fullmatch(text)
    try:
        return None if match is None else str(ip_address(match[1] or match[2]))
    except ValueError:
        return None
