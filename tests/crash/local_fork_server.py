"""Forks the processes of tests from a process that has imported the same modules as a supervisor.

A fork takes milliseconds; a new interpreter needs two seconds of processor time to import these modules.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from typing import IO, Final

from slipway.cli import prepared_forker
from slipway.processes import exec_bound_to_parent
from slipway.processes.child_commands import slipway
from slipway.processes.forking import Fork, Forker, fork_now
from tests.environment import bare_environment

REPLY_WITHIN_S: Final = 30.0
_MAX_REQUEST_BYTES: Final = 1 << 20


class ForkedProcess:
    """A process that the fork server forked. It has the members of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int, exit_codes: socket.socket) -> None:
        self.pid = pid
        self._exit_codes = exit_codes
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal; None while the process runs."""
        if self._exit_code is None:
            try:
                self._exit_code = int(self._exit_codes.recv(32))
            except BlockingIOError:
                return None
            self._exit_codes.close()
        return self._exit_code


class LocalForkServer:
    """The fork server of this process. It is synchronous, so tests with different event loops share it."""

    def __init__(self, python_path: str) -> None:
        self._control, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        launcher = (sys.executable, exec_bound_to_parent.__file__, str(os.getpid()), str(int(signal.SIGKILL)))
        with server_end:
            self._process = subprocess.Popen(
                (*launcher, sys.executable, "-m", __name__, str(server_end.fileno())),
                env=bare_environment() | {"PYTHONPATH": python_path},
                stdin=subprocess.DEVNULL,
                pass_fds=(server_end.fileno(),),
                start_new_session=True,
            )

    def close(self) -> None:
        """Stops the fork server. The kernel kills its children."""
        self._control.close()
        self._process.wait(REPLY_WITHIN_S)

    def fork(self, arguments: tuple[str, ...], env: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """A process that executes `slipway <arguments>` and writes to `log`. Raises `TimeoutError` or `OSError` if the
        fork server does not create it."""
        own_end, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own_end.settimeout(REPLY_WITHIN_S)
        with server_end:
            request = json.dumps([arguments, dict(env)]).encode()
            socket.send_fds(self._control, [request], [server_end.fileno(), log.fileno()])
        pid = int(own_end.recv(32))
        own_end.setblocking(False)
        return ForkedProcess(pid, own_end)


@cache
def fork_server(python_path: str) -> LocalForkServer:
    """The fork server of this process for children with this `PYTHONPATH`; the first call starts it."""
    server = LocalForkServer(python_path)
    atexit.register(server.close)
    return server


def serve(control: socket.socket) -> None:
    """Forks a child for each request, replies with its pid and, when it has exited, with its exit code."""
    forker = prepared_forker()
    assert forker is not None
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    _report_exit(selector, key)
                elif not _serve_request(control, selector, forker):
                    return


def _serve_request(control: socket.socket, selector: selectors.BaseSelector, forker: Forker) -> bool:
    """Returns False when the test process has closed its end."""
    request, descriptors, _, _ = socket.recv_fds(control, _MAX_REQUEST_BYTES, 2)
    if not request:
        return False
    reply, log = descriptors
    arguments, env = json.loads(request)
    title = " ".join(slipway(*arguments))
    pid = fork_now(Fork(partial(_execute, forker, tuple(arguments), log), title, env, (log,)))
    os.close(log)
    client = socket.socket(fileno=reply)
    client.send(str(pid).encode())
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, client))
    return True


def _execute(forker: Forker, arguments: tuple[str, ...], log: int) -> None:
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    forker.command(arguments)()


def _report_exit(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, client = key.data
    selector.unregister(key.fd)
    os.close(key.fd)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with client, suppress(BrokenPipeError):  # the test does not wait for this process
        client.send(str(exit_code).encode())


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
