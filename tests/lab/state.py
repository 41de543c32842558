# SPDX-License-Identifier: Apache-2.0
"""A program's state (struct natra_state of bpf/natra_abi.h) by its pin: what a test puts there, the program and natrad see."""
from __future__ import annotations

import ctypes
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ABI, _STATE_BYTES = 4, 53376  # whose layout the rest is
_CELLS, _CELLS_END = 4 * 1024, 45640
_CONFIG, _CONFIG_BYTES = 48, 184
_UNIT_SHIFT, _GUARD = 168, 164  # in a configuration


@contextmanager
def mapped(pin: str) -> Iterator[mmap.mmap]:
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    descriptor: Any = libbpf.bpf_obj_get(pin.encode())
    assert descriptor >= 0, os.strerror(ctypes.get_errno())
    try:
        with mmap.mmap(descriptor, mmap.PAGESIZE) as first:
            length = struct.unpack_from("=I", first, 4)[0]
        with mmap.mmap(descriptor, length) as state:
            yield state
    finally:
        os.close(descriptor)


def write_abi(pin: str, abi: int) -> None:
    """As another natrad would have written it."""
    with mapped(pin) as state:
        struct.pack_into("=I", state, 0, abi)


def fill_sketch(pin: str) -> None:
    """As if every flow had just sent as much as a flow can be held to have sent."""
    with mapped(pin) as state:
        layout = struct.unpack_from("=II", state, 0)
        assert layout == (_ABI, _STATE_BYTES), f"natra_state is another one: {layout}"
        config = _CONFIG + _CONFIG_BYTES * (struct.unpack_from("=I", state, 8)[0] & 1)
        unit_shift = struct.unpack_from("=I", state, config + _UNIT_SHIFT)[0]
        guard = struct.unpack_from("=I", state, config + _GUARD)[0]
        level = ((time.monotonic_ns() >> unit_shift) + guard) & 0xffffffff
        cells = struct.pack("=I", level) * _CELLS
        state[_CELLS_END - len(cells):_CELLS_END] = cells
