"""The two transcripts of docs/go-live.md are what `slipway doctor` prints about the example project."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from slipway.processes.child_commands import slipway
from tests.crash.cluster import START_WITHIN_S, Cluster, running
from tests.embedded_valkey import embedded_valkey
from tests.environment import bare_environment
from tests.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.one_python, pytest.mark.timeout(120)]

_NEEDED: Final = frozenset({"CI", "HOME", "LANG", "PATH", "STRICT_SLIPWAY_LOGS", "TMPDIR"})
"""Variables of the environment that processes of the test have."""

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = ROOT / "docs" / "go-live.md"

_DIFFERS: Final = (
    (r"(redis\.version  )\S+", r"\1VERSION"),
    (r"(redis\.connections  )\d+", r"\1N"),
    (r"(differ by )\d+\.\d+", r"\1N"),
    (r"@[0-9a-f]{8}", "@VERSION"),
    (r"(execute Slipway )[\w.+-]+", r"\1VERSION"),
    (r"\bof \d+ stored values", "of N stored values"),
    (r"\d+ min ago", "N min ago"),
)
"""What depends on the day, the machine and the release."""


def same(transcript: str) -> str:
    """The transcript without what differs."""
    for pattern, replacement in _DIFFERS:
        transcript = re.sub(pattern, replacement, transcript)
    return transcript.strip()


def transcripts() -> list[str]:
    """Those of the page: red, green."""
    return re.findall(r"^```text\n(State now.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what projects that earlier tests have loaded put into the environment: the doctor names their secrets."""
    for name in os.environ.keys() - _NEEDED:
        if not name.startswith("PYTEST"):
            monkeypatch.delenv(name)


async def test_the_red_one() -> None:
    with embedded_valkey("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru") as url:
        environment = {
            "SLIPWAY_REDIS_URL": url,
            "SLIPWAY_HOST": "0.0.0.0",
            "SLIPWAY_REQUIRE_KEYS": "0",
            "SLIPWAY_LOG_FORMAT": "text",
            "SLIPWAY_EVENT_TTL_S": "2592000",
        }
        printed = await asyncio.to_thread(
            lambda: subprocess.run(
                slipway("doctor"),
                cwd=ROOT,
                env=bare_environment() | environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        )
    assert printed.returncode == 1, printed.stderr
    assert same(printed.stdout) == same(transcripts()[0])


def ready_project(folder: Path) -> Path:
    """The example project with policies that say who decides in which time, a time to live of threads, and one accepted
    risk."""
    document: dict[str, Any] = json.loads((ROOT / "langgraph.json").read_text())
    shutil.copytree(ROOT / "examples", folder / "examples")
    due = {"due_s": 259_200, "remind_s": 86_400}
    policies = document["slipway"]["approval_policies"]
    document["slipway"]["approval_policies"] = {
        name: policy | due | {"groups": ["finance"]} for name, policy in policies.items()
    }
    document["slipway"]["reviews"] = dict.fromkeys(document["graphs"], due)
    document["slipway"]["doctor"] = {
        "accept": {"redis.failover": "the provider restarts the machine within a minute, which is enough for us"}
    }
    document["checkpointer"] = {"ttl": {"strategy": "delete", "default_ttl": 43_200}}
    (folder / "langgraph.json").write_text(json.dumps(document))
    return folder / "langgraph.json"


async def ready(cluster: Cluster) -> None:
    """Makes two keys, records evidence, and executes a run."""
    await cluster.pipeline.send("CONFIG", "SET", "maxmemory", "1gb")
    await cluster.pipeline.send("CONFIG", "SET", "appendfsync", "everysec")
    keys = []
    for scope in ("runs:write", "administer"):
        code, key = await cluster.command("keys", "create", "--scope", scope, "--expires", "90d", "--json")
        assert code == 0, key
        keys.append(json.loads(key)["key"])
    for kind, note in (
        ("load-test", "300 runs/s for an hour, p95 of 2 s"),
        ("failure-test", "a worker killed every 30 s for an hour, no run lost"),
        ("restore-test", "restored to staging, 20 threads continued"),
        ("backup", "nightly copy of the append-only file"),
    ):
        code, output = await cluster.command("doctor", "record", kind, "--by", "ann", "--note", note)
        assert code == 0, output
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=20, headers={"x-api-key": keys[0]}) as client:
        body = {"assistant_id": "quick_answer", "input": {"question": "2 + 2"}, "if_not_exists": "create"}
        ended = await client.post(f"/threads/{uuid.uuid4()}/runs/wait", json=body)
        assert ended.status_code == 200, ended.text


async def two_workers_live(cluster: Cluster) -> bool:
    return int(await cluster.pipeline.send("ZCARD", cluster.keys.workers)) == 2


async def test_the_green_one(tmp_path: Path) -> None:
    for name in ("encryption", "webhooks"):
        (tmp_path / name).write_text(secrets.token_hex(32))
    environment = {
        "SLIPWAY_ENCRYPTION_KEY_FILE": str(tmp_path / "encryption"),
        "SLIPWAY_WEBHOOK_SECRET_FILE": str(tmp_path / "webhooks"),
        "SLIPWAY_LOG_FORMAT": "auto",
        "PYTHONPATH": os.pathsep.join(str(ROOT / source) for source in ("app", "workers")),  # without its examples
    }
    project = ready_project(tmp_path)
    async with running(project=project, graphs_env=environment, require_keys=True, release="2026-11-30") as cluster:
        cluster.add_worker(processes=2).start()
        web = cluster.add_web()
        web.start("--host", "127.0.0.1")
        await web.wait_until_ready()
        await wait_until(lambda: two_workers_live(cluster), START_WITHIN_S)
        await ready(cluster)
        code, output = await cluster.command("doctor", "--strict")
    printed = output[output.index("State now") :]
    assert same(printed) == same(transcripts()[1])
    assert code == 0
