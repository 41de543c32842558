# SPDX-License-Identifier: Apache-2.0
"""A journald that keeps what it is sent, for natrad's lines with their fields."""
from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from . import isolation, process

FOLDER = Path("/run/systemd/journal")
Entry = dict[str, str]


class Journal:
    """In the place of the system's, for this process and its children. One for a process, before it has threads."""

    def __init__(self) -> None:
        isolation.private_mounts()
        top = FOLDER.parent
        top.mkdir(exist_ok=True)
        process.run(["mount", "-t", "tmpfs", "none", str(top)])
        FOLDER.mkdir()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(str(FOLDER / "socket"))
        self._entries: list[Entry] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while data := self._socket.recv(1 << 18):
            self._entries.append(parse(data))

    @staticmethod
    def environment(log: Path) -> dict[str, str]:
        """For a process whose stderr is this file: it is to take it for the journal's, as systemd does it."""
        log.touch()
        status = log.stat()
        return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}

    def entries(self, **fields: str) -> list[Entry]:
        """Those with these fields, in their order; what was sent just before may be missing."""
        return [each for each in list(self._entries) if fields.items() <= each.items()]

    def wait_for(self, count: int, timeout: float = 20, **fields: str) -> list[Entry]:
        """At least so many."""
        deadline = time.monotonic() + timeout
        while len(found := self.entries(**fields)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} entries with {fields}: {self._entries[-5:]}")
            time.sleep(0.02)
        return found


def parse(data: bytes) -> Entry:
    """journald's native protocol: NAME=value, or NAME and the length where a value has line ends."""
    out = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(data[:8], "little")
            value, data = data[8:8 + length], data[9 + length:]
        out[name.decode()] = value.decode()
    return out
