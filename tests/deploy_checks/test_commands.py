"""`slipway release` and `slipway check-deploy` in processes of their own, beside threads that wait."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.redis.layout import LAYOUT, LayoutRecord
from slipway.redis.layout_scripts import LayoutScripts
from tests.deploy_checks.conftest import Deployment, code
from tests.deploy_checks.test_verdicts_of_threads import MIGRATION, RENAMED
from tests.environment import PYTHON_PATH, bare_environment
from tests.shards import shards_of

pytestmark = pytest.mark.processes


async def slipway(deployment: Deployment, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Executes a command in the folder of a release."""
    env = bare_environment() | {"PYTHONPATH": PYTHON_PATH, "SLIPWAY_REDIS_URL": deployment.valkey_url}
    env |= {"SLIPWAY_KEY_PREFIX": deployment.keys.prefix, "SLIPWAY_LOG_LEVEL": "error"}
    command = [sys.executable, "-m", "slipway", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=path.parent, env=env, capture_output=True, text=True, timeout=50, check=False
    )


async def test_a_release_that_would_strand_a_thread_does_not_go_out_until_a_migration_is_added(
    deployment: Deployment,
) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    layout = LayoutRecord(deployment.pipeline, shards_of(deployment.keys))
    await LayoutScripts(deployment.pipeline, deployment.keys).raise_to(required=1, version=1, release="0.1.0", shards=1)

    renamed = deployment.write("renamed", {"1": RENAMED}, moves="at-resume")
    stopped = await slipway(deployment, renamed, "release")
    assert stopped.returncode == 1
    assert "hold node.removed: node 'review' is under way" in stopped.stdout
    assert "1 threads: asked" in stopped.stdout
    assert "desk@1 (executed with other code" in stopped.stdout, "the version has other code under the same name"
    assert "1 stored threads could not continue" in stopped.stderr
    assert (await layout.read()).required == 1, "processes of the release before continue"

    migrated = deployment.write("migrated", {"1": code(), "2": RENAMED}, moves="at-resume", migrations=MIGRATION)
    passed = await slipway(deployment, migrated, "release")
    assert passed.returncode == 0, passed.stderr
    assert "1 threads: 0 continue, 1 migrate, 0 hold" in passed.stdout
    assert passed.stdout.endswith("settings, Redis and graphs are ready to serve\n")
    await layout.check()


async def test_holds_are_allowed_by_name_and_json_lists_every_thread(deployment: Deployment) -> None:
    old = await deployment.release("old", {"1": code()})
    await deployment.deploy(old)
    await deployment.thread("asked", old)
    await LayoutScripts(deployment.pipeline, deployment.keys).raise_to(
        required=LAYOUT, version=LAYOUT, release="0.2.0", shards=1
    )
    renamed = deployment.write("renamed", {"1": RENAMED})
    allowed = await slipway(deployment, renamed, "check-deploy", "--json", "--allow-hold", "node.removed")
    assert allowed.returncode == 0, allowed.stderr
    line = json.loads(allowed.stdout)
    assert (line["thread_id"], line["verdict"], line["target"]) == ("asked", "hold", "1")
    assert line["reasons"][0]["code"] == "node.removed"
    assert "threads checked: 1 of 1" in allowed.stderr
    old_version = deployment.write("later", {"2": RENAMED})
    differs = await slipway(deployment, old_version, "graph", "diff", "desk@1", "desk@2")
    assert differs.returncode == 1, differs.stderr
    assert differs.stdout.startswith("desk@1 → desk@2:\n  can hold stored threads:\n    node 'review' is removed")
    unknown = await slipway(deployment, renamed, "check-deploy", "--allow-hold", "node.remove")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "did you mean 'node.removed'" in unknown.stderr
