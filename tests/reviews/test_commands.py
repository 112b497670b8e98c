"""`slipway reviews`: lists, shows and decides."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from slipway.cli import cli
from slipway.commands import reviews
from slipway.commands.lists import text_table
from slipway.graphs.registry import Registry
from slipway.redis.layout import LayoutRecord
from slipway.settings import Settings
from slipway_workers.duties.reviews import Reviews
from tests.reviews.waiting_runs import processes, wait_with_questions
from tests.shards import shards_of

THREE = '{"kind": "answer", "value": 3}'


def test_a_table_obeys_no_text_that_a_graph_has_written() -> None:
    table = text_table([("asks", "by"), ("Pay?\x1b[2J\nreview-2  approved\u202e", "ann")])
    assert table.splitlines()[1:] == [r"Pay?\x1b[2J\nreview-2  approved\u202e  ann"]


async def test_reviews_are_listed_and_decided_with_commands(
    settings: Settings, graphs: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "load_settings_and_logs", lambda command, config: settings)

    async def command(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["reviews", *arguments])

    async with processes(settings, graphs, 1) as (services,):
        await LayoutRecord(services.pipeline, shards_of(services.keys)).check_or_upgrade()
        (review,) = (await wait_with_questions(services, "How many?")).reviews
        assert (await command("--newest", "--due")).exit_code == 2
        listed = await command("--state", "open", "--due", "--json")
        assert json.loads(listed.stdout)["review_id"] == review.review_id
        assert "How many?" in (await command()).stdout
        claimed = await command("claim", review.review_id, "--by", "carl")
        assert (claimed.exit_code, "claimed" in claimed.stdout) == (0, True), claimed.output
        for wrong, problem in (
            ("approve", "is not an allowed decision; choose one of: answer"),
            (THREE, "is claimed by carl"),
        ):
            rejected = await command("decide", review.review_id, wrong, "--by", "dora")
            assert (rejected.exit_code, problem in rejected.stderr) == (1, True), rejected.output
        decided = await command("decide", review.review_id, THREE, "--by", "carl")
        assert (decided.exit_code, "held" in decided.stdout) == (0, True), decided.output
        await Reviews(services).run_once()
        shown = json.loads((await command("show", review.review_id)).stdout)
        assert (shown["state"], shown["decision"]["by"]) == ("decided", ["carl"])
        again = await command("decide", review.review_id, THREE)
        assert (again.exit_code, "was decided by carl" in again.stderr) == (1, True)
