# SPDX-License-Identifier: Apache-2.0
"""A place for container runtimes: mounts, processes and fixed folders of its own.

Runtimes leave shims, mounts and files at fixed places behind when they are
interrupted. Within namespaces of process ids and mounts, the kernel removes all
of that when the first process ends, however it ends. What is left to remove
from outside are control groups and what the lab keeps in other places.
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from . import node, process

# tmpfs inside: shim sockets, network namespaces and locks; libcni's result cache; podman's locks.
PRIVATE_FOLDERS = ("/run", "/var/lib/cni", "/dev/shm")
CGROUPS = Path("/sys/fs/cgroup")
CLONE_NEWNS = 0x20000
SCRIPT = """set -e
for folder in $1; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
shift
exec "$@"
"""


def private_mounts() -> None:
    """What this process and its children mount is theirs from now on, and control groups can be made.

    A container's manager may have mounted them to be read only.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNS)")
    process.run(["mount", "--make-rprivate", "/"])
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and "ro" in options.split(","):
            process.run(["mount", "-o", "remount,bind,rw", where])


def run(argv: Sequence[str]) -> int:
    """Runs it as the first process of such a place; its exit status. SIGTERM and Ctrl-C end it."""
    owner = f"{node.pid_namespace()}-{os.getpid()}"
    private_mounts()
    node.remove_stale()
    for path in cgroups(node.PREFIX):
        if node.is_stale(path.name):
            remove_cgroups(path.name)
    with contextlib.ExitStack() as cleanup:
        for folder in map(Path, PRIVATE_FOLDERS):
            if not folder.is_dir():
                folder.mkdir(parents=True)
                cleanup.callback(folder.rmdir)
        cleanup.callback(node.remove_all, owner)
        cleanup.callback(remove_cgroups, f"{node.PREFIX}-{owner}")
        child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL",
             "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", SCRIPT, "sh", " ".join(PRIVATE_FOLDERS), *argv],
            env=process.merged({"NATRA_LAB_OWNER": owner}), start_new_session=True)
        cleanup.callback(end, child)
        try:
            return child.wait()
        except KeyboardInterrupt as e:
            return 128 + getattr(signal, str(e), signal.SIGINT)


def end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
    child.wait(10)


def cgroups(prefix: str) -> list[Path]:
    """Control groups with such a name, in all hierarchies, and those below them, the deepest first."""
    found = [path for path in CGROUPS.rglob(f"{prefix}*") if path.is_dir()]
    below = [path for top in found for path in top.rglob("*") if path.is_dir()]
    return sorted({*found, *below}, key=lambda path: -len(path.parts))


def remove_cgroups(prefix: str, timeout: float = 10) -> None:
    """Gives processes that were killed the time to end."""
    deadline = time.monotonic() + timeout
    while found := cgroups(prefix):
        for path in found:
            with contextlib.suppress(OSError):
                path.rmdir()
        if time.monotonic() > deadline:
            raise RuntimeError(f"control groups are left: {', '.join(map(str, cgroups(prefix)))}")
        time.sleep(0.02)
