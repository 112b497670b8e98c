"""The signature schemes: the vectors of their documentation, and hostile headers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import ConfigError, HookSignatureRefused
from slipway.graphs.langgraph_json import read
from slipway.hooks.github_signature import GithubSignature
from slipway.hooks.hmac_signature import HmacSignature
from slipway.hooks.loaded_hooks import load_hooks
from slipway.hooks.signature import SignatureScheme
from slipway.hooks.slack_signature import SlackSignature
from slipway.hooks.standard_webhooks import parsed_secrets
from slipway.hooks.stripe_signature import StripeSignature
from tests.hooks import senders
from tests.hooks.conftest import PROJECT, project_with

NOW = 1_614_265_330.0

SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
    b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
    b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
    b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_HEADERS = {
    "x-slack-request-timestamp": "1531420618",
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}
STANDARD_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STANDARD_BODY = b'{"test": 2432232314}'
GITHUB = GithubSignature([b"It's a Secret to Everybody"])
GITHUB_HEADERS = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
STANDARD = parsed_secrets([senders.STANDARD, senders.STANDARD_KEY], 300)
STRIPE = StripeSignature([b"whsec_old", b"whsec_new"], 300)
SLACK = SlackSignature([b"8f742231b10e8888abcd99yyyzzz85a5"], 300)
SHOP = HmacSignature([b"secret"], "x-sig", "sha512", "base64", "v=", "x-time", 300)
HMAC = HmacSignature([b"secret"], "x-sig", "sha256", "hex", "", None, 300)


def test_the_vector_of_github() -> None:
    GITHUB.verify(GITHUB_HEADERS, b"Hello, World!", NOW)
    for body in (b"Hello, World", b"hello, World!", b""):
        with pytest.raises(HookSignatureRefused, match="no signature matches"):
            GITHUB.verify(GITHUB_HEADERS, body, NOW)


def test_the_vector_of_slack() -> None:
    SLACK.verify(SLACK_HEADERS, SLACK_BODY, 1531420618)
    with pytest.raises(HookSignatureRefused, match="old"):
        SLACK.verify(SLACK_HEADERS, SLACK_BODY, 1531420618 + 301)
    with pytest.raises(HookSignatureRefused, match="no signature matches"):
        SLACK.verify(SLACK_HEADERS | {"x-slack-request-timestamp": "1531420619"}, SLACK_BODY, 1531420618)


def test_the_vector_of_standard_webhooks() -> None:
    STANDARD.verify(STANDARD_HEADERS, STANDARD_BODY, NOW)
    several = f"v1,bm9uZQ== {STANDARD_HEADERS['webhook-signature']} v2,x"
    STANDARD.verify(STANDARD_HEADERS | {"webhook-signature": several}, STANDARD_BODY, NOW)
    for change in ({"webhook-id": "msg_other"}, {"webhook-timestamp": "1614265331"}, {"webhook-signature": "v1,"}):
        with pytest.raises(HookSignatureRefused):
            STANDARD.verify(STANDARD_HEADERS | change, STANDARD_BODY, NOW)


def test_an_asymmetric_signature_needs_the_key() -> None:
    headers = senders.standard_asymmetric(b"{}", at=NOW)
    STANDARD.verify(headers, b"{}", NOW)
    other = "whpk_" + base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    with pytest.raises(HookSignatureRefused):
        parsed_secrets([other], 300).verify(headers, b"{}", NOW)
    with pytest.raises(HookSignatureRefused):  # a public key is no symmetric secret
        parsed_secrets([senders.STANDARD_KEY], 300).verify(STANDARD_HEADERS, STANDARD_BODY, NOW)


def test_stripe_may_sign_with_two_secrets() -> None:
    body, moment = b'{"id": "evt_1"}', int(NOW)
    signed = f"{moment}.".encode() + body
    old, new = senders.hex_hmac("whsec_old", signed), senders.hex_hmac("whsec_new", signed)
    for signature in (f"v1={old},v1={'0' * 64}", f"v1={'0' * 64},v1={new}", f"v0=1,v1={new}"):
        STRIPE.verify({"stripe-signature": f"t={moment},{signature}"}, body, NOW)
    for header in (f"v1={new}", f"t={moment}", f"t={moment},t={moment},v1={new}", f"t={moment},v0={new}"):
        with pytest.raises(HookSignatureRefused):
            STRIPE.verify({"stripe-signature": header}, body, NOW)
    many = ",".join(f"v1={new}" for _ in range(100))
    with pytest.raises(HookSignatureRefused, match="more than 16"):
        STRIPE.verify({"stripe-signature": f"t={moment},{many}"}, body, NOW)


def test_a_configured_hmac() -> None:
    body = b"{}"
    assert HMAC.verify({"x-sig": senders.hex_hmac("secret", body)}, body, NOW).digest
    headers = {"x-sig": f"v={_sha512(b'1614265330.{}')}", "x-time": "1614265330"}
    SHOP.verify(headers, body, NOW)
    SHOP.verify({"x-sig": f"v={_sha512(b'1614265330123.{}')}", "x-time": "1614265330123"}, body, NOW)  # in ms
    for change in ({"x-time": "1614265331"}, {"x-sig": headers["x-sig"][2:]}, {"x-time": "1614260000"}):
        with pytest.raises(HookSignatureRefused):
            SHOP.verify(headers | change, body, NOW)


def _sha512(signed: bytes) -> str:
    import hashlib
    import hmac

    return base64.b64encode(hmac.new(b"secret", signed, hashlib.sha512).digest()).decode()


VALID: list[tuple[SignatureScheme, Mapping[str, str], bytes, float]] = [
    (GITHUB, GITHUB_HEADERS, b"Hello, World!", NOW),
    (SLACK, SLACK_HEADERS, SLACK_BODY, 1531420618),
    (STANDARD, STANDARD_HEADERS, STANDARD_BODY, NOW),
    (STRIPE, senders.stripe(b"{}", secret="whsec_new", at=NOW), b"{}", NOW),
    (SHOP, {"x-sig": f"v={_sha512(b'1614265330.{}')}", "x-time": "1614265330"}, b"{}", NOW),
    (HMAC, {"x-sig": senders.hex_hmac("secret", b"{}")}, b"{}", NOW),
]

HEADER_TEXT = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.text("v01a=, sha256t.\u0660\x00", max_size=40),
    st.sampled_from(["", " ", "v1", "v1,", "v1a,AA==", "t=,v1=", "sha256=", "9" * 400, "-1", "1e9", "t=1,v1=é"]),
)


@given(st.data())
def test_no_header_makes_a_scheme_fail_or_accept(data: st.DataObject) -> None:
    """Every header of every scheme is replaced by hostile text: it is refused, and nothing else is raised."""
    scheme, headers, body, now = data.draw(st.sampled_from(VALID))
    scheme.verify(headers, body, now)
    name = data.draw(st.sampled_from([each for each in headers if each != "content-type"]))
    changed = data.draw(HEADER_TEXT)
    if changed.strip() != headers[name]:
        with pytest.raises(HookSignatureRefused) as refused:
            scheme.verify({**headers, name: changed}, body, now)
        assert len(str(refused.value)) < 300


@given(st.sampled_from(VALID), st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_no_changed_body_is_accepted(
    valid: tuple[SignatureScheme, Mapping[str, str], bytes, float], position: int, change: bytes
) -> None:
    scheme, headers, body, now = valid
    changed = body[:position] + change + body[position:]
    if changed != body:
        with pytest.raises(HookSignatureRefused):
            scheme.verify(headers, changed, now)


@given(st.sampled_from(VALID), st.floats(-1e12, 1e12))
def test_nothing_outside_of_the_window_is_accepted(
    valid: tuple[SignatureScheme, Mapping[str, str], bytes, float], offset_s: float
) -> None:
    scheme, headers, body, now = valid
    if scheme not in (GITHUB, HMAC) and abs(offset_s) > 300:
        with pytest.raises(HookSignatureRefused):
            scheme.verify(headers, body, now + offset_s)


# secrets


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "the environment variable HOOKS_GITHUB_SECRET is not set"),
        ({**senders.VARIABLES, "HOOKS_GITHUB_SECRET": " "}, "HOOKS_GITHUB_SECRET is not set"),
        ({**senders.VARIABLES, "HOOKS_GITHUB_SECRET": "short"}, "fewer than 8 characters"),
        ({**senders.VARIABLES, "HOOKS_STANDARD_SECRET": "whsec_c2hvcnQ="}, "has a secret of 5 bytes"),
        ({**senders.VARIABLES, "HOOKS_STANDARD_SECRET": "no-prefix-here"}, "must be whsec_ or whpk_ and base64"),
        ({**senders.VARIABLES, "HOOKS_STANDARD_KEY": "whpk_c2hvcnRlcg=="}, "ed25519 needs 32"),
    ],
)
def test_a_missing_or_unusable_secret_is_an_error_with_file_and_line(variables: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_hooks(read(PROJECT), variables)
    assert words in str(error.value)
    assert str(error.value).startswith("langgraph.json:")
    for secret in variables.values():
        assert not secret.strip() or secret not in str(error.value)


def test_an_impossible_owner_is_an_error(tmp_path: Path) -> None:
    hook = {"assistant": "notes", "input": "body", "owner": "a.b", "verify": {"scheme": "github", "secret_env": "S"}}
    with pytest.raises(ConfigError, match=r"langgraph.json:\d+: slipway.hooks.g.owner: must be printable"):
        load_hooks(read(project_with(tmp_path, {"g": hook})), {"S": "long enough"})


def test_a_secret_in_a_file(tmp_path: Path) -> None:
    verify = {"scheme": "github", "secret_file": "github.secret"}
    config = read(project_with(tmp_path, {"g": {"assistant": "notes", "input": "body", "verify": verify}}))
    with pytest.raises(ConfigError, match=r"langgraph.json:\d+: .*github.secret cannot be read: No such file"):
        load_hooks(config, {})
    (tmp_path / "github.secret").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        load_hooks(config, {})
    (tmp_path / "github.secret").write_text("It's a Secret to Everybody\n")
    (loaded,) = load_hooks(config, {}).values()
    loaded.scheme.verify(GITHUB_HEADERS, b"Hello, World!", NOW)
    assert "Everybody" not in repr(loaded)
