"""Starts the processes of tests as a supervisor starts its children: forked from `slipway fork-server`.

A fork takes milliseconds where an executed start takes two seconds of processor time to import the same modules.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Final

from slipway.processes.child_commands import slipway
from slipway.processes.fork_client import set_subreaper
from slipway.processes.fork_server import CHILD_ACCEPTED, ForkRequest
from tests.conftest import bare_environment

ANSWER_WITHIN_S: Final = 30.0


class ForkedProcess:
    """A child of this process that the fork server made; to be used as `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code


class LocalForkServer:
    """A `slipway fork-server` of this process. Synchronous, and so independent of the event loops of single tests."""

    def __init__(self, python_path: Path) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                slipway("fork-server", "--control", str(theirs.fileno())),
                env=bare_environment() | {"PYTHONPATH": str(python_path)},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    def close(self) -> None:
        """End it. The children that it made stay."""
        self._control.close()
        self._process.wait(ANSWER_WITHIN_S)

    def fork(self, arguments: tuple[str, ...], env: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """A child that runs `slipway <arguments>` and writes to `log`. Raises `TimeoutError` or `OSError` when the
        fork server does not make one."""
        order = ForkRequest(
            arguments, " ".join(slipway(*arguments)), dict(env), (1, 2), os.getpid(), int(signal.SIGKILL)
        )
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.settimeout(ANSWER_WITHIN_S)
        set_subreaper(True)
        try:
            with its:
                socket.send_fds(self._control, [order.packed()], [its.fileno(), log.fileno(), log.fileno()])
            pid = int(mine.recv(32))
            mine.send(CHILD_ACCEPTED)
            return ForkedProcess(pid)
        finally:
            set_subreaper(False)
            mine.close()


@cache
def fork_server(python_path: Path) -> LocalForkServer:
    """The one of this process for children with this `PYTHONPATH`, started at the first use."""
    made = LocalForkServer(python_path)
    atexit.register(made.close)
    return made
