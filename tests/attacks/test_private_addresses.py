"""Webhooks into the network of the server: to this machine, to its neighbours, or to the address at which a cloud hands
out credentials, in every notation. Errors do not reveal what exists there."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.errors import InvalidRequest
from slipway.graphs.official_sections import UrlSection
from slipway.webhooks.checked_address_transport import CheckedAddressTransport
from slipway.webhooks.delivery_policy import problem_of
from slipway.webhooks.ip_addresses import AddressScope, scope_of
from slipway.webhooks.urls import NoAddress, UrlPolicy
from tests.certificates import self_signed

PRIVATE = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1", "240.0.0.1", "255.255.255.255"),
    *("0.1.2.3", "192.0.2.1", "203.0.113.9", "192.88.99.1", "::8.8.8.8", "::10.0.0.1", "::ffff:10.0.0.1"),
    *("::ffff:a00:1", "0:0:0:0:0:ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::ffff:0:8.8.8.8", "64:ff9b::10.0.0.1"),
    *("64:ff9b:1::1", "64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff:ffff::1", "fec0::1", "feff::1", "fe80::1", "febf::1"),
    *(
        "fd00::1",
        "fc00::1",
        "2002:a00:1::",
        "2002:808:808::",
        "2001:0:a00:1::",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "2001:db8::1",
    ),
    *("3fff::1", "5f00::1", "100::1", "2600::5efe:10.0.0.1", "2600::200:5efe:192.168.0.1"),
    # where clouds hand out credentials
    *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"),
    *("fd20:ce::254", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"),
]
THIS_MACHINE = [
    *("127.0.0.1", "127.255.255.254", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::127.0.0.1", "64:ff9b:1::127.0.0.1", "2002:7f00:1::", "2001:0:7f00:1::", "2600::5efe:127.0.0.1"),
]
NOWHERE = ["0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "::ffff:224.0.0.1", "64:ff9b::"]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
SPELLINGS = {
    "private": ["167772161", "0xa000001", "0xa.0.0.1", "012.0.0.1", "10.1", "10.0.1", "0x0a.0x0.0x0.0x1", "2852039166"],
    "this machine": ["127.1", "127.0.1", "2130706433", "0x7f.0.0.1", "0177.1", "017700000001", "0x7f000001", "127.1."],
}


@pytest.mark.parametrize(
    ("addresses", "scope"),
    [
        (PRIVATE, AddressScope.PRIVATE),
        (THIS_MACHINE, AddressScope.THIS_MACHINE),
        (NOWHERE, AddressScope.UNROUTABLE),
        (PUBLIC, AddressScope.PUBLIC),
    ],
)
def test_every_address_has_the_expected_scope(addresses: list[str], scope: AddressScope) -> None:
    assert {text: scope_of(ipaddress.ip_address(text)) for text in addresses} == dict.fromkeys(addresses, scope)


def test_a_zone_does_not_change_the_scope() -> None:
    for text in ("fe80::1%eth0", "::1%lo", "::ffff:10.0.0.1%25eth0"):
        assert scope_of(ipaddress.ip_address(text)) is not AddressScope.PUBLIC
        with pytest.raises(InvalidRequest):
            UrlPolicy(UrlSection()).check(f"http://[{text}]/")


@pytest.mark.parametrize("host", [*PRIVATE, *THIS_MACHINE, *NOWHERE, *SPELLINGS["private"], *SPELLINGS["this machine"]])
def test_a_url_with_a_private_address_is_rejected(host: str) -> None:
    """Also if only one of the two scopes that the notation could mean is forbidden."""
    url = f"http://[{host}]/" if ":" in host else f"http://{host}/"
    with pytest.raises(InvalidRequest, match="webhook"):
        UrlPolicy(UrlSection()).check(url)
    is_this_machine = host in THIS_MACHINE or host in SPELLINGS["this machine"]
    other = UrlSection(disable_private_ips=False) if is_this_machine else UrlSection(disable_loopback=False)
    with pytest.raises(InvalidRequest, match="webhook"):
        UrlPolicy(other).check(url)


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.google.internal.", "instance-data"])
def test_a_url_with_the_name_of_a_metadata_service_is_rejected(host: str) -> None:
    with pytest.raises(InvalidRequest, match="private"):
        UrlPolicy(UrlSection()).check(f"http://{host}/computeMetadata/v1/")


def resolve_every_name(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make every host name resolve to these addresses. Without addresses, no name exists."""

    def getaddrinfo(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("first", ["10.0.0.7", "8.8.8.8"])
@pytest.mark.parametrize("inside", [*PRIVATE, *THIS_MACHINE, *NOWHERE, "fe80::7%eth0"])
async def test_a_name_with_one_private_address_is_not_called(
    monkeypatch: pytest.MonkeyPatch, first: str, inside: str
) -> None:
    resolve_every_name(monkeypatch, first, inside)
    async with httpx.AsyncClient(transport=CheckedAddressTransport(UrlPolicy(UrlSection()))) as client:
        with pytest.raises(NoAddress):
            await client.post("http://rebound.example.com/", content=b"")


async def test_a_private_name_and_an_unknown_name_have_the_same_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a client could find out which names exist in the network, and their addresses."""
    problems = set()
    for addresses in ((), ("10.0.0.7",), ("127.0.0.1",), ("169.254.169.254", "8.8.8.8")):
        resolve_every_name(monkeypatch, *addresses)
        with pytest.raises(NoAddress) as error:
            await UrlPolicy(UrlSection()).resolve("http://db.inside.example/")
        problems.add((type(error.value), problem_of(error.value)))
    assert problems == {(NoAddress, "the host has no address that a webhook may go to")}


async def test_the_address_that_was_checked_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to another address each time is resolved only once."""
    resolved: list[str] = []
    called = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def changing_address(host: str | bytes, port: int, *rest: Any, **more: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host  # libraries pass either
        if name == "rebound.example.com":
            resolved.append(name)
        address = "127.0.0.1" if len(resolved) < 2 else "127.0.0.2"  # no server listens there
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", changing_address)
    async with (
        server,
        httpx.AsyncClient(transport=CheckedAddressTransport(UrlPolicy(UrlSection(disable_loopback=False)))) as client,
    ):
        response = await client.post(f"http://rebound.example.com:{port}/", content=b"")
    assert (response.status_code, resolved, called.is_set()) == (200, ["rebound.example.com"], True)


async def test_a_connection_serves_only_the_name_of_its_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another name with the same address does not use the connection, because the certificate is not for it."""
    certificate, called = self_signed(tmp_path, "hooks.example.com"), 0
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    resolve_every_name(monkeypatch, "127.0.0.1")

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal called
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                called += 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=certificate.server())
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        httpx.AsyncClient(transport=CheckedAddressTransport(UrlPolicy(UrlSection(disable_loopback=False)))) as client,
    ):
        for _ in range(2):
            assert (await client.post(f"https://hooks.example.com:{port}/", content=b"")).status_code == 200
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await client.post(f"https://other.example.com:{port}/", content=b"")
    assert called == 2
