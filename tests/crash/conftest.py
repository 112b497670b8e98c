"""Remembers which tests have failed, for the fixtures that clean up after them."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.crash.sharing import FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
