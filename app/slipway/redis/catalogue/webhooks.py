"""The keys of webhook deliveries."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_DELIVERY_FIELDS: Final = (
    Field("*", Encoding.BYTES, "Every field of the run's record, as it was when the run ended."),
    Field("body_status", Encoding.TEXT, "The status that the webhook's body reports."),
    Field("body_values", Encoding.JSON, "The values of the body.", absent="the thread was created for the run"),
    Field("body_interrupts", Encoding.JSON, "The interrupts of the body."),
    Field(
        "body_error",
        Encoding.JSON,
        "The error of the body, where it is not that of the record.",
        absent="it is that of the record",
    ),
    Field(
        "announcement",
        Encoding.JSON,
        "The whole body of a webhook that announces the change of a rollout; then there are no fields of a run.",
        absent="a run calls the webhook",
    ),
    Field("announcement_url", Encoding.TEXT, "The URL of such a webhook.", absent="a run calls the webhook"),
    Field("tries", Encoding.INTEGER, "How many tries were claimed."),
    Field(
        "uncounted_tries",
        Encoding.INTEGER,
        "How many of them made no call, because the auth file failed.",
        absent="none",
    ),
)

KEY_KINDS: Final = (
    KeyKind(
        "delivery",
        ":delivery:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning=(
            "A webhook that is to be sent: a copy of the run's record, made when it ended. The id is the "
            "run's, or `<run>@<created_at in µs>` while the delivery of a deleted run with the same id waits."
        ),
        lifetime="until the webhook was delivered, or is tried no more",
        python_readers=("slipway.webhooks",),
        fields=_DELIVERY_FIELDS,
    ),
    KeyKind(
        "deliveries",
        ":deliveries",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Deliveries whose webhook has a host, by due time in ms: workers send them.",
        lifetime="until they are settled",
    ),
    KeyKind(
        "internal_deliveries",
        ":deliveries:internal",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=("Deliveries whose webhook is a path of this deployment, by due time in ms: web processes send them."),
        lifetime="until they are settled",
    ),
)
