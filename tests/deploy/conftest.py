"""A checkout with an environment that has only the packages of `requirements.txt`, and a Redis as on a platform."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import Certificate, self_signed
from tests.crash.cluster import ROOT
from tests.embedded_valkey import embedded_valkey
from tests.proxy import tcp_proxied

UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder with the files in version control, and an environment in `.venv`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a shell in which the environment is active, and no others."""
        return {"PATH": f"{self.folder / '.venv' / 'bin'}:/usr/bin:/bin", "HOME": str(self.folder)}

    def log(self) -> str:
        """The output of all commands that were executed in the folder."""
        return (self.folder / "log").read_text()


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    """A checkout for all tests that do not change it."""
    with fresh_checkout() as checkout:
        yield checkout


@contextlib.contextmanager
def fresh_checkout() -> Iterator[Checkout]:
    """A new checkout with its own environment, deleted when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-checkout-"))
    try:
        copy_tracked(folder)
        fresh_environment(folder)
        yield Checkout(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fresh_environment(folder: Path) -> None:
    """Creates `.venv` with pip and the packages of `requirements.txt`, without Slipway.

    uv needs a few seconds once its cache is filled. If uv fails, because only pip is configured for the package index,
    pip installs the packages.
    """
    python = folder / ".venv" / "bin" / "python"
    requirements = ("--quiet", "--require-hashes", "--requirement", str(ROOT / "requirements.txt"))
    subprocess.run((sys.executable, "-m", "venv", str(folder / ".venv")), check=True, timeout=120)
    with_uv = (str(UV), "pip", "install", *requirements, "--python", str(python))
    if subprocess.run(with_uv, check=False, timeout=300).returncode:
        subprocess.run((str(python), "-m", "pip", "install", *requirements), check=True, timeout=600)


def copy_tracked(target: Path) -> None:
    """Copies the files in version control and those that are not ignored, except the tests."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """The certificate of the platform's Redis."""
    return self_signed(tmp_path)


@pytest.fixture
async def platform_redis(certificate: Certificate) -> AsyncIterator[str]:
    """The URL of a small Redis: TLS with a self-signed certificate, 20 connections, 25 MB, no eviction."""
    with embedded_valkey("--maxclients", "20", "--maxmemory", "25mb") as url:
        async with tcp_proxied(url, certificate.server()) as proxy:
            yield proxy.url
