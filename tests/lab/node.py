# SPDX-License-Identifier: Apache-2.0
"""A node and the world beyond it, as two network namespaces.

    peer --eth0--- uplink-- node --veth---- pod, pod, ...

Traffic between a pod and the peer is forwarded by the node, as it is on a real one.
"""
from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from . import namespace, process
from .build import Build
from .built import Built
from .bus import Bus
from .namespace import Namespace
from .natrad import Natrad
from .traffic import Server

PREFIX = "natra-lab"
BPFFS = Path("/sys/fs/bpf")
PEER_V4, NODE_V4 = "198.18.0.2", "198.18.0.1"
PEER_V6, NODE_V6 = "fd6e:6174::2", "fd6e:6174::1"

_serial = itertools.count(1)


class Node(Built):
    """with Node(build) as node: ...; natrad is started by start_natrad()."""

    def __init__(self, build: Build, *, ecn: bool = False) -> None:
        self.build = build
        self._ecn = ecn
        self._cleanup = contextlib.ExitStack()
        self.label = f"{PREFIX}-{owner()}-{next(_serial)}"
        self._bus: Bus | None = None
        self._pods = itertools.count(1)
        self.natrad: Natrad | None = None

    def _build_up(self) -> None:
        remove_stale()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.label}-"))
        self._cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.host = self.add_namespace("node")
        self.peer = self.add_namespace("peer")
        self._connect()

    def _connect(self) -> None:
        """Of host, peer, folder: a path between them, and a server for traffic."""
        for each in (self.host, self.peer):
            each.sysctls({f"net.{family}.conf.all.forwarding": int(each is self.host) for family in ("ipv4", "ipv6")})
            self.tune(each)
        self.host.run(["ip", "link", "add", "uplink", "type", "veth",
                       "peer", "name", "eth0", "netns", self.peer.name])
        for where, device, v4, v6 in ((self.host, "uplink", NODE_V4, NODE_V6),
                                      (self.peer, "eth0", PEER_V4, PEER_V6)):
            where.run(["ip", "addr", "add", f"{v4}/24", "dev", device])
            where.run(["ip", "-6", "addr", "add", f"{v6}/64", "dev", device, "nodad"])
            where.run(["ip", "link", "set", device, "up"])
        self.peer.run(["ip", "route", "add", "default", "via", NODE_V4])
        self.peer.run(["ip", "-6", "route", "add", "default", "via", NODE_V6])
        self.server = Server(self.build.traffic, self.peer, self.folder / "traffic.sock")
        self._cleanup.callback(self.server.stop)

    def _take_down(self) -> None:
        self._cleanup.close()

    def add_namespace(self, role: str) -> Namespace:
        """A namespace that goes away with the node, or earlier by its delete()."""
        made = Namespace(f"{self.label}-{role}")
        self._cleanup.callback(made.delete)
        return made

    def tune(self, where: Namespace) -> None:
        """What a measurement needs of a namespace that sends or receives."""
        where.sysctls({
            # What one run learnt of the path must not help or hurt the next.
            "net.ipv4.tcp_no_metrics_save": 1,
            "net.ipv4.tcp_ecn": 1 if self._ecn else 2,
            # Plugins wait for duplicate address detection: 2 s for every pod.
            "net.ipv6.conf.default.accept_dad": 0,
            "net.ipv6.conf.all.accept_dad": 0})

    @property
    def bus(self) -> Bus:
        if self._bus is None:
            self._bus = Bus(self.folder)
            self._cleanup.callback(self._bus.stop)
        return self._bus

    @property
    def pins(self) -> Path:
        """Where natrad pins what outlives it."""
        return BPFFS / self.label

    def start_natrad(self, executable: Path | None = None, **env: str) -> Natrad:
        """Once per node; env: NATRA_SHAPER="htb" and the like. executable: what becomes natrad, by default natrad."""
        assert self.natrad is None, "this node has its natrad"
        self.natrad = Natrad(executable or self.build.natrad, self.host, self.bus, self.folder / "run",
                             self.pins, self.folder / "natrad.log", env)
        # In reverse: natrad first, then the pins that outlive it by design.
        self._cleanup.callback(remove_pins, self.natrad.pins)
        self._cleanup.callback(self.natrad.stop)
        self.natrad.start()
        return self.natrad

    def plugin_environment(self) -> Mapping[str, str]:
        """For the natra plugin: the same bus and folders as natrad's, whether it runs or not."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.bus.address,
                "NATRA_RUNTIME_DIR": str(self.folder / "run"), "NATRA_BPFFS_DIR": str(self.pins)}

    @property
    def api_socket(self) -> Path:
        """A place for natrad's REST interface; NATRA_API_SOCKET has it listen there."""
        return self.folder / "api.sock"

    def next_pod(self) -> int:
        return next(self._pods)

    def defer(self, callback: object, *arguments: object) -> None:
        """Calls it when the node goes away."""
        self._cleanup.callback(callback, *arguments)  # type: ignore[arg-type]


def remove_pins(folder: Path) -> None:
    """rm -r on the BPF file system, which knows no rmtree of files with content."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            remove_pins(entry)
        else:
            entry.unlink(missing_ok=True)
    folder.rmdir()


def pid_namespace() -> int:
    """Containers may share the BPF file system, and each has its own process ids."""
    return os.stat("/proc/self/ns/pid").st_ino


def owner() -> str:
    """Who makes nodes: a process, by its namespace and id."""
    # A run in a namespace of its own tells by whom outside it may be cleaned up after.
    return os.environ.get("NATRA_LAB_OWNER") or f"{pid_namespace()}-{os.getpid()}"


def is_stale(name: str) -> bool:
    """Is it an earlier run's, that was killed without a chance to clean up?"""
    namespace_and_pid = name.removeprefix(f"{PREFIX}-").split("-")[:2]
    return (name.startswith(f"{PREFIX}-{pid_namespace()}-") and namespace_and_pid[-1].isdigit()
            and not Path(f"/proc/{namespace_and_pid[-1]}").exists())


def remove_stale() -> None:
    """What an earlier run left."""
    remove_those(f"{PREFIX}-{pid_namespace()}-", is_stale)


def remove_all(of: str) -> None:
    """What an owner left, who must have ended."""
    remove_those(f"{PREFIX}-{of}-", lambda _name: True)


def remove_those(prefix: str, unwanted: Callable[[str], bool]) -> None:
    for folder, remove in ((namespace.FOLDER, lambda path: process.run(
            ["ip", "netns", "del", path.name], check=False)),
                           (BPFFS, remove_pins),
                           (Path(tempfile.gettempdir()), lambda path: shutil.rmtree(path, True))):
        if folder.is_dir():
            for path in folder.glob(f"{prefix}*"):
                if unwanted(path.name):
                    remove(path)
