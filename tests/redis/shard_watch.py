"""Watches a server: a script, or a command with several keys, must use keys of one shard only.

A plain server would accept keys of several shards, and a cluster would not. So the tests that execute with several
shards (`SLIPWAY_TEST_SHARDS`) watch all commands of the server with MONITOR, also those that scripts execute.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Final

_LINE: Final = re.compile(rb"^\+?\d+\.\d+ \[\d+ (?P<client>[^\]]*)\] (?P<words>.*)$")
_SHARD: Final = re.compile(rb'"((?:test|shards)-[0-9a-f-]+\{[^}"]+\})')
"""An argument that begins with the prefix of a shard. Values that contain such a name do not begin with it."""

_OF_A_TEST: Final = b"-- a test looks into all shards"
"""The script of a test that has this line may read several shards at one moment."""

_WITHIN_S: Final = 10.0


class ShardWatch:
    """What a server executes, from `watching` on."""

    def __init__(self) -> None:
        self.problems: set[str] = set()
        """Commands and scripts that have used keys of several shards."""
        self.scripts = 0
        """How many calls of scripts were seen that used keys of a shard."""
        self._call = b""
        self._shards: set[bytes] = set()

    def see(self, line: bytes) -> None:
        """Reads one line of MONITOR. The commands of a script follow its call."""
        match = _LINE.match(line)
        if match is None:
            return
        found = set(_SHARD.findall(match["words"]))
        if match["client"] == b"lua":
            self._shards |= found
            return
        self._end_call()
        if match["words"][:9].lower().startswith((b'"evalsha"', b'"eval"')):
            self._call, self._shards = match["words"], found
        elif len(found) > 1 and not match["words"].lower().startswith(b'"subscribe"'):
            self._report(match["words"], found)

    def _end_call(self) -> None:
        if self._shards:
            self.scripts += 1
        if len(self._shards) > 1 and _OF_A_TEST not in self._call:
            self._report(self._call, self._shards)
        self._call, self._shards = b"", set()

    def _report(self, words: bytes, shards: set[bytes]) -> None:
        self.problems.add(f"{b' '.join(sorted(shards)).decode()}: {words[:300].decode(errors='replace')}")


@contextlib.contextmanager
def watching(path: str) -> Iterator[ShardWatch]:
    """Watches the server at this unix socket during the block. Complete at its end."""
    watch, marker = ShardWatch(), uuid.uuid4().hex.encode()
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(path)
        monitor.sendall(b"MONITOR\r\n")
        reader = monitor.makefile("rb")
        assert reader.readline() == b"+OK\r\n"

        def read() -> None:
            for line in reader:
                watch.see(line.rstrip())
                if marker in line:
                    return

        thread = threading.Thread(target=read, name="shard watch", daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(path)
                last.sendall(b"ECHO %b\r\n" % marker)
                last.recv(100)
            thread.join(_WITHIN_S)
            assert not thread.is_alive(), "MONITOR is behind"
