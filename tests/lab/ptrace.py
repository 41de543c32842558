# SPDX-License-Identifier: Apache-2.0
"""One thread of a process held still while its others run."""
from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int) -> None:
    if _libc.ptrace(request, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {pid}")


@contextlib.contextmanager
def held(pid: int, thread: str) -> Iterator[None]:
    """The thread of that name stands still meanwhile."""
    names = {int(task.name): (task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()}
    (tid,) = [number for number, name in names.items() if name == thread]
    _ptrace(SEIZE, tid)
    _ptrace(INTERRUPT, tid)
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        _ptrace(DETACH, tid)


def hold_main_thread(pid: int, seconds: float) -> int:
    """Until the process dies of something else. The signal that killed it; TimeoutError if nothing did."""
    _ptrace(SEIZE, pid)
    _ptrace(INTERRUPT, pid)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        got, status = os.waitpid(pid, WALL | os.WNOHANG)
        # What stops it now and then is left alone: it is not let go.
        if got and os.WIFSIGNALED(status):
            return os.WTERMSIG(status)
        time.sleep(0.05)
    raise TimeoutError(f"{pid} lives after {seconds:g} s without its main thread")
