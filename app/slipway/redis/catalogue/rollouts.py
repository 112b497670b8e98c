"""The keys of rollouts."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_ROLLOUT_FIELDS: Final = (
    Field("*", Encoding.JSON, "By graph: which version its threads get, which one is ramping, who changed it and why."),
)

_COUNT_FIELDS: Final = (
    Field("ramp", Encoding.TEXT, "The id of the ramp to which the counts belong."),
    Field("looks", Encoding.INTEGER, "How often the versions have been compared.", absent="never"),
    Field("threads:*", Encoding.INTEGER, "By version: the new threads that got it.", absent="none"),
    Field(
        "ended:*",
        Encoding.INTEGER,
        "By outcome and version (`ended:OUTCOME:VERSION`): runs that `succeeded` (completed, or asked a question), that"
        " `failed`, and that failed by a ceiling (`ceilings`).",
        absent="none",
    ),
    Field(
        "ms:*",
        Encoding.INTEGER,
        "By version and bucket (`ms:VERSION:BUCKET`): runs that succeeded, by their duration. Bucket n is for 1.1ⁿ to"
        " 1.1ⁿ⁺¹ ms.",
        absent="none",
    ),
)

_LAST_FIELDS: Final = (
    Field("*", Encoding.INTEGER, "The fields of the counts of the ramp, under their names."),
    Field("ended", Encoding.JSON, "The versions and the weight of the ramp, and when, how, by whom and why it ended."),
)

KEY_KINDS: Final = (
    KeyKind(
        "rollouts",
        ":rollouts",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The rollouts of graphs.",
        lifetime="until they are cleared",
        python_readers=("slipway.rollouts",),
        fields=_ROLLOUT_FIELDS,
    ),
    KeyKind(
        "rollout_changes",
        ":rollouts:changes",
        RedisType.CHANNEL,
        shard=None,
        meaning="The graph whose rollout was changed.",
        python_readers=("slipway.rollouts",),
    ),
    KeyKind(
        "rollout_history",
        ":rollouts:history:%s",
        RedisType.LIST,
        Shard.THREAD,
        meaning="The last 1,000 changes of the rollout of a graph, the oldest first, as JSON.",
        lifetime="for ever",
        python_readers=("slipway.rollouts",),
    ),
    KeyKind(
        "rollout_counts",
        ":rollouts:counts:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="By graph: what the runs of its versions did since a version began to ramp.",
        lifetime="while a version is ramping",
        python_readers=("slipway.rollouts",),
        fields=_COUNT_FIELDS,
    ),
    KeyKind(
        "rollout_last",
        ":rollouts:last:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="By graph: the counts of the last ramp, and how it ended.",
        lifetime="from the end of a ramp until the next one begins",
        python_readers=("slipway.rollouts",),
        fields=_LAST_FIELDS,
    ),
)
