"""The keys of webhook deliveries."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard
from slipway.redis.catalogue.webhook_endpoints import HEALTH_FIELDS

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
        "delivery_state",
        Encoding.TEXT,
        "`pending`, `delivered`, or `dead`: nobody accepted it, and it is not tried again.",
        absent="it is pending, and an earlier release has created it",
    ),
    Field("enqueued_us", Encoding.TIME_US, "When it was created.", absent="as `delivery_state`"),
    Field("type", Encoding.TEXT, "The type of the event, such as `run.completed`.", absent="as `delivery_state`"),
    Field(
        "owner",
        Encoding.TEXT,
        "Who may see it beside operators: the `for_owner` of the endpoint, or the owner of the run that names the URL.",
        absent="only operators may see it",
    ),
    Field(
        "endpoint_id",
        Encoding.TEXT,
        "The endpoint that it goes to.",
        absent="a run, or a rollout, names the URL",
    ),
    Field(
        "body",
        Encoding.BYTES,
        "The bytes that each try sends, in their stored form.",
        absent="no try has made it yet",
    ),
    Field(
        "unbuilt",
        Encoding.FLAG,
        "Whether `body` is the thin body of an event whose endpoint wants full ones, which the first try makes.",
        absent="`body` is what is sent",
    ),
    Field(
        "full_data",
        Encoding.JSON,
        "What the full body has in `data` beside the members of the thin one, if a script has made it.",
        absent="it is made of the record of a run or of a review",
    ),
    Field(
        "review_*",
        Encoding.BYTES,
        "Fields of the record of the review that a full body shows, under their names there.",
        absent="it shows no review",
    ),
    Field("tries_before", Encoding.INTEGER, "How many tries there were before its last replay.", absent="none"),
    Field(
        "unparked",
        Encoding.FLAG,
        "Whether it may ask for a free call, although others of its target are parked in its shard.",
        absent="it was not parked, or there is one shard",
        scripts_only=True,
    ),
    Field("called_us", Encoding.TIME_US, "When the try in progress was claimed.", absent="no try is in progress"),
    Field("settled_try", Encoding.INTEGER, "The last try whose result was stored.", absent="none", scripts_only=True),
    Field("next_try_us", Encoding.TIME_US, "When the next try is due.", absent="at once, or there is none"),
    Field("settled_us", Encoding.TIME_US, "When it was delivered, or became a dead letter.", absent="it is pending"),
    Field("problem", Encoding.TEXT, "Why the last try failed.", absent="no try failed"),
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
            "A webhook that is sent. That of a run is a copy of the run's record, made when it ended; its id is the "
            "run's, or `<run>@<created_at in µs>` if there is a delivery of a deleted run with the same id. Others "
            "tell an event to an endpoint, or the change of a rollout."
        ),
        lifetime=(
            "until `SLIPWAY_DELIVERED_KEEP_S` after it was delivered, or `SLIPWAY_DEAD_LETTER_KEEP_S` after it became "
            "a dead letter"
        ),
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
    KeyKind(
        "delivery_tries",
        ":delivery:%s:tries",
        RedisType.LIST,
        Shard.THREAD,
        meaning="The last tries of a delivery, the oldest first: MessagePack, see `webhooks/try_record.py`.",
        lifetime="as the delivery",
        python_readers=("slipway.webhooks",),
    ),
    KeyKind(
        "deliveries_all",
        ":deliveries:all",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="All deliveries, by the time of creation in µs.",
        lifetime="each as long as its delivery",
        python_readers=("slipway.webhooks",),
    ),
    KeyKind(
        "deliveries_with",
        ":deliveries:with:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "Deliveries with one value, by the time of creation in µs: `pending`, `delivered`, `dead`, "
            "`endpoint:<id>`, `type:<type>`, `run:<id>`, `owner:<SHA-1 of the owner>`."
        ),
        lifetime="each as long as its delivery has the value",
        python_readers=("slipway.webhooks",),
    ),
    KeyKind(
        "deliveries_expiring",
        ":deliveries:expiring",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Deliveries that were delivered, and dead letters, by the time in ms when they are deleted.",
        lifetime="until they are deleted or replayed",
    ),
    KeyKind(
        "delivery_calls",
        ":delivery_calls:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "The deliveries that a target (the id of an endpoint, or `origin:<digest>`) receives now, by the time in "
            "ms when their claims end, if there is one shard."
        ),
        lifetime="until the last claim ends",
    ),
    KeyKind(
        "parked_deliveries",
        ":parked_deliveries:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Due deliveries that wait for a free call of their target, by due time in ms.",
        lifetime="until calls are free",
        python_readers=("slipway.webhooks",),
    ),
    KeyKind(
        "parked_targets",
        ":parked_targets",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The targets that have parked deliveries, by the time in ms when they are looked at again.",
        lifetime="until nothing is parked",
        python_readers=("slipway.webhooks",),
    ),
    KeyKind(
        "webhook_origin",
        ":webhook_origin:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning=(
            "The circuit breaker of an origin that runs name in their own webhooks, if there is one shard: the digest "
            "of the owner of the runs and of scheme, host and port."
        ),
        lifetime="until a call succeeds, or 7 days after the last one failed",
        python_readers=("slipway.webhooks",),
        fields=HEALTH_FIELDS,
    ),
    KeyKind(
        "target",
        ":target:%s",
        RedisType.HASH,
        Shard.TARGETS,
        meaning=(
            "The circuit breaker of a target (the id of an endpoint, or `origin:<digest>`) for the deliveries of "
            "several shards. With one shard it is in `webhook_endpoint` and `webhook_origin`."
        ),
        lifetime="until a call succeeds, or 90 days after the last one failed",
        python_readers=("slipway.webhooks", "slipway.webhook_endpoints"),
        fields=HEALTH_FIELDS,
    ),
    KeyKind(
        "target_calls",
        ":target_calls:%s",
        RedisType.ZSET,
        Shard.TARGETS,
        meaning=(
            "What a target receives now of several shards, as `<number of the try>:<delivery>`, by the time in ms when "
            "the lease of the call ends."
        ),
        lifetime="until the last lease ends",
    ),
    KeyKind(
        "target_waiting",
        ":target_waiting:%s",
        RedisType.ZSET,
        Shard.TARGETS,
        meaning="The numbers of the shards that have parked deliveries of a target, by the time in µs when they were "
        "named last for a free call, or since when they wait.",
        lifetime="2 hours after a delivery was parked",
    ),
    KeyKind(
        "delivery_looks",
        ":delivery_looks:%s",
        RedisType.ZSET,
        Shard.TARGETS,
        meaning=(
            "The numbers of the shards of threads, by the time in ms when one of the processes that read these queues "
            "looked for due deliveries there."
        ),
        lifetime="for ever",
    ),
)
