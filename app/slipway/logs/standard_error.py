"""Standard error, for log lines. A reader that stops to read does not stop the process.

A pipe holds 64 KiB. When the program at its other end does not read them, a write waits for it, and with the write the
event loop and every run of the process. So lines that do not fit into a pipe or a socket now wait in memory, at most
`MOST_WAITING_BYTES`, and a thread writes them when there is room. Further lines are lost, and a line says how many.
Writing to a file or a terminal may wait.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import select
import socket
import stat
import termios
import threading
import time
import weakref
from collections import deque
from typing import Final, Protocol, TextIO

import structlog

log = structlog.get_logger(__name__)

MOST_WAITING_BYTES: Final = 1_048_576
"""Of lines that wait for the reader."""

_FLUSH_WITHIN_S: Final = 1.0
"""How long the end of the process waits for the reader."""

_PIPE_BYTES: Final = 1_048_576
"""The size that a pipe is given, if the system permits it."""

_ATOMIC_BYTES: Final = select.PIPE_BUF
"""A write of at most so many bytes to a pipe is not mixed with those of other processes (POSIX)."""

_LOOK_AGAIN_S: Final = 0.05

_TRIES_TO_LOCK: Final = 50


class _Target(Protocol):
    """Where lines go."""

    def write(self, data: bytes) -> int:
        """Writes as much as is possible now, and returns how many bytes. 0: nothing fits now."""

    def wait(self, within_s: float) -> None:
        """Returns when more may fit, or after the time."""


class StandardError:
    """A stream. Lines are written whole, in their order."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._target: _Target | None = None
        self._is_open = False
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = self._lost = 0
        self._writer: threading.Thread | None = None
        _OPEN.add(self)

    def write(self, line: str) -> None:
        """Writes a line, or lets it wait. Never raises."""
        try:
            with self._lock:
                self._write(line)
        except (OSError, ValueError):  # closed, or its reader has ended
            pass

    def _write(self, line: str) -> None:
        if not self._is_open:
            self._target, self._is_open = _target_of(self._stream), True
        if self._target is None:
            self._stream.write(f"{line}\n")
            self._stream.flush()
            return
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        if not self._waiting:
            written = self._target.write(data)
            if written == len(data):
                return
            data = data[written:]
        self._let_wait(data)

    def flush(self) -> None:
        """Waits until the reader has got all lines, at most a second."""
        until = time.monotonic() + _FLUSH_WITHIN_S
        while self._writer is not None and time.monotonic() < until:
            time.sleep(0.005)

    def _let_wait(self, data: bytes) -> None:
        if self._waiting_bytes + len(data) > MOST_WAITING_BYTES:
            self._lost += 1
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_waiting, name="log", daemon=True)
            self._writer.start()

    def _write_waiting(self) -> None:
        while True:
            with self._lock:
                is_waiting, target, lost = self._write_some(), self._target, 0
                if not is_waiting:
                    lost, self._lost = self._lost, 0
                    if not lost:
                        self._writer = None
                        return
            if lost:  # without the lock, because the handler that writes the line has one too
                log.warning("log.lines_lost", lines=lost)
            elif target is not None:
                target.wait(_LOOK_AGAIN_S)

    def _write_some(self) -> bool:
        """Whether lines are still waiting."""
        try:
            while self._waiting and self._target is not None:
                data = self._waiting[0]
                written = self._target.write(data)
                self._waiting_bytes -= written
                if written < len(data):
                    self._waiting[0] = data[written:]
                    return True
                self._waiting.popleft()
        except OSError:  # the reader has ended
            self._waiting.clear()
            self._waiting_bytes = 0
        return bool(self._waiting)

    def forget(self) -> None:
        """In a child that was forked: the parent writes what waits, and the child closes its descriptors."""
        self._lock = threading.RLock()
        self._waiting, self._waiting_bytes, self._lost, self._writer = deque(), 0, 0, None
        self._target, self._is_open = None, False


_OPEN: Final[weakref.WeakSet[StandardError]] = weakref.WeakSet()


def _forget_all() -> None:
    for each in list(_OPEN):
        each.forget()


def flush_lines() -> None:
    """Waits until the reader has got all lines of this process, at most a second. Also called at the end of Python,
    before `logging` ends: then it holds a lock that the writing thread may need."""
    for each in list(_OPEN):
        each.flush()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(flush_lines)


def _target_of(stream: TextIO) -> _Target | None:
    """None: a stream to which a plain write is made."""
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISFIFO(mode):
        return _Pipe(descriptor)
    return _Socket(descriptor) if stat.S_ISSOCK(mode) else None


class _Pipe:
    """A pipe that other processes write to as well. It is opened again, so that only these writes do not wait: whether
    writes wait is a property that a descriptor shares with those it was copied from."""

    def __init__(self, descriptor: int) -> None:
        self._own = True
        try:
            self._descriptor = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # it belongs to another user, or there is no such folder
            self._descriptor, self._own = descriptor, False
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)

    def __del__(self) -> None:
        if self._own:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)

    def write(self, data: bytes) -> int:
        if self._own and len(data) <= _ATOMIC_BYTES:
            return self._write_now(data)
        if not self._own:
            return os.write(self._descriptor, data[:_ATOMIC_BYTES]) if self._poll.poll(0) else 0
        if not self._locked():
            return 0
        try:
            return self._write_now(data) if self._has_room(len(data)) else 0
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _write_now(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0

    def _locked(self) -> bool:
        """Whether this process may write a long line now. Another one needs microseconds for its line."""
        for _ in range(_TRIES_TO_LOCK):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        return False

    def wait(self, within_s: float) -> None:
        # a long line needs more room than a poll would wait for
        time.sleep(within_s)

    def _has_room(self, size: int) -> bool:
        """Whether a long line fits now, so that it is not mixed with lines of other processes. A pipe has pages, and
        lines can leave nearly half of each unused."""
        try:
            capacity = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
            in_use = int.from_bytes(fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)), "little")
        except (OSError, AttributeError):
            return True
        return in_use == 0 or 2 * in_use + size + capacity // 8 <= capacity


class _Socket:
    """A socket, as that of systemd's journal."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))

    def write(self, data: bytes) -> int:
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0

    def wait(self, within_s: float) -> None:
        select.select([], [self._socket], [], within_s)
