# SPDX-License-Identifier: Apache-2.0
"""Other agents' BPF programs: pinned for tc filters, or on tcx hooks."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from . import process
from .namespace import Namespace

# Loads a program that returns a verdict, says its id and stays until its input ends. Arguments: verdict, and
# "pin" PATH, or "tcx" DEVICE "ingress"|"egress" "first"|"last".
SCRIPT = """
import ctypes, os, resource, socket, struct, sys
try:  # before 5.11 the kernel charges BPF memory to this limit
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (OSError, ValueError):
    pass  # not permitted; newer kernels do without
verdict, how, *rest = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attributes):
    room = ctypes.create_string_buffer(attributes.ljust(144, b"\\0"), 144)
    answer = libc.syscall(321, command, room, 144)
    if answer < 0:
        sys.exit(f"bpf command {command}: {os.strerror(ctypes.get_errno())}")
    return answer
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, int(verdict), 0x95, 0, 0, 0))
licence = ctypes.create_string_buffer(b"GPL")
program = bpf(5, struct.pack("<IIQQIIQII", 3, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0)
              + b"foreign".ljust(16, b"\\0"))
info = ctypes.create_string_buffer(256)
bpf(15, struct.pack("<IIQ", program, 256, ctypes.addressof(info)))
if how == "pin":
    path = ctypes.create_string_buffer(rest[0].encode())
    bpf(6, struct.pack("<QI", ctypes.addressof(path), program))
else:
    device, hook, place = rest
    link = bpf(28, struct.pack("<IIII", program, socket.if_nametoindex(device), {"ingress": 46, "egress": 47}[hook],
                               {"first": 8, "last": 16}[place]))
print(struct.unpack_from("<I", info.raw, 4)[0], flush=True)
sys.stdin.read()
"""


class Program:
    """A foreign program while the `with` block lasts; runs() wants kernel.bpf_stats_enabled."""

    NEXT, PASS = -1, 0  # PASS ends the chain

    def __init__(self, where: Namespace, verdict: int, *how: str) -> None:
        self._process = where.start([sys.executable, "-c", SCRIPT, str(verdict), *how], stdin=subprocess.PIPE)
        first = self._process.first_line().strip()
        if not first:
            self._process.stop()
            raise RuntimeError(f"no foreign program: {how}")
        self.program = int(first)
        self._pin = Path(how[1]) if how[0] == "pin" else None

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.stop()
        if self._pin is not None:
            self._pin.unlink(missing_ok=True)

    def runs(self) -> int:
        shown = json.loads(process.run(["bpftool", "-j", "prog", "show", "id", str(self.program)]).stdout)
        return int(shown.get("run_cnt", 0))
