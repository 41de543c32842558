# SPDX-License-Identifier: Apache-2.0
"""natrad on a private bus, in the namespace that plays the node."""
from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import process
from .bus import Bus, BusError
from .namespace import Namespace

SERVICE = "io.natra.Natrad1"
ROOT = "/io/natra/Natrad1"
MANAGER = "io.natra.Natrad1.Manager"
ATTACHMENT = "io.natra.Natrad1.Attachment"


@dataclasses.dataclass
class Natrad:
    executable: Path
    host: Namespace
    bus: Bus
    runtime: Path  # state and spool
    pins: Path
    log: Path
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    _process: process.Background | None = None

    def environment(self) -> dict[str, str]:
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.bus.address, "NATRA_RUNTIME_DIR": str(self.runtime),
                "NATRA_BPFFS_DIR": str(self.pins),
                # Other pods of this machine are none of the node's.
                "NATRA_CNI_CACHE": str(self.runtime.parent / "cni-cache"),
                # Tests have few pods, and an emulated processor takes long to verify a program.
                "NATRA_POOL_SIZE": os.environ.get("NATRA_POOL_SIZE", "16"), **self.env}

    @property
    def pid(self) -> int:
        assert self._process is not None, "natrad was not started"
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def fate(self) -> str:
        return "stopped" if self._process is None else self._process.fate()

    def start(self, timeout: float = 20) -> None:
        """Returns when its name is on the bus."""
        self._process = self.host.start([str(self.executable)], env=self.environment(), log=self.log)
        deadline = time.monotonic() + timeout
        while not self.bus.has_owner(SERVICE):
            if not self.running() or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"natrad did not come up; its log:\n{self.log_tail()}")
            time.sleep(0.02)

    def stop(self) -> int | None:
        """SIGTERM. The exit status, None if it was not running."""
        if self._process is None:
            return None
        status = self._process.stop()
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up. Returns when its name is off the bus too."""
        assert self._process is not None
        self._process.kill()
        self._process = None
        deadline = time.monotonic() + 5
        while self.bus.has_owner(SERVICE) and time.monotonic() < deadline:
            time.sleep(0.01)

    def restart(self) -> None:
        self.stop()
        self.start()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "natrad was not started"
        self._process.signal(number)

    def log_tail(self, lines: int = 15) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def descriptors(self) -> dict[str, int]:
        """How many of each kind it has open: {"anon_inode:bpf-map": 9, "socket": 4}."""
        kinds: Counter[str] = Counter()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                target = str(entry.readlink())
            except FileNotFoundError:
                continue  # closed since
            # "socket:[123]", "pipe:[4]", "net:[5]": what is in brackets differs for each.
            kinds[target.partition(":[")[0]] += 1
        return dict(kinds)

    def resident_mib(self) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"natrad, process {self.pid}, has no memory")

    # The D-Bus interface

    def call(self, path: str, interface: str, method: str, signature: str = "",
             *arguments: object) -> list[Any]:
        return self.bus.call(SERVICE, path, interface, method, signature, *arguments)

    def status(self) -> dict[str, Any]:
        answer = self.call(ROOT, MANAGER, "Status")[0]
        return {name: value["data"] for name, value in answer.items()}

    def wait_for_pool(self, ready: int, timeout: float = 10) -> None:
        deadline = time.monotonic() + timeout
        while self.status()["PoolReady"] < ready:
            if time.monotonic() > deadline:
                raise RuntimeError(f"natrad's pool has {self.status()['PoolReady']} of {ready} instances")
            time.sleep(0.05)

    def attachments(self) -> list[str]:
        """The object paths of all attachments, sorted."""
        return sorted(path for path in self.bus.tree(SERVICE) if path.startswith(f"{ROOT}/attachment/"))

    def find(self, container_id: str, interface: str = "eth0") -> str | None:
        """The object path of an attachment."""
        for path in self.attachments():
            try:
                found = self.properties(path)
            except BusError:
                continue  # gone since
            if (found["ContainerId"], found["InterfaceName"]) == (container_id, interface):
                return path
        return None

    def properties(self, path: str) -> dict[str, Any]:
        return self.bus.properties(SERVICE, path, ATTACHMENT)

    def counters(self, path: str, direction: str) -> dict[str, int]:
        raw = self.properties(path)[f"{direction.capitalize()}Counters"]
        return {name: int(value) for name, value in raw.items()}

    def set_limits(self, path: str, **limits: int) -> None:
        """set_limits(path, IngressRate=10_000_000): bit/s and bits."""
        words: list[object] = [len(limits)]
        for name, value in limits.items():
            words += [name, "t", value]
        self.call(path, ATTACHMENT, "SetLimits", "a{sv}", *words)

    def reset_limits(self, path: str) -> None:
        self.call(path, ATTACHMENT, "ResetLimits")

    def heavy_flows(self, path: str, direction: str, top: int = 0) -> list[dict[str, Any]]:
        answer = self.call(path, ATTACHMENT, "HeavyFlows", "su", direction, top)[0]
        return [{name: value["data"] for name, value in flow.items()} for flow in answer]
