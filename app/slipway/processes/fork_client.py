"""The supervisor's side of forking: orders children of the template process, and waits for them as for its own.

Each request carries one end of its own socket pair, on which the child sends its pid and receives its acceptance. When
a process dies in between, that socket closes, and the supervisor starts the child by `exec` instead.
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

ANSWER_WITHIN_S: Final = 10.0
"""A template that has just been started imports for a second or two."""

_PR_SET_CHILD_SUBREAPER: Final = 36


def is_supported() -> bool:
    """Whether this system can do it: Linux, with process descriptors."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # an old kernel, or a sandbox that forbids it
        return False
    return set_subreaper(True) and set_subreaper(False)


class ForkedProcess:
    """A child that was forked for us; to be used as `asyncio.subprocess.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._descriptor = os.pidfd_open(pid)
        self._loop.add_reader(self._descriptor, self._reap)

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        """SIGTERM, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    def _reap(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if not self._ended.done():
            self._ended.set_result(self.returncode)


class ForkClient:
    """Orders to the template process that holds the other end of `theirs`, whichever it is at the time."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._one_at_a_time = asyncio.Lock()

    def close(self) -> None:
        """A template process that is still there ends."""
        self._ours.close()
        self.theirs.close()

    async def fork(
        self, request: ForkRequest, descriptors: Sequence[int], gone: Callable[[], Coroutine[None, None, int]]
    ) -> ForkedProcess | None:
        """A child made to `request`, with these descriptors; None when the template did not make one: it has ended
        (`gone` waits for that), or does not answer."""
        async with self._one_at_a_time:
            mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            mine.setblocking(False)
            set_subreaper(True)
            try:
                with its:
                    socket.send_fds(self._ours, [request.packed()], [its.fileno(), *descriptors])
                return _accept_child(mine, await _receive_pid(mine, gone))
            except OSError as error:
                log.warning("fork_server.fork_failed", problem=str(error))
                return None
            finally:
                set_subreaper(False)
                mine.close()


async def _receive_pid(mine: socket.socket, gone: Callable[[], Coroutine[None, None, int]]) -> bytes:
    """The pid that a new child tells, or nothing."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    # not `sock_recv`: that one, cancelled, lets go of the socket's number later than it is closed
    loop.add_reader(mine, told.set)
    telling, ended = asyncio.create_task(told.wait()), asyncio.create_task(gone())
    try:
        await asyncio.wait((telling, ended), timeout=ANSWER_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        with suppress(BlockingIOError):
            return mine.recv(32)
        return b""
    finally:
        loop.remove_reader(mine)
        telling.cancel()
        ended.cancel()


def _accept_child(mine: socket.socket, pid: bytes) -> ForkedProcess | None:
    """Take the child over and let it go on. Nothing is awaited from here on, so it cannot get lost."""
    if not pid:
        return None
    child = ForkedProcess(int(pid))
    with suppress(OSError):  # one that has died already is a death like any other
        mine.send(CHILD_ACCEPTED)
    return child


def set_subreaper(yes: bool) -> bool:
    """Become the parent of descendants whose own parent ends, or stop that; whether the kernel agrees. Only while a
    child is on its way: what our children leave behind is not ours."""
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0) == 0)
