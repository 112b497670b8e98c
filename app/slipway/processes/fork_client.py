"""The supervisor's side of the fork server: sends requests, and waits for the children that the fork server forks.

Each request includes one end of a new socket pair. The child sends its pid on it, and receives the message that the
supervisor has accepted it. If the fork server or the child dies before that, the socket closes, and the supervisor
starts the child by `exec` instead.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Final

import structlog

from slipway.processes.fork_server import CHILD_ACCEPTED, ForkRequest

log = structlog.get_logger(__name__)

PID_TIMEOUT_S: Final = 10.0
"""Seconds. A fork server that has just started imports modules for one or two seconds."""

_PR_SET_CHILD_SUBREAPER: Final = 36

ServerExit = Callable[[], Coroutine[None, None, int]]
"""Waits until the fork server exits, and returns its exit code."""


def is_supported() -> bool:
    """Whether the system supports the fork server: Linux with process descriptors and subreapers."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # an old kernel, or a sandbox that does not allow the system call
        return False
    return set_subreaper(True) and set_subreaper(False)


class ForkedProcess:
    """A child that the fork server forked. It has the methods of `asyncio.subprocess.Process` that a supervisor
    uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._loop = asyncio.get_running_loop()
        self._exit_code: asyncio.Future[int] = self._loop.create_future()
        self._descriptor = os.pidfd_open(pid)
        self._loop.add_reader(self._descriptor, self._reap)

    async def wait(self) -> int:
        """Waits for the exit. Returns the exit code, which is negative for a signal."""
        return await asyncio.shield(self._exit_code)

    def terminate(self) -> None:
        """Sends SIGTERM, unless the child has exited, because its pid may then belong to another process."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    def _reap(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if not self._exit_code.done():
            self._exit_code.set_result(self.returncode)


class ForkClient:
    """Sends requests to the fork server, which has the socket `server_end`. A restarted fork server gets the same
    socket."""

    def __init__(self) -> None:
        self._client_end, self.server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._client_end.setblocking(False)
        self._request_lock = asyncio.Lock()

    def close(self) -> None:
        """Closes the control socket, so that the fork server exits."""
        self._client_end.close()
        self.server_end.close()

    async def fork(
        self, request: ForkRequest, descriptors: Sequence[int], server_exit: ServerExit
    ) -> ForkedProcess | None:
        """Forks a child. None if the fork server did not fork one, because it exited (`server_exit` waits for that), or
        sent no pid within `PID_TIMEOUT_S`."""
        async with self._request_lock:
            parent_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            parent_end.setblocking(False)
            set_subreaper(True)
            try:
                with child_end:
                    socket.send_fds(self._client_end, [request.packed()], [child_end.fileno(), *descriptors])
                return _accept_child(parent_end, await _receive_pid(parent_end, server_exit))
            except OSError as error:
                log.warning("fork_server.fork_failed", problem=str(error))
                return None
            finally:
                set_subreaper(False)
                parent_end.close()


async def _receive_pid(parent_end: socket.socket, server_exit: ServerExit) -> bytes:
    """The pid that the new child sends. Empty if it sends none."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    # not `sock_recv`: after a cancellation it would remove its reader only after the socket was closed
    loop.add_reader(parent_end, readable.set)
    receiving, exiting = asyncio.create_task(readable.wait()), asyncio.create_task(server_exit())
    try:
        await asyncio.wait((receiving, exiting), timeout=PID_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        with suppress(BlockingIOError):
            return parent_end.recv(32)
        return b""
    finally:
        loop.remove_reader(parent_end)
        receiving.cancel()
        exiting.cancel()


def _accept_child(parent_end: socket.socket, pid: bytes) -> ForkedProcess | None:
    """Starts to wait for the child, and sends it the message that it is accepted. It is not a coroutine, so that no
    child is lost by a cancellation."""
    if not pid:
        return None
    child = ForkedProcess(int(pid))
    with suppress(OSError):  # a child that has already exited is handled like any other exit
        parent_end.send(CHILD_ACCEPTED)
    return child


def set_subreaper(yes: bool) -> bool:
    """Sets whether this process becomes the parent of descendants whose parent exits. Returns whether the kernel
    supports it. It is set only while a child is forked, because the supervisor must not become the parent of orphans of
    its children."""
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0) == 0)
