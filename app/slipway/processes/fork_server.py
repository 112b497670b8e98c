"""The fork server: a process that has imported all heavy modules and only forks children for a supervisor.

Forking is safe because this process has one thread, no event loop, no connection, and imports none of the project's
code.

It forks each child twice. The intermediate process exits at once, and the kernel makes the child a child of the
supervisor, which is the nearest subreaper. From then on it is an ordinary child of the supervisor: the supervisor waits
for it, the kernel kills it when the supervisor dies, and the fork server can be killed without harm to any child.

What it gains, measured on a loaded machine with two cores: a worker that was killed is replaced in 0.4 to 1.0 s instead
of 3 to 15 s, because nothing has to be imported but the project; a worker needs 37 MB of memory of its own instead of
99 MB. The fork server itself takes 30 MB, so four workers take 287 MB in all instead of 446 MB, and two take 214 MB
instead of 246 MB.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from slipway.errors import ConfigError
from slipway.processes.child_commands import name_process
from slipway.processes.exec_bound_to_parent import PR_SET_PDEATHSIG

MOST_DESCRIPTORS: Final = 8
CHILD_ACCEPTED: Final = b"go"
"""The supervisor's reply to a child that sent its pid. A child that does not receive it exits."""

_MAX_REQUEST_BYTES: Final = 1 << 20
_ADOPTED_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """A child to fork."""

    arguments: tuple[str, ...]
    """Of `slipway`."""
    shown: str
    """The command line that the process list shows."""
    env: dict[str, str]
    """The whole environment of the child."""
    descriptors: tuple[int, ...]
    """The numbers under which the child gets the descriptors that are sent with the request."""
    parent: int
    orphan_signal: int
    """What the kernel sends to the child when its parent exits."""

    def packed(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def read(cls, message: bytes) -> ForkRequest:
        words = orjson.loads(message)
        return cls(**words | {name: tuple(words[name]) for name in ("arguments", "descriptors")})


def serve_fork_requests(control: socket.socket) -> ForkRequest:
    """Serves requests until `control` is closed. Returns only in the forked children, each with its own request. By
    then the child is a child of the supervisor and has its own session, environment, title and descriptors; the caller
    continues as `slipway <arguments>`."""
    import setproctitle  # exists on Linux only

    if threading.active_count() > 1:
        raise ConfigError("an import started a thread: this process must not be forked")
    setproctitle.setproctitle(setproctitle.getproctitle())  # it locates argv once, before the environment changes
    name_process("slipway fork")
    libc = ctypes.CDLL(None)
    gc.collect()
    gc.freeze()
    while True:
        message, handed, _, _ = socket.recv_fds(control, _MAX_REQUEST_BYTES, MOST_DESCRIPTORS)
        if not message:
            sys.exit(0)
        if not _is_withdrawn(handed[0]) and _fork_twice():
            control.close()
            request = ForkRequest.read(message)
            _set_up_child(request, handed, libc)
            return request
        for descriptor in handed:
            os.close(descriptor)


def _is_withdrawn(reply: int) -> bool:
    """Whether the supervisor has closed its end of the request's socket, because it waited for too long. A child that
    is forked then would be adopted by the supervisor, which does not know it and so would never wait for it."""
    poll = select.poll()
    poll.register(reply, select.POLLIN)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _fork_twice() -> bool:
    """True in the child. When the system has no process left, the request's socket is closed without a reply."""
    try:
        intermediate = os.fork()
    except OSError:
        return False
    if intermediate:
        os.waitpid(intermediate, 0)
        return False
    try:
        if os.fork() == 0:
            return True
    except OSError:
        os._exit(1)
    os._exit(0)


def _set_up_child(request: ForkRequest, handed: list[int], libc: ctypes.CDLL) -> None:
    import setproctitle

    os.setsid()
    _set_parent_death_signal(request.parent, request.orphan_signal, libc)
    reply, *descriptors = _move_descriptors(handed, above=max(request.descriptors, default=2))
    _send_pid(reply)
    for descriptor, number in zip(descriptors, request.descriptors, strict=True):
        os.dup2(descriptor, number, inheritable=False)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request.env)
    sys.argv[1:] = request.arguments
    setproctitle.setproctitle(request.shown)


def _set_parent_death_signal(parent: int, orphan_signal: int, libc: ctypes.CDLL) -> None:
    """Waits until this process is a child of `parent`, and lets the kernel send `orphan_signal` when the parent exits.
    The kernel sends the signal when the present parent exits, so SIGUSR1 reports first that the intermediate process
    has exited."""
    adopted = signal.SIGUSR1
    signal.pthread_sigmask(signal.SIG_BLOCK, {adopted})
    libc.prctl(PR_SET_PDEATHSIG, int(adopted))
    if os.getppid() != parent:
        signal.sigtimedwait({adopted}, _ADOPTED_WITHIN_S)
    libc.prctl(PR_SET_PDEATHSIG, orphan_signal)
    if os.getppid() != parent:  # it has exited, or is no longer the subreaper
        os._exit(1)
    signal.sigtimedwait({adopted}, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {adopted})


def _move_descriptors(descriptors: list[int], above: int) -> list[int]:
    """Duplicates the descriptors to numbers above `above`, so that they do not collide with the numbers requested."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above + 1) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    return moved


def _send_pid(reply: int) -> None:
    """Sends the pid to the supervisor. Returns if the supervisor accepts the child; exits if it does not."""
    with socket.socket(fileno=reply) as supervisor, suppress(OSError):
        supervisor.send(str(os.getpid()).encode())
        if supervisor.recv(len(CHILD_ACCEPTED)) == CHILD_ACCEPTED:
            return
    os._exit(1)
