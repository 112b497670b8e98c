"""Signs deliveries as their senders do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

GITHUB: Final = "github-secret-0123456789"
OLD_GITHUB: Final = "github-secret-of-last-year"
STRIPE: Final = "whsec_stripe-test-secret"
SLACK: Final = "8f742231b10e8888abcd99yyyzzz85a5"
STANDARD: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SHOP: Final = "file-secret-of-the-shop"
PRIVATE_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"7" * 32)
STANDARD_KEY: Final = "whpk_" + base64.b64encode(PRIVATE_KEY.public_key().public_bytes_raw()).decode()

VARIABLES: Final = {
    "HOOKS_GITHUB_SECRET": GITHUB,
    "HOOKS_OLD_GITHUB_SECRET": OLD_GITHUB,
    "HOOKS_STRIPE_SECRET": STRIPE,
    "HOOKS_STANDARD_SECRET": STANDARD,
    "HOOKS_STANDARD_KEY": STANDARD_KEY,
    "HOOKS_SLACK_SECRET": SLACK,
}
"""What the project's langgraph.json names."""

Headers = dict[str, str]
JSON: Final[Headers] = {"content-type": "application/json"}

PUSH: Final[dict[str, Any]] = {
    "ref": "refs/heads/main",
    "after": "1" * 40,
    "repository": {"full_name": "acme/web"},
    "pusher": {"name": "ann"},
    "commits": [{"message": "Repair the door"}, {"message": "Paint it"}],
}


def hex_hmac(secret: str, signed: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), signed, algorithm).hexdigest()


def github(body: bytes, event: str = "push", delivery: str = "guid-1", secret: str = GITHUB) -> Headers:
    return JSON | {
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": f"sha256={hex_hmac(secret, body)}",
    }


def stripe(body: bytes, secret: str = STRIPE, at: float | None = None) -> Headers:
    moment = int(time.time() if at is None else at)
    return JSON | {"stripe-signature": f"t={moment},v1={hex_hmac(secret, f'{moment}.'.encode() + body)},v0=6ff"}


def slack(body: bytes, secret: str = SLACK, at: float | None = None, content_type: str = "") -> Headers:
    moment = int(time.time() if at is None else at)
    return {
        "content-type": content_type or "application/json",
        "x-slack-request-timestamp": str(moment),
        "x-slack-signature": f"v0={hex_hmac(secret, f'v0:{moment}:'.encode() + body)}",
    }


def standard(body: bytes, message_id: str = "msg_1", at: float | None = None) -> Headers:
    """By the library of the specification."""
    moment = datetime.fromtimestamp(int(time.time() if at is None else at), UTC)
    return JSON | {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(STANDARD).sign(message_id, moment, body.decode()),
    }


def standard_asymmetric(body: bytes, message_id: str = "msg_1", at: float | None = None) -> Headers:
    moment = int(time.time() if at is None else at)
    signature = base64.b64encode(PRIVATE_KEY.sign(f"{message_id}.{moment}.".encode() + body)).decode()
    return JSON | {
        "webhook-id": message_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": f"v1,Zm9v v1a,{signature}",
    }


def shop(body: bytes, message_id: str = "o-1", topic: str = "orders.created", at: float | None = None) -> Headers:
    moment = int(time.time() if at is None else at)
    digest = hmac.new(SHOP.encode(), f"{moment}.".encode() + body, hashlib.sha512).digest()
    return JSON | {
        "x-shop-hmac": f"v={base64.b64encode(digest).decode()}",
        "x-shop-time": str(moment),
        "x-shop-id": message_id,
        "x-shop-topic": topic,
    }


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()
