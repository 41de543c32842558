# SPDX-License-Identifier: Apache-2.0
"""One thread of a process held still while its others run."""
from __future__ import annotations

import ctypes
import os
import time

SEIZE, INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int) -> None:
    if _libc.ptrace(request, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {pid}")


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
