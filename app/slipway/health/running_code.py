"""What an event loop executes at this moment, as another thread sees it: the task, what it works for, and the stack."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Final

from langgraph.config import get_config

from slipway.blocked_loop import context_of
from slipway.current_work import CURRENT_WORK

MAX_FRAMES: Final = 8
MAX_PROJECT_FRAMES: Final = 5
"""The rest of `MAX_FRAMES` is for the innermost frames of libraries, which say what the project's code waits for."""

_LIBRARIES: Final = tuple(
    sorted({path for name, path in sysconfig.get_paths().items() if name.endswith("lib")}, key=len, reverse=True)
)
"""The folders of Python and of installed packages, the longest path first."""

_OWN_PACKAGES: Final = ("slipway", "slipway_workers")


@dataclass(frozen=True, slots=True)
class RunningCode:
    """`task` has the names of the task and its coroutine, and is empty between two tasks. `work` has the run, the graph
    and the node, or the request, as far as they are known. `stack` has frames as `file:line function`, first those of
    the project's own code, then those of libraries; the innermost of each come first."""

    task: Mapping[str, str]
    work: Mapping[str, str | int]
    stack: list[str]


def running_code(loop: asyncio.AbstractEventLoop, thread_id: int, project: Path) -> RunningCode:
    """Describes what `loop`, which runs in the thread `thread_id`, executes now. The paths of the files in the folder
    `project` are relative to it."""
    task, frame = asyncio.current_task(loop), sys._current_frames().get(thread_id)
    stack = _shortened(frame, project)
    if task is None:
        return RunningCode({}, {}, stack)
    names = {"task": task.get_name(), "coroutine": str(getattr(task.get_coro(), "__qualname__", task.get_coro()))}
    return RunningCode(names, _work_of(task), stack)


def _work_of(task: asyncio.Task[Any]) -> dict[str, str | int]:
    # a context cannot be entered twice, but its copy can
    return context_of(task).copy().run(_work_in_context)


def _work_in_context() -> dict[str, str | int]:
    work = dict(CURRENT_WORK.get())
    try:
        config = get_config()
    except RuntimeError:  # not in a graph
        return work
    node = (config.get("metadata") or {}).get("langgraph_node")
    return work if node is None else work | {"node": str(node)}


def _shortened(innermost: FrameType | None, project: Path) -> list[str]:
    frames = list(_frames(innermost))
    own = [frame for frame in frames if not _is_library(frame)][:MAX_PROJECT_FRAMES]
    libraries = (frame for frame in frames if _is_library(frame))
    return [_line(frame, project) for frame in (*own, *islice(libraries, MAX_FRAMES - len(own)))]


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_library(frame: FrameType) -> bool:
    file, package = frame.f_code.co_filename, str(frame.f_globals.get("__name__")).partition(".")[0]
    return package in _OWN_PACKAGES or file.startswith("<") or _folder_of(file, _LIBRARIES) is not None


def _folder_of(file: str, folders: tuple[str, ...]) -> str | None:
    return next((folder for folder in folders if file.startswith(f"{folder}/")), None)


def _line(frame: FrameType, project: Path) -> str:
    code = frame.f_code
    folder = _folder_of(code.co_filename, (*_LIBRARIES, str(project)))
    file = code.co_filename if folder is None else code.co_filename[len(folder) + 1 :]
    return f"{file}:{frame.f_lineno} {code.co_name}"
