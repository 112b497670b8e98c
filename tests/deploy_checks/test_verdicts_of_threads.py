"""What a deploy check says about threads that an older release has executed."""

from __future__ import annotations

import json

import pytest

from slipway.commands.check_deploy import report_of
from slipway.graphs.verdict import VerdictKind
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.deploy_checks.conftest import Deployment, code

CONTINUES = "continue"
RENAMED = code(node="human_review")
MIGRATION = """
    from slipway.migrations import migration

    @migration(from_version="1", to_version="2")
    def rename(stored):
        stored.rename_node("review", "human_review")
        return stored
"""


async def test_the_same_code_continues_and_reads_only_the_record(deployment: Deployment) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    same = await deployment.release("new", {"1": code(), "2": RENAMED}, moves="pinned")
    checked = await deployment.check(same)
    assert checked.said("asked") == (CONTINUES, "1", [])
    assert checked.report.held == 0


async def test_a_plain_deploy_that_renames_the_node_that_asks_is_held(deployment: Deployment) -> None:
    old = await deployment.release("old", code())
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    await deployment.thread("ended", old, answer="yes", status="idle")
    renamed = await deployment.release("new", RENAMED)
    checked = await deployment.check(renamed)
    name = renamed.graphs.default_version("desk")
    assert checked.said("asked") == ("hold", name, ["node.removed"])
    assert checked.said("ended") == (CONTINUES, name, [])
    assert checked.report.held == 1
    text = "\n".join(checked.report.lines())
    assert text.startswith("2 threads: 1 continue, 0 migrate, 1 hold\n")
    assert "hold node.removed: node 'review' is under way" in text
    assert "1 threads: asked" in text


@pytest.mark.parametrize("moves", ["pinned", "at-next-run", "at-resume"])
async def test_the_first_declared_version_continues_threads_of_equal_code(deployment: Deployment, moves: str) -> None:
    old = await deployment.release("old", code())
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    new = await deployment.release("new", {"1": code(), "2": RENAMED}, moves=moves)
    assert (await deployment.check(new)).said("asked")[:2] == (CONTINUES, "1")


async def test_changed_code_under_the_same_name_is_compared(deployment: Deployment) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    new = await deployment.release("new", {"1": RENAMED})
    assert (await deployment.check(new)).said("asked") == ("hold", "1", ["node.removed"])


@pytest.mark.parametrize(
    ("moves", "status", "answer", "expected"),
    [
        ("pinned", "idle", "yes", ("hold", "", ["version.unserved"])),
        ("at-next-run", "interrupted", None, ("hold", "", ["version.unserved"])),
        ("at-next-run", "busy", "yes", ("hold", "", ["version.unserved"])),
        ("at-next-run", "idle", "yes", (CONTINUES, "2", [])),
        ("at-next-run", "error", None, (CONTINUES, "2", [])),
        ("at-resume", "interrupted", None, ("hold", "2", ["node.removed"])),
        ("at-resume", "idle", "yes", (CONTINUES, "2", [])),
    ],
)
async def test_a_version_that_is_not_served_any_more(
    deployment: Deployment, moves: str, status: str, answer: str | None, expected: tuple[str, str, list[str]]
) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("thread", old, status=status, answer=answer)
    new = await deployment.release("new", {"2": RENAMED}, moves=moves)
    assert (await deployment.check(new)).said("thread") == expected


async def test_a_migration_is_called_with_the_stored_state_and_nothing_is_stored(
    deployment: Deployment, pipeline: Pipeline, keys: Keys
) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    before = await contents(pipeline, keys)
    new = await deployment.release("new", {"1": code(), "2": RENAMED}, moves="at-resume", migrations=MIGRATION)
    checked = await deployment.check(new)
    assert checked.said("asked") == ("migrate", "2", ["node.removed"])
    assert checked.report.held == 0
    assert await contents(pipeline, keys) == before


async def test_a_migration_that_fails_holds_also_if_the_version_is_served(deployment: Deployment) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    failing = MIGRATION.replace("return stored", "return stored.values['nothing']")
    new = await deployment.release("new", {"1": code(), "2": RENAMED}, moves="at-resume", migrations=failing)
    checked = await deployment.check(new)
    assert checked.said("asked")[0:2] == ("hold", "2")
    assert checked.said("asked")[2][0] == "migration.failed"
    assert "migrations.py:" in "\n".join(checked.report.lines())


async def test_a_thread_that_cannot_move_stays_on_its_version_if_that_is_served(deployment: Deployment) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    new = await deployment.release("new", {"1": code(), "2": RENAMED}, moves="at-resume")
    checked = await deployment.check(new)
    assert checked.said("asked") == (CONTINUES, "1", ["node.removed"])
    assert checked.report.held == 0


async def contents(pipeline: Pipeline, keys: Keys) -> dict[bytes, bytes]:
    names = await pipeline.send("KEYS", f"{keys.prefix}*")
    return {name: await pipeline.send("DUMP", name) for name in names}


