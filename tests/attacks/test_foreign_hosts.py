"""DNS rebinding: a page makes its own host name resolve to this machine. The browser treats the server as the page's
own, and only the `Host` header shows the foreign name."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from slipway.api.middleware.hosts import Hosts
from slipway.api.middleware.mount_prefix import PROBES
from slipway.api.openapi import plain_path
from slipway.errors import ConfigError
from slipway.loopback import is_loopback
from slipway.runs.record import new_id
from slipway.settings import Settings
from tests.attacks.rows import ALL_ROUTES
from tests.auth.test_http_section import AUTH, Desk, desk

__all__ = ["desk"]

THIS_MACHINE = (
    *("localhost", "localhost:8123", "LocalHost:", "localhost.", "localhost.:8123", "chat.localhost", "127.0.0.1:8123"),
    *("127.8.8.8", "[::1]", "[::1]:8123", "[::ffff:127.0.0.1]", "0.0.0.0:8123", "[::]:1", "host.docker.internal:8123"),
)
NETWORK_NAMES = ("10.1.2.3:8123", "203.0.113.5", "[2001:db8::1]:8123", "web:8123", "box.local", "slipway.prod.internal")
FOREIGN = (
    *("evil.example", "evil.example:8123", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example.", ""),
    *("localhost@evil.example", "evil.example#localhost", "evil.example/localhost", "localhost,evil.example", "[::1"),
    *("localhost:port", "localhost:8123:1", "notlocalhost.example", "evil.example?.localhost", "-.localhost@a.b", ".."),
)


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
def test_a_loopback_server_accepts_only_names_of_this_machine(bound: str) -> None:
    hosts = Hosts(bound)
    assert is_loopback(bound)
    assert [host for host in THIS_MACHINE if not hosts.accepts(host)] == []
    assert [host for host in (*NETWORK_NAMES, *FOREIGN) if hosts.accepts(host)] == []


def test_a_host_header_longer_than_any_name_is_rejected() -> None:
    assert not Hosts("0.0.0.0").accepts(f"[{':' * 400}]")


def test_the_cache_of_host_decisions_is_bounded() -> None:
    hosts, open_to_all = Hosts("127.0.0.1"), Hosts("127.0.0.1", ["*"])
    long = [f"{number}.{'a' * 100_000}.example" for number in range(3)]
    short = [f"{number}.example" for number in range(3000)]
    assert [host for host in (*short, *long) if hosts.accepts(host)] == []
    assert [host for host in long if not open_to_all.accepts(host)] == []
    assert sum(map(len, (*hosts.decisions.entries, *open_to_all.decisions.entries))) < 100_000


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "192.168.1.5", "box"])
def test_a_network_server_accepts_only_names_that_no_stranger_can_register(bound: str) -> None:
    hosts = Hosts(bound)
    assert not is_loopback(bound)
    assert [host for host in (*THIS_MACHINE, *NETWORK_NAMES) if not hosts.accepts(host)] == []
    assert [host for host in FOREIGN if hosts.accepts(host)] == []


def test_allowed_hosts_are_accepted() -> None:
    hosts = Hosts(
        "desk.example", Settings.load({"SLIPWAY_ALLOWED_HOSTS": "A.example., *.b.example,[2001:db8::1]"}).allowed_hosts
    )
    served = ("desk.example", "a.example:80", "x.b.example", "x.y.b.example", "[2001:db8::1]:8123")
    assert [host for host in served if not hosts.accepts(host)] == []
    assert [host for host in ("b.example", "x.a.example", "ab.example", *FOREIGN) if hosts.accepts(host)] == []
    assert Hosts("127.0.0.1", Settings.load({"SLIPWAY_ALLOWED_HOSTS": "*"}).allowed_hosts).accepts("evil.example")


@pytest.mark.parametrize("name", ["https://desk.example", "desk.example:8123", "desk.example/", "a.*.example", "a b"])
def test_an_invalid_allowed_host_stops_the_start(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^SLIPWAY_ALLOWED_HOSTS: .*write desk\.example"):
        Settings.load({"SLIPWAY_ALLOWED_HOSTS": f"desk.example,{name}"})


async def test_no_route_is_served_under_a_foreign_name(desk: Desk) -> None:
    """`X-Forwarded-Host` changes nothing. The probes of load balancers are served under every name."""
    async with desk.serves() as client:
        wrong = []
        for name, route in ALL_ROUTES.items():
            for headers in ({"host": "evil.example:8123"}, {"host": "evil.example", "x-forwarded-host": "localhost"}):
                response = await client.request(route.method, plain_path(route.path), headers=headers)
                expected = 200 if route.path in PROBES else 421
                if response.status_code != expected:
                    wrong.append((name, response.status_code))
        assert wrong == []
        rejected = await client.get("/info", headers={"host": "desk.example:8123"})
        assert rejected.json()["code"] == "host.refused"
        assert "SLIPWAY_ALLOWED_HOSTS=desk.example" in rejected.json()["detail"]
        assert (await client.get("/info", headers={"x-forwarded-host": "evil.example"})).status_code == 200
        assert (await client.get("/docs", headers={"host": "evil.example"})).status_code == 421
        assert (await client.get("/ui/static/run.js", headers={"host": "evil.example"})).status_code == 421


async def test_no_prefixed_or_host_app_route_is_served_under_a_foreign_name(desk: Desk) -> None:
    foreign = {"host": "evil.example"}
    async with desk.serves(http={"mount_prefix": "/agents", "app": "./webapp.py:app"}) as client:
        found = {
            path: (await client.get(path, headers=foreign)).status_code for path in ("/agents/hello", "/agents/info")
        }
        assert found == dict.fromkeys(found, 421)
        assert [(await client.get(path, headers=foreign)).status_code for path in ("/ok", "/agents/ok")] == [200, 200]
        probes = ("/healthz", "/agents/healthz", "/readyz", "/agents/readyz")
        assert [(await client.get(path, headers=foreign)).status_code for path in probes] == [200] * 4


async def test_no_websocket_is_opened_under_a_foreign_name(desk: Desk) -> None:
    async with desk.serves() as client:
        url = f"ws://evil.example/threads/{new_id()}/stream/events"
        for origin in ({}, {"origin": "http://evil.example"}, {"origin": "http://localhost:3000"}):
            with pytest.raises(InvalidStatus) as error:
                async with connect(url, host="127.0.0.1", port=client.base_url.port, additional_headers=origin):
                    pass
            assert error.value.response.status_code == 421


async def test_an_allowed_host_name_is_served(desk: Desk) -> None:
    """Pages of an allowed name are not foreign."""
    options = {"host": "0.0.0.0", "allowed_hosts": ("desk.example",), "require_keys": False}
    async with desk.serves(options=options) as client:
        for host, status in (("desk.example", 200), ("10.1.2.3", 200), ("evil.example", 421)):
            sent = {"host": host, "origin": f"https://{host}"}
            assert (await client.post("/threads", json={}, headers=sent)).status_code == status


async def test_a_server_with_an_auth_file_is_served_under_every_name(desk: Desk) -> None:
    async with desk.serves(auth=AUTH) as client:
        sent = {"authorization": "Bearer ann-token", "host": "desk.example"}
        assert (await client.post("/threads", json={}, headers=sent)).status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /info HTTP/1.0\r\n", 200),
        ("GET /info HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", 200),
        ("GET /info HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n", 421),
        ("GET /info HTTP/1.1\r\nhost:\r\nconnection: close\r\n", 400),
        ("GET /info HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n", 400),
        ("GET /info HTTP/1.1\r\nhost: evil.example\r\nhost: localhost\r\nconnection: close\r\n", 400),
        ("GET http://localhost/info HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n", 421),
        ("GET /info HTTP/1.0\r\norigin: https://evil.example\r\n", 403),
    ],
)
async def test_the_host_header_of_raw_requests_is_checked(desk: Desk, head: str, status: int) -> None:
    """Without a `Host`, which no browser does; with two of them; with a URL as target."""
    async with desk.serves() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(f"{head}\r\n".encode())
        async with asyncio.timeout(30):
            response = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert response.startswith(f"HTTP/1.1 {status} ".encode())


async def test_the_response_to_a_rejected_host_is_json(desk: Desk) -> None:
    async with desk.serves() as client:
        response = await client.get("/", headers={"host": "<script>alert(1)</script>", "accept": "text/html"})
        assert (response.status_code, response.headers["content-type"]) == (400, "application/json")
        assert "<script>" not in response.text
