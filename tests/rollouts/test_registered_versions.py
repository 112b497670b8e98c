"""The versions that processes have registered, and what needs them, over HTTP and from the command line's reads."""

from __future__ import annotations

from tests.rollouts.conftest import Desk


async def test_operators_see_all_versions_what_runs_were_made_from_and_what_needs_a_version(desk: Desk) -> None:
    listed = (await desk.send("GET", "/ops/versions"))["versions"]
    assert [(each["version"], each["declared"], each["workers"]) for each in listed if each["graph"] == "desk"] == [
        ("1", True, 0),
        ("2", True, 0),
        ("3", True, 0),
    ], "the web process serves them too, and claims no runs"
    run = await desk.run()
    assert run["version"] == "1"
    version = await desk.send("GET", "/ops/versions/desk/1")
    assert version["needed_by"] == {"queued": 1, "running": 0, "paused": 0, "waiting": 0, "threads": 0, "total": 1}
    assert (version["build"]["graph"], version["build"]["version"]) == ("desk", "1")
    build = next(each["build"] for each in listed if (each["graph"], each["version"]) == ("desk", "1"))
    assert await desk.send("GET", f"/ops/builds/{build}") == version["build"]


async def test_an_unknown_version_is_refused_with_the_known_ones(desk: Desk) -> None:
    problem = await desk.send("GET", "/ops/versions/desk/9", 404)
    assert "desk@9" in str(problem)
    await desk.send("GET", "/ops/builds/000000000000", 404)
    await desk.send("GET", "/ops/versions", 403, user="bob")
