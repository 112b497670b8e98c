"""Bearer tokens of an issuer: their keys, their claims, and every way in which a token can be wrong."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from langgraph_sdk import Auth

from slipway.access.access_control import AccessControl
from slipway.access.auth_file import AuthFile
from slipway.access.auth_handlers import HANDLER_PARAMETERS
from slipway.clock import Clock
from slipway.errors import ConfigError, IssuerUnavailable
from slipway.graphs.official_sections import AuthSection
from slipway.graphs.registry import Registry
from slipway.json_web_tokens import key_set
from slipway.json_web_tokens.key_set import IssuerKeys
from slipway.json_web_tokens.verification import ClaimNames, TokenVerifier
from slipway.settings import Settings
from tests.json_web_tokens.conftest import AUDIENCE, Issuer, signing_key, trusting


async def test_a_token_of_the_issuer_has_its_owner_and_scopes(
    settings: Settings, graphs: Registry, issuer: Issuer
) -> None:
    async with trusting(settings, graphs, issuer) as server:
        created = await server.send(issuer.token())
        assert created.status_code == 200, created.text
        assert created.json()["metadata"] == {"owner": "acme"}
        path = f"/threads/{created.json()['thread_id']}"
        assert (await server.send(issuer.token(owner="other"), path, method="GET")).status_code == 404
        assert (await server.send(issuer.token(scope="runs:read"), path, method="GET")).status_code == 200
        assert (await server.send(issuer.token(scope=["runs:read"]))).status_code == 403
        operator = issuer.token(owner=None, scope="operate")
        assert (await server.send(operator, "/ops/switches", method="GET")).status_code == 200
        assert (await server.send(operator)).status_code == 403
        assert issuer.reads == 1, "the keys are kept"


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "EdDSA"])
async def test_asymmetric_algorithms_are_accepted(
    settings: Settings, graphs: Registry, issuer: Issuer, algorithm: str
) -> None:
    issuer.keys = [signing_key("other"), signing_key(f"of {algorithm}", algorithm)]
    async with trusting(settings, graphs, issuer) as server:
        response = await server.send(issuer.token(issuer.keys[1]))
    assert response.status_code == 200, response.text


def unsigned(issuer: Issuer, header: dict[str, Any]) -> str:
    """A token with this header and no signature."""
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (header, claims)]
    return ".".join([*parts, ""])


def signed_with_public_key(issuer: Issuer) -> str:
    """The classic confusion: HS256 with the public key of the issuer as the secret."""
    key = issuer.keys[0]
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    parts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=")
        for each in ({"alg": "HS256", "kid": key.key_id}, claims)
    ]
    import hashlib
    import hmac

    signature = base64.urlsafe_b64encode(hmac.new(public, b".".join(parts), hashlib.sha256).digest()).rstrip(b"=")
    return b".".join([*parts, signature]).decode()


async def test_a_token_that_is_not_valid_is_refused(settings: Settings, graphs: Registry, issuer: Issuer) -> None:
    now, stranger = int(time.time()), signing_key("first of another issuer")
    first = issuer.keys[0]
    forged = jwt.encode(
        jwt.decode(issuer.token(), options={"verify_signature": False}), stranger.private, "RS256", {"kid": "first"}
    )
    wrong = {
        "expired": issuer.token(exp=now - 61),
        "without expiry": issuer.token(exp=None),
        "without subject": issuer.token(sub=None),
        "a long subject": issuer.token(sub="a" * 300),
        "a subject with an escape": issuer.token(sub="a\x1b[31m"),
        "not yet valid": issuer.token(nbf=now + 300),
        "issued in the future": issuer.token(iat=now + 300),
        "another audience": issuer.token(aud="https://other.example"),
        "no audience": issuer.token(aud=None),
        "another key": forged,
        "no algorithm": unsigned(issuer, {"alg": "none", "kid": "first"}),
        "an algorithm that is a list": unsigned(issuer, {"alg": ["RS256"], "kid": "first"}),
        "an algorithm of another key": unsigned(issuer, {"alg": "ES256", "kid": "first"}),
        "a secret made of the public key": signed_with_public_key(issuer),
        "an unknown key": issuer.token(headers={"kid": "nowhere"}),
        "its own key": issuer.token(stranger, headers={"jwk": stranger.public, "jku": f"{issuer.url}/evil"}),
        "critical headers": issuer.token(headers={"crit": ["exp"], "exp": 1}),
        "a time that is not one": issuer.token(exp="soon"),
        "a time that is a text": issuer.token(exp=str(now + 600)),
        "a time of issue that is a text": issuer.token(iat=str(now)),
        "a time that is a boolean": issuer.token(nbf=True),
        "an infinite time": issuer.token().replace(".", ".", 1),
        "another signature": issuer.token()[:-8] + "AAAAAAAA",
    }
    wrong["an infinite time"] = jwt.api_jws.PyJWS().encode(
        json.dumps({"iss": issuer.url, "aud": AUDIENCE, "sub": "a", "owner": "o", "scope": "runs:read"})
        .replace("}", ', "exp": 1e999}')
        .encode(),
        first.private,
        "RS256",
        {"kid": "first"},
    )
    async with trusting(settings, graphs, issuer) as server:
        accepted = {}
        for what, token in wrong.items():
            response = await server.send(token)
            if response.status_code != 401 or "www-authenticate" not in response.headers:
                accepted[what] = response.text
        assert accepted == {}
        assert (await server.send(issuer.token(exp=now - 30))).status_code == 200, "clocks may differ"
        assert (await server.send(issuer.token(aud=["x", AUDIENCE]))).status_code == 200


async def test_the_error_says_why_a_bearer_token_is_not_accepted(
    settings: Settings, graphs: Registry, issuer: Issuer
) -> None:
    """Also for tokens that nobody recognises as those of the issuer, which is not named."""
    header, claims, signature = issuer.token().split(".")
    expected = {
        issuer.token(iss="https://other.example"): "its claim 'iss' is not the issuer of this deployment",
        issuer.token(iss=None): "its claim 'iss' is not the issuer of this deployment",
        "opaque": "it is not a JSON Web Token",
        f"{header}.{claims}": "it is not a JSON Web Token",
        f"{header}.%%.{signature}": "it cannot be read: Invalid payload padding",
        f"x{header}.{claims}.{signature}": "it cannot be read: Invalid header",
        issuer.token(headers={"crit": ["exp"], "exp": 1}): "it cannot be read: Unsupported critical extension: exp",
        unsigned(
            issuer, {"alg": "RS256", "crit": ["\ud800" * 500]}
        ): "it cannot be read: Unsupported critical extension",
        unsigned(issuer, {"alg": "RS256", "kid": 7}): "it cannot be read: Key ID header parameter must be a string",
        issuer.token(exp=str(int(time.time()) + 600)): "the claim 'exp' must be a number",
        issuer.token(exp=1): "it has expired",
    }
    async with trusting(settings, graphs, issuer) as server:
        for token, problem in expected.items():
            response = await server.send(token)
            assert response.status_code == 401, f"{problem}: {response.text}"
            assert "invalid_token" in response.headers["www-authenticate"], problem
            detail = response.json()["detail"]
            assert detail.startswith("the bearer token is not "), detail
            assert problem in detail
            assert issuer.url not in detail
            assert len(detail) < 2000
        nothing = await server.client.post("/threads", json={})
        assert "no credentials" in nothing.json()["detail"]


async def test_a_token_that_is_not_of_the_issuer_goes_to_the_auth_file(issuer: Issuer) -> None:
    auth = Auth()

    @auth.authenticate
    async def authenticate(authorization: str) -> str:
        return f"the handler saw {len(authorization)}"

    control = AccessControl(AuthFile(auth, AuthSection()))
    keys = IssuerKeys(issuer.url, None, Clock())
    verifier = TokenVerifier(issuer.url, (AUDIENCE,), ClaimNames("owner", "scope"), keys, Clock())
    others = (
        issuer.token(iss="https://other.example"),
        issuer.token(headers={"crit": ["exp"], "exp": 1}),
        unsigned(issuer, {"alg": "RS256", "kid": 7}),
        "opaque",
    )
    with control.accepting_tokens(verifier):
        for token in others:
            sent = f"Bearer {token}"
            arguments = dict.fromkeys(HANDLER_PARAMETERS) | {
                "authorization": sent,
                "headers": {b"authorization": sent.encode()},
            }
            assert (await control.authenticate(arguments)).identity == f"the handler saw {len(sent)}"
    await keys.close()


async def test_malformed_tokens_are_no_faults_of_the_server(
    settings: Settings, graphs: Registry, issuer: Issuer
) -> None:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    of_issuer = part(json.dumps({"iss": issuer.url}))
    texts = [
        *("", "..", "a.b.c", "a.b", "a.b.c.d", "é.é.é"),
        f"{part('[' * 4000)}.{of_issuer}.x",
        f"{part('{}')}.{part('[' * 4000)}.x",
        f"{part('[]')}.{of_issuer}.x",
        f"{part('{}')}.{of_issuer}.x",
        f"{part('{}')}.{part('[]')}.x",
        f"{part('{}')}.{part(json.dumps({'iss': [issuer.url]}))}.x",
        f"{part(json.dumps({'alg': 'RS256', 'kid': {}}))}.{of_issuer}.x",
        f"{part(json.dumps({'alg': 'RS256', 'kid': 'x' * 5000}))}.{of_issuer}.x",
        f"{part(json.dumps({'alg': 'RS256', 'typ': 7, 'b64': False}))}.{of_issuer}.x",
    ]
    async with trusting(settings, graphs, issuer) as server:
        for text in texts:
            request = server.client.build_request("POST", "/threads", json={})
            request.headers.raw.append((b"Authorization", b"Bearer " + text.encode()))
            assert (await server.client.send(request)).status_code == 401, text[:100]


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"scope": None}, "has none of the scopes"),
        ({"scope": "openid profile"}, "has none of the scopes"),
        ({"scope": {"runs:read": 1}}, "has none of the scopes"),
        ({"scope": "operate"}, "cannot be combined with an owner"),
        ({"scope": "administer"}, "cannot be combined with an owner"),
        ({"owner": None}, "names the owner"),
        ({"owner": ""}, "owner"),
        ({"owner": ["acme"]}, "owner"),
        ({"owner": "a.b"}, "dots"),
        ({"owner": "*"}, "asterisks"),
    ],
)
async def test_claims_that_give_no_access_are_refused(
    settings: Settings, graphs: Registry, issuer: Issuer, claims: dict[str, Any], problem: str
) -> None:
    async with trusting(settings, graphs, issuer) as server:
        response = await server.send(issuer.token(**claims))
    assert response.status_code == 403, response.text
    assert problem in response.json()["detail"]


async def test_other_claims_can_name_the_owner_and_the_scopes(
    settings: Settings, graphs: Registry, issuer: Issuer
) -> None:
    given = {"jwt_owner_claim": "https://acme.example/org", "jwt_scopes_claim": "permissions"}
    claims: dict[str, Any] = {"https://acme.example/org": "acme", "permissions": ["runs:write", "other"]}
    token = issuer.token(owner=None, scope=None, **claims)
    async with trusting(settings, graphs, issuer, **given) as server:
        assert (await server.send(token)).json()["metadata"] == {"owner": "acme"}
        assert (await server.send(issuer.token())).status_code == 403


async def test_the_keys_can_be_at_another_url(settings: Settings, graphs: Registry, issuer: Issuer) -> None:
    issuer.discovery = {"issuer": "https://nobody.example"}
    async with trusting(settings, graphs, issuer) as server:
        response = await server.send(issuer.token())
        assert response.status_code == 503, "the discovery document is of another issuer"
        assert int(response.headers["retry-after"]) > 0
        assert issuer.url not in response.text.replace("issuer", "")
    async with trusting(settings, graphs, issuer, jwt_jwks_url=f"{issuer.url}/keys") as server:
        assert (await server.send(issuer.token())).status_code == 200


async def test_a_new_key_is_found_and_names_of_keys_that_do_not_exist_cost_nothing(
    settings: Settings, graphs: Registry, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trusting(settings, graphs, issuer) as server:
        assert (await server.send(issuer.token())).status_code == 200
        for number in range(10):
            assert (await server.send(issuer.token(headers={"kid": f"no {number}"}))).status_code == 401
        assert issuer.reads == 1, "the keys were read a moment ago"
        monkeypatch.setattr(key_set, "RETRY_AFTER_S", 0.0)
        old = issuer.token()
        issuer.keys = [signing_key("second")]
        assert (await server.send(issuer.token())).status_code == 200
        assert issuer.reads == 2
        assert (await server.send(old)).status_code == 401, "the issuer has withdrawn the first key"


class MovedClock(Clock):
    """A clock that tests move."""

    moved_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.moved_s


async def test_keys_are_read_again_and_survive_an_unavailable_issuer_for_a_day(issuer: Issuer) -> None:
    clock = MovedClock()
    keys = IssuerKeys(issuer.url, None, clock)
    try:
        assert await keys.key("first", "RS256") is not None
        issuer.status = 500
        for moved_s in (1000.0, 40_000.0, 86_000.0):
            clock.moved_s = moved_s
            assert await keys.key("first", "RS256") is not None, moved_s
        clock.moved_s = 90_000.0
        with pytest.raises(IssuerUnavailable):
            await keys.key("first", "RS256")
        issuer.status = 200
        clock.moved_s += 31
        assert await keys.key("first", "RS256") is not None
    finally:
        await keys.close()


@pytest.mark.parametrize(
    "shown", [[], {"keys": 7}, {}, {"keys": ["x"]}, "x" * (1 << 21), {"keys": [{"kid": "first", "kty": "RSA"}]}]
)
async def test_a_key_set_that_is_none_gives_no_key(issuer: Issuer, shown: Any) -> None:
    issuer.key_set = shown
    keys = IssuerKeys(issuer.url, None, Clock())
    try:
        found = await keys.key("first", "RS256")
    except IssuerUnavailable:
        found = None
    finally:
        await keys.close()
    assert found is None


async def test_weak_encryption_and_symmetric_keys_are_not_used(issuer: Issuer) -> None:
    short = signing_key("short", bits=1024)
    secret = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"}
    encrypting = signing_key("encrypting").public | {"use": "enc"}
    bound = signing_key("bound").public | {"alg": "RS512"}
    issuer.key_set = {"keys": [short.public, secret, encrypting, bound]}
    keys = IssuerKeys(issuer.url, None, Clock())
    try:
        for key_id in ("short", "secret", "encrypting", "bound"):
            assert await keys.key(key_id, "RS256") is None, key_id
        assert await keys.key("bound", "RS512") is not None
    finally:
        await keys.close()


async def test_redirects_of_the_issuer_are_not_followed() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": "http://169.254.169.254/"})

    keys = IssuerKeys("https://issuer.example", None, Clock(), httpx.MockTransport(respond))
    try:
        with pytest.raises(IssuerUnavailable):
            await keys.key("first", "RS256")
    finally:
        await keys.close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"jwt_issuer": "https://issuer.example"}, "SLIPWAY_JWT_AUDIENCE"),
        ({"jwt_audience": "x"}, "no effect without SLIPWAY_JWT_ISSUER"),
        ({"jwt_jwks_url": "https://issuer.example/keys"}, "no effect without SLIPWAY_JWT_ISSUER"),
        ({"jwt_issuer": "http://issuer.example", "jwt_audience": "x"}, "https://"),
        ({"jwt_issuer": "issuer.example", "jwt_audience": "x"}, "https://"),
        (
            {"jwt_issuer": "https://issuer.example", "jwt_audience": "x", "jwt_jwks_url": "file:///etc/keys"},
            "SLIPWAY_JWT_JWKS_URL",
        ),
    ],
)
def test_settings_that_would_accept_anybodys_tokens_are_rejected(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match="JWT") as error:
        Settings.from_values(given)
    assert message in str(error.value)
