"""The process that other processes are forked from: it has imported what is heavy, and does nothing but fork.

A fork takes milliseconds where a start takes a second, and shares the memory of all that was imported. So that it is
safe, this process has one thread, no event loop, no connection and none of the user's code.

A child is forked twice: the process between ends at once, and the kernel gives the child to the supervisor, which is
the nearest subreaper. From then on it is the supervisor's child like any other: the supervisor waits for it, the child
dies with the supervisor, and this process may be killed without harm to any of them. Orders come as `nursery` sends
them.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
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
from slipway.processes.launch import PR_SET_PDEATHSIG

MOST_DESCRIPTORS: Final = 8
CHILD_ACCEPTED: Final = b"go"
"""The supervisor's answer to a child that told its pid. Without it nobody wants the child any more."""

_LARGEST_ORDER: Final = 1 << 20
_ADOPTED_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """A child to be made: `arguments` for `slipway`, the command line to show, its whole environment, the numbers
    that its descriptors shall have, its parent, and the signal it gets when the parent has gone."""

    arguments: tuple[str, ...]
    shown: str
    env: dict[str, str]
    descriptors: tuple[int, ...]
    parent: int
    orphan_signal: int

    def packed(self) -> bytes:
        """As `read` takes it."""
        return orjson.dumps(asdict(self))

    @classmethod
    def read(cls, message: bytes) -> ForkRequest:
        """What was `packed`."""
        words = orjson.loads(message)
        return cls(**words | {name: tuple(words[name]) for name in ("arguments", "descriptors")})


def serve_fork_requests(control: socket.socket) -> ForkRequest:
    """Serve orders until `control` ends. Returns in each child, with the request that it was made for: it is the
    supervisor's child then, has a session, an environment, a title and descriptors of its own, and has to go on as
    `slipway <arguments>`."""
    import setproctitle  # there is none elsewhere than on Linux

    if threading.active_count() > 1:
        raise ConfigError("an import started a thread: this process must not be forked")
    setproctitle.setproctitle(setproctitle.getproctitle())  # finds its place once, before the environment changes
    name_process("slipway fork")
    libc = ctypes.CDLL(None)
    gc.collect()
    gc.freeze()
    while True:
        message, handed, _, _ = socket.recv_fds(control, _LARGEST_ORDER, MOST_DESCRIPTORS)
        if not message:
            sys.exit(0)
        if _fork_twice():
            control.close()
            request = ForkRequest.read(message)
            _set_up_child(request, handed, libc)
            return request
        for descriptor in handed:
            os.close(descriptor)


def _fork_twice() -> bool:
    """Whether this is the child now. When there is no process to be had the request's socket ends unanswered."""
    try:
        between = os.fork()
    except OSError:
        return False
    if between:
        os.waitpid(between, 0)
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
    answer, *descriptors = _move_descriptors(handed, above=max(request.descriptors, default=2))
    _send_pid(answer)
    for descriptor, number in zip(descriptors, request.descriptors, strict=True):
        os.dup2(descriptor, number, inheritable=False)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request.env)
    sys.argv[1:] = request.arguments
    setproctitle.setproctitle(request.shown)


def _set_parent_death_signal(parent: int, orphan_signal: int, libc: ctypes.CDLL) -> None:
    """Wait until we are `parent`'s child, and have the kernel signal us when it goes. The signal is the parent's only
    from that moment on, so the same means tells us first that the process between has gone."""
    adopted = signal.SIGUSR1
    signal.pthread_sigmask(signal.SIG_BLOCK, {adopted})
    libc.prctl(PR_SET_PDEATHSIG, int(adopted))
    if os.getppid() != parent:
        signal.sigtimedwait({adopted}, _ADOPTED_WITHIN_S)
    libc.prctl(PR_SET_PDEATHSIG, orphan_signal)
    if os.getppid() != parent:  # it has gone, or no longer wants children
        os._exit(1)
    signal.sigtimedwait({adopted}, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {adopted})


def _move_descriptors(descriptors: list[int], above: int) -> list[int]:
    """The same files under numbers that are in nobody's way."""
    lifted = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above + 1) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    return lifted


def _send_pid(answer: int) -> None:
    """Tell the supervisor our pid and go on if it wants us."""
    with socket.socket(fileno=answer) as supervisor, suppress(OSError):
        supervisor.send(str(os.getpid()).encode())
        if supervisor.recv(len(CHILD_ACCEPTED)) == CHILD_ACCEPTED:
            return
    os._exit(1)
