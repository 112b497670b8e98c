"""Signatures of webhooks: the test vectors of Standard Webhooks, and their library as the receiver."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from slipway.errors import ConfigError
from slipway.webhooks.request_headers import keys_of
from slipway.webhooks.signing import (
    BadKey,
    PrivateKey,
    SharedSecret,
    signature_headers,
    signing_key,
    signing_keys,
)

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (SECRET, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (PRIVATE, "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="),
    ],
)
def test_the_published_vectors(key: str, signature: str) -> None:
    assert signing_key(key).signature(ID, AT, BODY) == signature


def test_the_library_of_a_receiver_accepts_each_of_several_keys() -> None:
    """While a key is rotated, receivers that have the old one and those that have the new one both accept."""
    now, old, new = datetime.now(UTC), SECRET, "whsec_" + base64.b64encode(b"n" * 32).decode()
    headers = signature_headers(signing_keys(f"{new} {PRIVATE}\n{old}"), ID, now, BODY)
    assert [each.partition(",")[0] for each in headers["webhook-signature"].split()] == ["v1", "v1a", "v1"]
    for secret in (old, new):
        assert Webhook(secret).verify(BODY, headers) == {"test": 2432232314}
    for changed in (BODY + b" ", BODY[:-1]):
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(changed, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(BODY, headers | {"webhook-id": "msg_other"})


def test_a_receiver_verifies_v1a_with_the_public_key_alone() -> None:
    key = signing_key(PRIVATE)
    assert isinstance(key, PrivateKey)
    headers = signature_headers([key], ID, AT, BODY)
    public = key.public_key()
    assert public.startswith("whpk_")
    verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    signature = base64.b64decode(headers["webhook-signature"].removeprefix("v1a,"))
    content = f"{ID}.{headers['webhook-timestamp']}.".encode() + BODY
    verifier.verify(signature, content)
    with pytest.raises(InvalidSignature):
        verifier.verify(signature, content + b" ")


def test_a_private_key_may_be_stored_with_its_public_key() -> None:
    key = signing_key(PRIVATE)
    assert isinstance(key, PrivateKey)
    both = key.seed + base64.b64decode(key.public_key().removeprefix("whpk_"))
    assert signing_key("whsk_" + base64.b64encode(both).decode()) == key
    with pytest.raises(BadKey, match="32 bytes, and is 64"):
        signing_key("whsk_" + base64.b64encode(key.seed + bytes(32)).decode())


def _key_of(size: int) -> str:
    return base64.b64encode(bytes(range(size))).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "whsec_",
        "whsec_!",
        "whsec_é",
        f"whsec_{_key_of(23)}",
        f"whsec_{_key_of(65)}",
        f"whsk_{_key_of(31)}",
        "whsk_",
    ],
)
def test_a_bad_key_stops_the_start_and_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_WEBHOOK_SECRET") as caught:
        keys_of(text)
    assert not text.strip() or text not in str(caught.value).replace("whsec_ must", "").replace("whsk_ must", "")


def test_the_forms_of_the_signing_secret() -> None:
    assert keys_of(None) == ()
    assert keys_of("plain text") == (SharedSecret(b"plain text"),), "as earlier releases read it"
    assert [len(key.secret) for key in keys_of(f"whsec_{_key_of(24)} whsec_{_key_of(64)}")] == [24, 64]  # type: ignore[attr-defined]
    assert "hush" not in repr(signing_key("whsec_" + base64.b64encode(b"hush" * 8).decode()))


def test_without_a_key_there_is_an_id_and_no_signature() -> None:
    assert signature_headers((), ID, AT, BODY) == {"webhook-id": ID, "webhook-timestamp": "1614265330"}
