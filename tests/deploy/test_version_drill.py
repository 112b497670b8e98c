"""The drill of a deploy: 50 threads at pauses survive the rollout of a release, the death of the old workers, and the
rollback (`tests/version_drills/drill.py`)."""

from __future__ import annotations

import pytest

from tests.version_drills.drill import drill, problems, table


@pytest.mark.timeout(240)
async def test_every_thread_survives_the_deploy_and_the_rollback() -> None:
    drilled = await drill(threads_per_pause=5)
    print(table(drilled))
    assert problems(drilled) == []
