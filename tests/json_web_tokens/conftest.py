"""An issuer of tokens: a real HTTP server with a discovery document and a key set, which tests change."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn import Config, Server

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.http.conftest import serving
from tests.project_fixtures import graphs_of, settings_of
from tests.waiting import wait_until

PROJECT: Final = Path(__file__).parents[1] / "api_keys" / "project" / "langgraph.json"
AUDIENCE: Final = "https://slipway.example"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair of an issuer."""

    key_id: str
    algorithm: str
    private: Any
    public: dict[str, Any]


@cache
def signing_key(key_id: str, algorithm: str = "RS256", bits: int = 2048) -> SigningKey:
    """A new key pair; the same one for the same arguments."""
    private: Any
    if algorithm.startswith(("RS", "PS")):
        private = rsa.generate_private_key(65537, bits)
        public = RSAAlgorithm.to_jwk(private.public_key())
    elif algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
        public = ECAlgorithm.to_jwk(private.public_key())
    else:
        private = ed25519.Ed25519PrivateKey.generate()
        public = OKPAlgorithm.to_jwk(private.public_key())
    return SigningKey(key_id, algorithm, private, json.loads(public) | {"kid": key_id, "use": "sig"})


@dataclass(slots=True)
class Issuer:
    """What the issuer publishes, and how often it was asked."""

    url: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [signing_key("first")])
    discovery: dict[str, Any] = field(default_factory=dict)
    """Overrides members of the discovery document."""
    key_set: Any = None
    """Replaces the key set."""
    status: int = 200
    reads: int = 0

    def token(self, key: SigningKey | None = None, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is valid unless `claims` say otherwise; None leaves a claim out."""
        signing = key or self.keys[0]
        now = int(time.time())
        all_claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "exp": now + 600,
            "iat": now,
            "owner": "acme",
            "scope": "openid runs:write",
        } | claims
        stated = {name: value for name, value in all_claims.items() if value is not None}
        return jwt.encode(stated, signing.private, signing.algorithm, {"kid": signing.key_id} | (headers or {}))

    async def discovered(self, request: Request) -> Response:
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.discovery)

    async def read_keys(self, request: Request) -> Response:
        self.reads += 1
        shown = {"keys": [key.public for key in self.keys]} if self.key_set is None else self.key_set
        return JSONResponse(shown, self.status)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """A running issuer."""
    running = Issuer()
    app = Starlette(
        routes=[
            Route("/.well-known/openid-configuration", running.discovered),
            Route("/keys", running.read_keys),
        ]
    )
    server, listener = Server(Config(app, log_config=None, lifespan="off")), socket.socket()
    listener.bind(("127.0.0.1", 0))
    running.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    task = asyncio.create_task(server.serve([listener]))
    try:
        await wait_until(lambda: server.started)
        yield running
    finally:
        server.should_exit = True
        await task
        listener.close()


@dataclass(frozen=True, slots=True)
class Trusting:
    """A server that trusts the issuer."""

    client: httpx.AsyncClient
    url: str

    async def send(self, token: str, path: str = "/threads", body: Any = None, method: str = "POST") -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        return await self.client.request(method, path, json={} if body is None else body, headers=headers)


@asynccontextmanager
async def trusting(settings: Settings, graphs: Registry, issuer: Issuer, **given: Any) -> AsyncIterator[Trusting]:
    """A server that trusts the issuer; `given` are other settings."""
    trusted = Settings.from_values(
        settings.model_dump() | {"jwt_issuer": issuer.url, "jwt_audience": (AUDIENCE,)} | given
    )
    async with serving(trusted, graphs) as served, httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        yield Trusting(client, served.url)
