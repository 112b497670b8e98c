"""The keys of reviews."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_OPENING: Final = ("slipway.reviews.opening",)
_RULES: Final = ("slipway.reviews",)

_REVIEW_FIELDS: Final = (
    Field("run_id", Encoding.TEXT, "The run that asks.", python_writers=_OPENING),
    Field("thread_id", Encoding.TEXT, "Its thread.", python_writers=_OPENING),
    Field("graph_id", Encoding.TEXT, "Its graph.", python_writers=_OPENING),
    Field("node", Encoding.TEXT, "The node that asks, or in which a subgraph does.", python_writers=_OPENING),
    Field("interrupt_id", Encoding.TEXT, "The interrupt.", python_writers=_OPENING),
    Field("question", Encoding.JSON, "The interrupt as clients receive it, in its stored form."),
    Field("digest", Encoding.TEXT, "A digest of the question.", scripts_only=True),
    Field("policy", Encoding.JSON, "Its policy, without members that have default values.", python_writers=_OPENING),
    Field(
        "owner",
        Encoding.TEXT,
        "To whom the run belongs: the owner of its user, else the user's identity.",
        absent="access is not controlled",
        python_writers=_OPENING,
    ),
    Field(
        "restricted_to",
        Encoding.TEXT,
        "The owner of the run's user: the only owner who can see the review.",
        absent="the user has no owner",
        python_writers=_OPENING,
    ),
    Field(
        "started_by",
        Encoding.TEXT,
        "The identity of the user who started the chain.",
        absent="there is no auth file",
        python_writers=_OPENING,
    ),
    Field("call", Encoding.TEXT, "The key of the call.", absent="no gateway asks", python_writers=_OPENING),
    Field("hash", Encoding.TEXT, "The hash of the call.", absent="no gateway asks", python_writers=_OPENING),
    Field("edited_by", Encoding.TEXT, "Who edited the call.", absent="nobody did"),
    Field("state", Encoding.TEXT, "`open`, `claimed`, `held`, `decided`, `expired` or `superseded`."),
    Field("was", Encoding.TEXT, "The state before it ended.", absent="it has not ended", scripts_only=True),
    Field("revision", Encoding.INTEGER, "How many times it was changed."),
    Field("request", Encoding.TEXT, "A random text of the last change.", absent="none was", scripts_only=True),
    Field("created_us", Encoding.TIME_US, "When the question was asked."),
    Field("updated_us", Encoding.TIME_US, "When it was changed last."),
    Field(
        "due_us",
        Encoding.TIME_US,
        "After this time nobody can decide it.",
        absent="it has no due time",
        python_writers=_OPENING,
    ),
    Field("remind_us", Encoding.TIME_US, "The next reminder.", absent="its policy has none", python_writers=_OPENING),
    Field(
        "escalate_us",
        Encoding.TIME_US,
        "When more groups may decide.",
        absent="none will, or they may already",
        python_writers=_OPENING,
    ),
    Field(
        "follow_up_us",
        Encoding.TIME_US,
        "When requested information is looked for.",
        absent="none was requested",
        python_writers=_RULES,
    ),
    Field("assignee", Encoding.TEXT, "Who claimed it.", absent="nobody did", python_writers=_RULES),
    Field("groups", Encoding.JSON, "Whose members may decide.", absent="everybody may", python_writers=_OPENING),
    Field("votes", Encoding.JSON, "What single people decided.", absent="nobody did", python_writers=_RULES),
    Field("decision", Encoding.JSON, "The decision, and who made it.", absent="there is none", python_writers=_RULES),
    Field("answer", Encoding.JSON, "What the interrupt gets, in its stored form.", absent="there is no decision"),
    Field("expires", Encoding.FLAG, "The decision is the default action.", absent="it is not", python_writers=_RULES),
    Field("reminders", Encoding.INTEGER, "How many reminders there were.", absent="none", python_writers=_RULES),
    Field("reminded_us", Encoding.TIME_US, "The last reminder.", absent="there was none", python_writers=_RULES),
    Field("resumed_by", Encoding.TEXT, "The run that continued the thread.", absent="none has"),
    Field("reason", Encoding.TEXT, "Why it ended.", absent="it has not ended"),
    Field("asked_before", Encoding.TEXT, "The review of the same question of the run before.", absent="none"),
    Field("terms", Encoding.TEXT, "Its index terms, 20 characters each."),
)

KEY_KINDS: Final = (
    KeyKind(
        "review",
        ":review:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The record of a review. Its id consists of a run id, a colon and an interrupt id.",
        lifetime="deleted with its run",
        python_readers=("slipway.reviews",),
        fields=_REVIEW_FIELDS,
    ),
    KeyKind(
        "reviews",
        ":reviews",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="All reviews, by created_at in µs.",
        lifetime="while there are reviews",
        python_readers=("slipway.reviews", "slipway.health"),
    ),
    KeyKind(
        "reviews_with",
        ":reviews:with:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "The reviews in one state, or with one index term (a graph, an assignee or a group), by created_at in µs."
        ),
        lifetime="while there are such reviews",
        python_readers=("slipway.reviews", "slipway.health"),
    ),
    KeyKind(
        "reviews_by_due",
        ":reviews:by_due",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Reviews that are open or claimed, by due_at in µs. Those without one follow: 4e15 plus created_at.",
        lifetime="while there are such reviews",
        python_readers=("slipway.reviews", "slipway.health"),
    ),
    KeyKind(
        "reviews_of_graph",
        ":reviews:of_graph:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The same reviews with the same scores, those of one graph.",
        lifetime="while there are such reviews",
        python_readers=("slipway.health",),
    ),
    KeyKind(
        "reviews_due",
        ":reviews:due",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Undecided reviews, by the first of their times in ms: due, reminder, escalation, follow-up.",
        lifetime="while there are such reviews",
        python_readers=("slipway.reviews", "slipway.health"),
    ),
    KeyKind(
        "reviews_ready",
        ":reviews:ready",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The runs whose questions all have answers and which are to be resumed, by the time in ms.",
        lifetime="until they are resumed",
        python_writers=("slipway.reviews",),
        python_readers=("slipway.reviews",),
    ),
    KeyKind(
        "thread_approvals",
        ":thread:%s:approvals",
        RedisType.HASH,
        Shard.THREAD,
        meaning="By key of a call of a tool: what people decided about it.",
        lifetime="until the chain completes",
        fields=(
            Field(
                "*",
                Encoding.MSGPACK,
                "By the key of a call: `hash`, `count`, `by` (names), `review_id`, perhaps `edited_by` and"
                " `edited_hash`. By the key, a colon and a hash: what was decided instead of an approval, as JSON.",
                scripts_only=True,
            ),
        ),
    ),
    KeyKind(
        "review_notifications",
        ":reviews:notifications",
        RedisType.CHANNEL,
        shard=None,
        meaning="The id of each review that is opened, changed or deleted.",
        python_readers=("slipway.reviews",),
    ),
)
