"""Forks the processes of tests from `slipway fork-server`, as a supervisor does.

A fork takes milliseconds; a new interpreter needs two seconds of processor time to import the same modules.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from functools import cache
from typing import IO, Final

from slipway.processes.child_commands import slipway
from slipway.processes.fork_client import set_subreaper
from slipway.processes.fork_server import CHILD_ACCEPTED, ForkRequest
from tests.environment import bare_environment

REPLY_WITHIN_S: Final = 30.0


class ForkedProcess:
    """A child of this process, created by the fork server. It has the members of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal; None while the process runs."""
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code


class LocalForkServer:
    """A `slipway fork-server` of this process. It is synchronous, so tests with different event loops share it."""

    def __init__(self, python_path: str) -> None:
        self._control, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with server_end:
            self._process = subprocess.Popen(
                slipway("fork-server", "--control", str(server_end.fileno())),
                env=bare_environment() | {"PYTHONPATH": python_path},
                stdin=subprocess.DEVNULL,
                pass_fds=(server_end.fileno(),),
                start_new_session=True,
            )

    def close(self) -> None:
        """Stop the fork server. Its children continue."""
        self._control.close()
        self._process.wait(REPLY_WITHIN_S)

    def fork(self, arguments: tuple[str, ...], env: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """A child that executes `slipway <arguments>` and writes to `log`. Raises `TimeoutError` or `OSError` if the
        fork server does not create it."""
        request = ForkRequest(
            arguments, " ".join(slipway(*arguments)), dict(env), (1, 2), os.getpid(), int(signal.SIGKILL)
        )
        own_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own_end.settimeout(REPLY_WITHIN_S)
        set_subreaper(True)
        try:
            with child_end:
                socket.send_fds(self._control, [request.packed()], [child_end.fileno(), log.fileno(), log.fileno()])
            pid = int(own_end.recv(32))
            own_end.send(CHILD_ACCEPTED)
            return ForkedProcess(pid)
        finally:
            set_subreaper(False)
            own_end.close()


@cache
def fork_server(python_path: str) -> LocalForkServer:
    """The fork server of this process for children with this `PYTHONPATH`; the first call starts it."""
    server = LocalForkServer(python_path)
    atexit.register(server.close)
    return server