async def test_an_older_version_takes_a_thread_only_if_a_rollout_names_it(deployment: Deployment) -> None:
    both = await deployment.release("both", {"1": code(), "2": RENAMED})
    await deployment.deploy(both)
    await deployment.thread("newer", both, "2", answer="yes", status="idle")
    back = await deployment.release("back", {"1": code()}, moves="at-resume")
    assert (await deployment.check(back)).said("newer") == ("hold", "", ["version.older"])


async def test_threads_of_a_release_without_versions_are_compared_without_their_structure(
    deployment: Deployment,
) -> None:
    old = await deployment.release("old", code())
    await deployment.thread("asked", old, pinned=False)
    same = await deployment.release("same", code())
    assert (await deployment.check(same)).said("asked")[0] == CONTINUES
    new = await deployment.release("new", {"1": RENAMED})
    assert (await deployment.check(new)).said("asked") == ("hold", "1", ["node.removed"])


async def test_a_lost_value_holds_and_may_be_allowed_by_its_code_or_its_graph(deployment: Deployment) -> None:
    old = await deployment.release("old", code())
    await deployment.deploy(old)
    await deployment.thread("ended", old, answer="yes", status="idle")
    new = await deployment.release("new", code(key="total"))
    checked = await deployment.check(new)
    assert checked.said("ended")[2] == ["channel.removed"]
    assert checked.report.held == 1
    assert (await deployment.check(new, "channel.removed")).report.held == 0
    assert (await deployment.check(new, "desk")).report.held == 0
    assert (await deployment.check(new, "node.removed", "other")).report.held == 1


async def test_a_graph_that_is_gone_holds_and_threads_without_a_graph_do_not(deployment: Deployment) -> None:
    await deployment.record("gone", status="idle", version="1", graph_id="other")
    await deployment.pipeline.send("HSET", deployment.keys.thread("empty"), "created_us", "1", "status", "idle")
    await deployment.pipeline.send("ZADD", deployment.keys.threads, 1, "empty")
    checked = await deployment.check(await deployment.release("new", code()))
    assert checked.said("gone") == ("hold", "", ["graph.removed"])
    assert checked.report.read == 2
    assert checked.report.count(VerdictKind.CONTINUE) == 0


async def test_a_damaged_checkpoint_holds_its_thread_only(deployment: Deployment) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("fine", old)
    await deployment.thread("damaged", old)
    state = f"{deployment.keys.prefix}:cp:damaged:s"
    for field in await deployment.pipeline.send("HKEYS", state):
        if field.startswith(b"c"):
            head = await deployment.pipeline.send("HGET", state, field)
            await deployment.pipeline.send("HSET", state, field, head[:-8] + b"\xff" * 8)
    new = await deployment.release("new", {"1": code(node="other")})
    checked = await deployment.check(new)
    assert checked.said("damaged") == ("hold", "1", ["checkpoint.damaged"])
    assert checked.said("fine") == ("hold", "1", ["node.removed"])


async def test_a_check_needs_no_permission_to_write(deployment: Deployment, valkey_url: str) -> None:
    """A user of Redis that may only read: every command that writes, also inside a script, would be rejected."""
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    new = await deployment.release("new", {"1": code(), "2": RENAMED}, moves="at-resume", migrations=MIGRATION)
    rules = ("on", ">secret", "~*", "&*", "-@all", "+@read", "+@connection", "+eval", "+evalsha", "+script|load")
    await deployment.pipeline.send("ACL", "SETUSER", "reader", *rules, "+info", "+time")
    try:
        address = valkey_url.removeprefix("unix://")
        checked = await deployment.check(new, url=f"unix://reader:secret@{address}")
    finally:
        await deployment.pipeline.send("ACL", "DELUSER", "reader")
    assert checked.said("asked") == ("migrate", "2", ["node.removed"])


async def test_a_migration_from_a_version_that_nobody_knows_is_a_warning(deployment: Deployment) -> None:
    """A chain may lead through a version that was never served."""
    migrations = MIGRATION.replace('"1"', '"frist"').replace('"2"', '"third"') + (
        MIGRATION.replace("def rename", "def to_second").replace('"1"', '"first"').replace('"2"', '"second"')
        + MIGRATION.replace("def rename", "def to_third").replace('"1"', '"second"').replace('"2"', '"third"')
    )
    new = await deployment.release("new", {"third": RENAMED}, migrations=migrations)
    assert (await deployment.check(new)).report.warnings == [], "nobody knows the versions of a graph that is new"
    await deployment.deploy(await deployment.release("old", {"first": code()}))
    lines, held = await report_of(new.settings, new.graphs, ())
    (line,) = lines
    assert held == 0
    assert line.startswith(f"warning: {deployment.folder}/new/migrations.py:4: migration rename carries no thread: ")
    assert "version 'frist' of graph 'desk', and no process has ever served it (known: first, third); did you" in line
    (text,), _ = await report_of(new.settings, new.graphs, (), as_json=True)
    found = json.loads(text)
    assert (found["warning"], found["from_version"], found["line"]) == ("migration.version_unknown", "frist", 4)
