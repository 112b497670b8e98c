"""A plain checkout, environments that hold what `requirements.txt` names and nothing else, and a platform's Redis."""

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
from tests.conftest import embedded_valkey
from tests.crash.cluster import ROOT
from tests.crash.tcp_proxy import TcpProxy

UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True, slots=True)
class Checkout:
    """The files that are in version control, in a folder, and beside them an environment in `.venv`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a shell has after the environment was activated, and nothing else."""
        return {"PATH": f"{self.folder / '.venv' / 'bin'}:/usr/bin:/bin", "HOME": str(self.folder)}

    def log(self) -> str:
        """What commands in it have written."""
        return (self.folder / "log").read_text()


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    """One for all tests that leave it as it is."""
    with fresh_checkout() as found:
        yield found


@contextlib.contextmanager
def fresh_checkout() -> Iterator[Checkout]:
    """With an environment of its own."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-checkout-"))
    try:
        copy_tracked(folder)
        fresh_environment(folder)
        yield Checkout(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fresh_environment(folder: Path) -> None:
    """Pip and what `requirements.txt` names, in `.venv`; Slipway itself is not among that. After the first time this
    takes a few seconds, from uv's cache. Where only pip is told which index to use, pip does it."""
    python = folder / ".venv" / "bin" / "python"
    requirements = ("--quiet", "--require-hashes", "--requirement", str(ROOT / "requirements.txt"))
    subprocess.run((sys.executable, "-m", "venv", str(folder / ".venv")), check=True, timeout=120)
    quickly = (str(UV), "pip", "install", *requirements, "--python", str(python))
    if subprocess.run(quickly, check=False, timeout=300).returncode:
        subprocess.run((str(python), "-m", "pip", "install", *requirements), check=True, timeout=600)


def copy_tracked(target: Path) -> None:
    """The files in version control, and those that would be added to it."""
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
    """What the platform's Redis shows."""
    return self_signed(tmp_path)


@pytest.fixture
async def platform_redis(certificate: Certificate) -> AsyncIterator[str]:
    """The smallest plan: TLS with a certificate that the server signed itself, 20 connections, 25 MB, no eviction."""
    with embedded_valkey("--maxclients", "20", "--maxmemory", "25mb") as url:
        async with TcpProxy(Path(url.removeprefix("unix://")), certificate.server()) as proxy:
            yield proxy.url
