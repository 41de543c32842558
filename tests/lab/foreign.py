# SPDX-License-Identifier: Apache-2.0
"""Other agents' BPF programs: pinned for tc filters, or on tcx hooks."""
from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from . import process
from .namespace import Namespace

# Loads a program, says its id and stays until its input ends. Arguments: its instructions in hex, and "pin" PATH,
# or "tcx" DEVICE "ingress"|"egress" "first"|"last".
SCRIPT = """
import ctypes, os, resource, socket, struct, sys
try:  # before 5.11 the kernel charges BPF memory to this limit
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (OSError, ValueError):
    pass  # not permitted; newer kernels do without
instructions, how, *rest = sys.argv[1:]
instructions = bytes.fromhex(instructions)
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attributes):
    room = ctypes.create_string_buffer(attributes.ljust(144, b"\\0"), 144)
    answer = libc.syscall(321, command, room, 144)
    if answer < 0:
        sys.exit(f"bpf command {command}: {os.strerror(ctypes.get_errno())}")
    return answer
code = ctypes.create_string_buffer(instructions, len(instructions))
licence = ctypes.create_string_buffer(b"GPL")
program = bpf(5, struct.pack("<IIQQIIQII", 3, len(instructions) // 8, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0)
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

R0, R1, R2, R3, R4, R5, R6, R10 = 0, 1, 2, 3, 4, 5, 6, 10


def instruction(code: int, to: int = 0, source: int = 0, offset: int = 0, constant: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | to, offset, constant)


def move(to: int, constant: int) -> bytes:
    return instruction(0xb7, to, constant=constant)


def move_register(to: int, source: int, plus: int = 0) -> bytes:
    return instruction(0xbf, to, source) + instruction(0x07, to, constant=plus)


def call(helper: int) -> bytes:
    return instruction(0x85, constant=helper)


EXIT = instruction(0x95)


def redirect_to_peer(address: str, mac: str, host_mac: str, host_ifindex: int) -> bytes:
    """What Cilium's BPF host routing and Calico's eBPF mode do at the node's uplink to packets for a pod: they are
    received by its own device next, past the host's."""
    load_bytes, store_bytes, redirect_peer = 26, 9, 155
    protocol, ipv4, destination = 16, 0x0008, 30
    macs = bytes.fromhex((mac + host_mac).replace(":", ""))
    redirect = b"".join(instruction(0x62, R10, offset=-24 + at, constant=word)  # *(u32 *)(r10 + offset)
                        for at, word in zip((0, 4, 8), struct.unpack("<iii", macs)))
    redirect += (move_register(R1, R6) + move(R2, 0) + move_register(R3, R10, -24) + move(R4, 12) + move(R5, 0)
                 + call(store_bytes) + move(R1, host_ifindex) + move(R2, 0) + call(redirect_peer) + EXIT)
    (wanted,) = struct.unpack("<i", socket.inet_aton(address))
    is_for_pod = instruction(0x61, R0, R10, -8) + instruction(0x56, R0, offset=len(redirect) // 8, constant=wanted)
    is_there = instruction(0x55, R0, offset=(len(is_for_pod) + len(redirect)) // 8)
    load = (move_register(R1, R6) + move(R2, destination) + move_register(R3, R10, -8) + move(R4, 4) + call(load_bytes)
            + is_there)
    is_ipv4 = instruction(0x61, R0, R6, protocol) + instruction(
        0x55, R0, offset=(len(load) + len(is_for_pod) + len(redirect)) // 8, constant=ipv4)
    return move_register(R6, R1) + is_ipv4 + load + is_for_pod + redirect + move(R0, Program.NEXT) + EXIT


class Program:
    """A foreign program while the `with` block lasts; runs() wants kernel.bpf_stats_enabled. It returns a verdict, or
    is made of instructions, as those of redirect_to_peer()."""

    NEXT, PASS = -1, 0  # PASS ends the chain

    def __init__(self, where: Namespace, does: int | bytes, *how: str) -> None:
        code = does if isinstance(does, bytes) else move(R0, does) + EXIT
        self._process = where.start([sys.executable, "-c", SCRIPT, code.hex(), *how], stdin=subprocess.PIPE)
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
