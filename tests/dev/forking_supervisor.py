"""A supervisor that forks its children: `python -m tests.dev.forking_supervisor SETTINGS`, a process of its own because
a process with threads, such as one of pytest-xdist, cannot fork.

SETTINGS is JSON: `workers` are the names of the children, `arguments` those of `slipway`, `env` their variables,
`passed` a file that is open in the children, `kept` one that is open in the supervisor only. With `thread`, the
supervisor has a second thread until it gets SIGUSR1.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from typing import Any

from slipway.cli import main as slipway_main
from slipway.logs.configuration import configure
from slipway.processes.child_commands import slipway
from slipway.processes.exit_codes import exit_on_errors_to_fix
from slipway.processes.forking import Forker, run_without_threads
from slipway.processes.supervisor import ChildSpec, Supervisor, stop_requests
from slipway.settings import Settings


async def supervise(given: dict[str, Any]) -> None:
    """Runs until SIGTERM."""
    passed, _ = (os.open(given[name], os.O_RDONLY) for name in ("passed", "kept"))
    supervisor, arguments = Supervisor(), tuple(given["arguments"])
    supervisor.forker = Forker(slipway_main)
    if given.get("thread"):
        thread_may_end = threading.Event()
        threading.Thread(target=thread_may_end.wait, daemon=True).start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, thread_may_end.set)
    specs = [
        ChildSpec(name, slipway(*arguments), arguments, given["env"], (passed,), stop_within_s=5)
        for name in given["workers"]
    ]
    with stop_requests(supervisor.kill) as stop:
        try:
            await asyncio.gather(*map(supervisor.start_child, specs))
            await supervisor.run_until(stop)
        finally:
            await supervisor.stop()


if __name__ == "__main__":
    configure(Settings.from_values({"log_format": "json"}), "supervisor")
    with exit_on_errors_to_fix():
        run_without_threads(supervise(json.loads(sys.argv[1])))
