"""`slipway doctor`: choice of parts, exit codes, JSON, 80 columns, accepted warnings, evidence, and what it costs."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from slipway.errors import ConfigError, InvalidRequest
from slipway.go_live.check import Check
from slipway.go_live.checklist import CODES, PARTS, chosen_parts
from slipway.go_live.evidence import EvidenceStore, new_evidence
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, Outcome, failed, passed, warned
from slipway.go_live.report_text import COLUMNS, text_of
from slipway.health import start_checks
from slipway.processes.child_commands import slipway
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id
from tests.environment import bare_environment
from tests.go_live.conftest import GRAPH, Deployment, worst

ACCEPT = "doctor.accept"


async def run(
    deployment: Deployment, config: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command in the folder of the project."""
    variables = {"SLIPWAY_REDIS_URL": deployment.url, "SLIPWAY_KEY_PREFIX": deployment.keys.prefix} | environment
    return await asyncio.to_thread(
        lambda: subprocess.run(
            slipway("doctor", *arguments),
            cwd=config.parent,
            env=bare_environment() | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    )


@pytest.mark.processes
async def test_the_command_prints_the_checklist(deployment: Deployment) -> None:
    """In text and in JSON, with the exit code: there is no worker, which fails."""
    config = deployment.project("print('hello from the project')\n" + GRAPH)
    text = await run(deployment, config)
    assert (text.returncode, "FAIL  workers.alive" in text.stdout) == (1, True), text.stderr
    assert all(len(line) <= COLUMNS for line in text.stdout.splitlines()), text.stdout
    assert "\x1b[" not in text.stdout, "no colours outside of a terminal"
    printed = await run(deployment, config, "--json")
    found = json.loads(printed.stdout)
    assert (found["ready"], found["counts"]["fail"]) == (False, 2)
    assert {line["code"] for line in found["lines"]} == CODES.keys() - {ACCEPT}
    assert "hello from the project" in printed.stderr, "what the code prints does not disturb the JSON"


async def test_warnings_fail_only_if_they_are_to_be_strict(deployment: Deployment) -> None:
    checklist = await deployment.check(deployment.project(), "redis")
    assert (checklist.is_ready(), checklist.is_ready(strict=True)) == (True, False)
    accept = {line.code: "known" for line in checklist.lines if line.outcome is Outcome.WARN}
    accepted = await deployment.check(deployment.project(slipway={"doctor": {"accept": accept}}), "redis")
    assert accepted.is_ready(strict=True)


@pytest.mark.processes
async def test_evidence_is_recorded_and_shown(deployment: Deployment) -> None:
    config = deployment.project()
    stored = await run(
        deployment, config, "record", "load-test", "--at", "2026-01-01T00:00:00Z", "--note", "500 runs/s", "--by", "ann"
    )
    assert json.loads(stored.stdout)["at"].startswith("2026-01-01T00:00:00"), stored.stderr
    shown = (await run(deployment, config, "--only", "evidence")).stdout
    assert re.search(r"WARN  evidence.load_test\n +too old: \d+ days ago by ann: 500 runs/s", shown), shown


@pytest.mark.processes
async def test_older_evidence_replaces_no_newer_one_unless_it_is_told_to(deployment: Deployment) -> None:
    config, backup = deployment.project(), ("record", "backup", "--by", "ann")
    await run(deployment, config, *backup, "--at", "2026-02-01T00:00:00Z")
    older = await run(deployment, config, *backup, "--at", "2026-01-01T00:00:00Z")
    assert (older.returncode, json.loads(older.stdout)["at"][:10]) == (0, "2026-02-01")
    assert "nothing was recorded: evidence of a later time is on file" in older.stderr
    replaced = await run(deployment, config, *backup, "--at", "2026-01-01T00:00:00Z", "--replace")
    assert (json.loads(replaced.stdout)["at"][:10], "nothing was recorded" in replaced.stderr) == ("2026-01-01", False)
    assert json.loads((await run(deployment, config, "evidence")).stdout)["at"][:10] == "2026-01-01"


async def test_evidence_of_the_latest_time_is_kept_whatever_the_order(pipeline: Pipeline, keys: Keys) -> None:
    store = EvidenceStore(pipeline, keys)
    now_us = 1_800_000_000_000_000
    times_us = [now_us - age * 1_000_000 for age in (500, 100, 300, 100, 200)]
    records = [new_evidence("backup", at_us, "ann", str(number), now_us) for number, at_us in enumerate(times_us)]
    on_file = [(await store.record(each)).note for each in records]
    assert on_file == ["0", "1", "1", "3", "3"]
    await asyncio.gather(*(store.record(each) for each in records))
    assert (await store.all())["backup"].at_us == max(times_us)
    assert (await store.record(records[0], replace=True)).note == "0"


@pytest.mark.processes
async def test_a_wrong_name_is_a_wrong_command(deployment: Deployment) -> None:
    config = deployment.project()
    wrong = await run(deployment, config, "record", "load-testt")
    assert (wrong.returncode, "did you mean 'load-test'" in wrong.stderr) == (2, True), wrong.stderr
    part = await run(deployment, config, "--only", "nonsense")
    assert (part.returncode, part.stderr.count("observation")) == (2, 1), part.stderr


@pytest.mark.parametrize(
    ("kind", "at_us", "note", "problem"),
    [
        ("backups", None, "", "did you mean 'backup'"),
        ("backup", 2_000_000_000, "", "in the future"),
        ("backup", None, "a\nb", "one printable line"),
        ("backup", None, "x" * 501, "at most 500 characters"),
    ],
)
def test_wrong_evidence_is_rejected(kind: str, at_us: int | None, note: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        new_evidence(kind, at_us, "ann", note, 1_000_000_000)


async def test_problems_of_records_fail_until_they_are_repaired(deployment: Deployment, pipeline: Pipeline) -> None:
    config, thread_id = deployment.project(), new_id()
    key = deployment.keys.thread(thread_id)
    await pipeline.send("HSET", key, "status", "busy", "created_us", "1", "updated_us", "1")
    await pipeline.send("ZADD", deployment.keys.threads, 1, thread_id)
    broken = await deployment.check(config, "state")
    line = worst(broken.lines, "records.consistent")
    assert (line.outcome, line.fix) == (Outcome.FAIL, "slipway doctor --repair")
    assert ("busy_without_run", thread_id) in {(each.name, each.record_id) for each in broken.problems}
    assert thread_id in text_of(broken)
    settings = deployment.settings(config)
    from slipway.go_live.checklist import run_checklist

    repaired = await run_checklist(settings, {}, chosen=["state"], repair=True)
    assert worst(repaired.lines, "records.consistent").outcome is Outcome.PASS
    assert worst((await deployment.check(config, "state")).lines, "records.consistent").found == (
        "no run and no thread is stuck"
    )


async def test_accepted_warnings(deployment: Deployment) -> None:
    """A warning, not a failure; by its code or by code and subject. An entry that accepts nothing is a warning."""
    accept = {
        "redis.failover": "one machine is enough",
        "workers.alive": "we like it so",
        "retention.threads": "we keep all",
        "redis.eviction": "it was so before",
        "redis.failovre": "a typing error",
        "tools.grants:look": "another subject",
    }
    config = deployment.project(slipway={"doctor": {"accept": accept}})
    checklist = await deployment.check(config)
    assert worst(checklist.lines, "redis.failover").accepted == "one machine is enough"
    assert worst(checklist.lines, "retention.threads").accepted == "we keep all"
    assert "accepted: one machine is enough" in text_of(checklist)
    assert not worst(checklist.lines, "workers.alive").accepted, "a failure cannot be accepted"
    about = {line.subject: line.found for line in checklist.lines if line.code == ACCEPT}
    assert about.keys() == {"workers.alive", "redis.eviction", "redis.failovre", "tools.grants:look"}
    assert "did you mean 'redis.failover'" in about["redis.failovre"]
    assert checklist.count("accepted") == 2
    only = await deployment.check(config, "redis")
    assert {line.subject for line in only.lines if line.code == ACCEPT} == {"redis.eviction", "redis.failovre"}
    good = deployment.project(slipway={"doctor": {"accept": {"redis.failover": "one machine is enough"}}})
    assert worst((await deployment.check(good, "redis")).lines, ACCEPT).outcome is Outcome.PASS


async def test_a_check_that_cannot_be_made_is_a_warning_that_says_why(deployment: Deployment) -> None:
    async def breaks(inputs: Inputs) -> list[Line]:
        raise ZeroDivisionError("odd server")

    async def hangs(inputs: Inputs) -> list[Line]:
        await asyncio.Event().wait()
        return []

    for check, why in (
        (Check({"a.b": "", "a.c": ""}, breaks), "odd server"),
        (Check({"a.b": ""}, hangs, 0.05), "0.05 s"),
    ):
        lines = await check.lines(None)  # type: ignore[arg-type]
        assert [line.code for line in lines] == list(check.codes)
        assert all(line.outcome is Outcome.WARN and why in line.found for line in lines)


async def test_the_doctor_changes_nothing_and_asks_little(deployment: Deployment, pipeline: Pipeline) -> None:
    config = deployment.project()

    async def stored() -> set[bytes]:
        return set(await pipeline.send("KEYS", f"{deployment.keys.prefix}*"))

    before = await stored()
    commands = await _commands(pipeline)
    began = time.monotonic()
    await deployment.check(config)
    assert await stored() == before
    assert await _commands(pipeline) - commands < 200
    assert time.monotonic() - began < 10


@pytest.mark.processes
async def test_looking_with_a_key_does_not_make_the_key_needed(deployment: Deployment, pipeline: Pipeline) -> None:
    """Processes without the key would not start any more, although nothing is encrypted with it."""
    config, key = deployment.project(), "A" * 43 + "="
    await deployment.check(config, encryption_key=key)
    for arguments in (("record", "backup"), ("evidence",)):
        assert (await run(deployment, config, *arguments, SLIPWAY_ENCRYPTION_KEY=key)).returncode == 0
    assert await pipeline.send("EXISTS", deployment.keys.encryption) == 0
    await start_checks.check(deployment.settings(config), deployment.url)


async def _commands(pipeline: Pipeline) -> int:
    found = re.search(rb"total_commands_processed:(\d+)", await pipeline.send("INFO", "stats"))
    assert found is not None
    return int(found[1])


def test_parts_are_chosen() -> None:
    names = [part.name for part in PARTS]
    assert chosen_parts([], [], repair=False) == names
    assert chosen_parts(["tools", "redis"], [], repair=False) == ["redis", "tools"]
    assert chosen_parts([], ["state"], repair=False) == names[1:]
    assert chosen_parts([], [], repair=True) == ["state"]
    for only, skip, repair in (
        (["tool"], [], False),
        ([], ["x"], False),
        (["redis"], [], True),
        (["redis"], ["redis"], False),
    ):
        with pytest.raises(ConfigError):
            chosen_parts(only, skip, repair=repair)


def test_codes_are_unique_and_every_line_says_what_it_is_about() -> None:
    codes = [code for part in PARTS for code in part.codes]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(\.[a-z_]+)?", code) for code in codes)
    assert all(about.endswith(".") for about in CODES.values())


def test_texts_of_others_cannot_forge_lines() -> None:
    from datetime import UTC, datetime

    from slipway.go_live.checklist import Checklist, PartResult

    hostile = warned("tools.approval", "a\x1b[2J\n  PASS  everything", "fix\r\x07", "x\x1b[31m")
    text = text_of(Checklist(datetime.now(UTC), [PartResult("tools", "Tools", [hostile])], []))
    assert not set("\x1b\r\x07") & set(text)
    assert not any(line.startswith("  PASS") for line in text.splitlines())
    assert passed("a.b", "c").public()["fix"] is None
    assert failed("a.b", "c", "d").counts_as == "fail"
