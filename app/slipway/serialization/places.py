"""The places of encrypted values: what each is authenticated with, so that it cannot be read anywhere else.

A place names the kind of the value and, where no script copies the value to another record, that record. Values of the
places without a record are copied by scripts: the record of a thread to its copy, the decision of a review to the next
review of the same question, the user of a run to the next run of its chain. Checkpoints are copied with their thread,
and have the empty place.
"""

from __future__ import annotations

from typing import Final

THREAD: Final = b"thread"
"""Values, interrupts, error and config of a thread, which a delivery has too."""
USER: Final = b"user"
"""The user of a run."""
DECISION: Final = b"decision"
"""What people decided in a review."""
DIGEST_KEY: Final = b"digest key"
"""The key of keyed digests."""


def run_place(run_id: str) -> bytes:
    """The options and the error of a run."""
    return b"run:" + run_id.encode()


def log_place(run_id: str) -> bytes:
    """The frames and the result in the event log of a run."""
    return b"log:" + run_id.encode()


def trace_place(run_id: str) -> bytes:
    """The spans of a run."""
    return b"trace:" + run_id.encode()


def audit_place(run_id: str) -> bytes:
    """The details in the audit trail of a run."""
    return b"audit:" + run_id.encode()


def question_place(run_id: str) -> bytes:
    """The questions of a run."""
    return b"question:" + run_id.encode()


def approval_place(thread_id: str) -> bytes:
    """What people decided about calls of tools of a thread, instead of an approval."""
    return b"approval:" + thread_id.encode()


def item_place(namespace: str, key: str) -> bytes:
    """An item of the store. A namespace has no line feed."""
    return b"item:%b\n%b" % (namespace.encode(), key.encode())


def vectors_place(namespace: str, key: str) -> bytes:
    """The vectors of an item."""
    return b"vectors:%b\n%b" % (namespace.encode(), key.encode())


def cron_place(cron_id: str) -> bytes:
    """The payload and the request of a cron."""
    return b"cron:" + cron_id.encode()


def endpoint_place(endpoint_id: str) -> bytes:
    """The signing keys of a webhook endpoint."""
    return b"endpoint:" + endpoint_id.encode()


def delivery_place(delivery_id: str) -> bytes:
    """The body of a webhook, and the records of the tries to deliver it."""
    return b"delivery:" + delivery_id.encode()


def assistant_place(assistant_id: str) -> bytes:
    """Config and context of an assistant."""
    return b"assistant:" + assistant_id.encode()


def ticket_place(digest: str) -> bytes:
    """The path and the user of a ticket for a stream."""
    return b"ticket:" + digest.encode()


def hook_place(delivery: str) -> bytes:
    """What a hook has received, and the answer."""
    return b"hook:" + delivery.encode()
