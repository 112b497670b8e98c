"""The commands of webhook endpoints, in a process of their own, beside a web process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.redis.layout import LayoutRecord
from slipway.settings import Settings
from tests.environment import PYTHON_PATH, bare_environment
from tests.http.conftest import Served
from tests.shards import shards_of
from tests.switches.test_commands import EXECUTE, CommandLine
from tests.webhook_endpoints.test_routes import URL, client, graphs, project, served, settings

__all__ = ["client", "graphs", "project", "served", "settings"]

pytestmark = pytest.mark.processes
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def slipway(settings: Settings, valkey_url: str, served: Served, project: Path) -> AsyncIterator[CommandLine]:
    await LayoutRecord(served.services.pipeline, shards_of(served.services.keys)).check_or_upgrade()
    env = {"SLIPWAY_REDIS_URL": valkey_url, "SLIPWAY_KEY_PREFIX": settings.key_prefix, "SLIPWAY_CONFIG": str(project)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        EXECUTE,
        env=bare_environment() | env | {"PYTHONPATH": PYTHON_PATH, "SLIPWAY_LOG_LEVEL": "error", "HOOK_SECRET": SECRET},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield CommandLine(process)
    finally:
        process.kill()
        await process.wait()


async def test_an_administrator_adds_rotates_and_removes_an_endpoint(slipway: CommandLine, served: Served) -> None:
    assert await slipway("webhooks", "list") == (0, "there is no webhook endpoint")
    code, text = await slipway("webhooks", "add", URL, "--type", "run.*", "--graph", "steps", "--by", "ann", "--json")
    added = json.loads(text)
    assert (code, added["types"], added["graphs"], added["created_by"]) == (0, ["run.*"], ["steps"], "ann")
    assert (added["secret"], added["keys"][0]["kind"]) == (None, "v1a")
    one = added["endpoint_id"]
    assert [each.endpoint_id for each in await served.services.webhook_endpoints.all()] == [one]

    code, text = await slipway("webhooks", "list")
    assert code == 0
    assert text.splitlines()[1].split()[:2] == [one, "enabled"]
    code, text = await slipway("webhooks", "update", one, "--graph", "", "--type", "review.due", "--json")
    assert (code, json.loads(text)["graphs"], json.loads(text)["types"]) == (0, None, ["review.due"])
    code, text = await slipway("webhooks", "rotate", one, "--secret-env", "HOOK_SECRET", "--overlap-h", "1")
    assert (code, SECRET in text, "secret:" in text) == (0, False, False)
    assert (await served.services.webhook_endpoints.get(one)).keys[0].secret == SECRET
    code, text = await slipway("webhooks", "rotate", one, "--key-kind", "v1")
    assert "secret: whsec_" in text
    code, text = await slipway("webhooks", "show", one)
    assert (code, "whsec_" in text, text.count("key: v1")) == (0, False, 2)
    code, text = await slipway("webhooks", "test", one)
    assert (code, text.startswith("msg_")) == (0, True)
    code, text = await slipway("webhooks", "disable", one, "--reason", "noise", "--by", "ann")
    assert "disabled_reason: disabled by ann: noise" in text
    assert (await slipway("webhooks", "test", one))[0] == 1
    assert (await slipway("webhooks", "enable", one))[0] == 0
    assert await slipway("webhooks", "remove", one) == (0, f"webhook endpoint {one} is removed")
    assert (await slipway("webhooks", "show", one))[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", URL),
        ("add", URL, "--type", "run"),
        ("add", "http://hooks.example.com/", "--type", "*"),
        ("add", URL, "--type", "*", "--secret-env", "NOT_SET"),
        ("add", URL, "--type", "*", "--owner", ""),
        ("add", "/threads/t/copy", "--type", "*"),
        ("rotate", "we_0"),
        ("remove", "we_0"),
    ],
)
async def test_what_is_not_possible_has_an_exit_code(slipway: CommandLine, arguments: tuple[str, ...]) -> None:
    assert (await slipway("webhooks", *arguments))[0] == 1
    assert await slipway("webhooks", "list", "--json") == (0, "")


@pytest.mark.parametrize("command", ["list", "replay"])
async def test_deliveries_of_nothing_that_exists_have_an_exit_code(slipway: CommandLine, command: str) -> None:
    assert (await slipway("deliveries", command, "--endpoint", "we_nope"))[0] == 1
    assert (await slipway("deliveries", command, "--run", "zz"))[0] == 1
    assert (await slipway("deliveries", command, "--run", "0" * 8 + "-0000" * 3 + "-" + "0" * 12))[0] == 0


async def test_an_endpoint_of_one_owner_gets_the_events_of_all_only_if_that_is_said(slipway: CommandLine) -> None:
    """`--owner ''` may come from a variable that is not set."""
    _, text = await slipway("webhooks", "add", URL, "--type", "run.*", "--owner", "acme", "--json")
    one = json.loads(text)["endpoint_id"]
    _, before = await slipway("webhooks", "show", one, "--json")
    code, error = await slipway("webhooks", "update", one, "--owner", "")
    assert (code, error[:36]) == (1, "slipway: --owner: is empty: name an ")
    code, error = await slipway("webhooks", "update", one, "--owner", "b", "--all-owners")
    assert (code, error) == (2, "slipway: --all-owners: is not possible beside --owner")
    code, error = await slipway("webhooks", "update", one)
    assert (code, error[:36]) == (2, "slipway: nothing to change is named:")
    assert (await slipway("webhooks", "show", one, "--json"))[1] == before
    code, text = await slipway("webhooks", "update", one, "--all-owners", "--json")
    assert (code, json.loads(text)["owner"]) == (0, None)


async def test_errors_name_options(slipway: CommandLine) -> None:
    _, text = await slipway("webhooks", "add", URL, "--type", "run.*", "--json")
    one = json.loads(text)["endpoint_id"]
    code, error = await slipway("webhooks", "rotate", one, "--overlap-h", "721")
    assert (code, error) == (1, "slipway: --overlap-h: must be between 0 and 2592000 seconds (720 hours)")
    code, error = await slipway("webhooks", "update", one, "--type", "run")
    assert (code, error.partition(";")[0]) == (1, "slipway: --type: unknown type 'run'")
