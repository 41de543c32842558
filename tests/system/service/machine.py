# SPDX-License-Identifier: Apache-2.0
"""A Debian system booted by systemd-nspawn, and what the lab needs of it as a node."""
from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lab import process
from lab.build import STOCK_FOLDERS
from lab.bus import Bus
from lab.namespace import FOLDER, Namespace
from lab.natrad import Natrad
from lab.node import Node

TRAFFIC = Path("/usr/local/bin/natra-traffic")
# As scripts/lib/debian_root.sh has them; a container does not see the kernel's log.
PRIVILEGED = ("--register=no", "--keep-unit", "--capability=all",
              "--system-call-filter=bpf perf_event_open keyctl add_key request_key")
# What a login has.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "DEBIAN_FRONTEND": "noninteractive"}


def wait_for(what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


class Machine:
    """root: its file system, which it changes. folder: for what is this machine's on the outside."""

    def __init__(self, root: Path, folder: Path, traffic: Path) -> None:
        self.root = root
        self.folder = folder
        self._bpffs = folder / "bpffs"
        self.traffic = traffic
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.leader = 0
        self._count = itertools.count(1)

    # Without an init

    def chroot(self, argv: Sequence[str], *, network: bool = False, timeout: float = 300,
               binds: Sequence[str] = ()) -> str:
        """A command in the root where nothing runs: no init, no bus, no BPF, no privileges beyond a container's."""
        assert self._nspawn is None, "the machine runs"
        options = [f"--bind-ro={bind}" for bind in binds]
        options += ["--resolv-conf=replace-host"] if network else ["--private-network"]
        done = process.run(["systemd-nspawn", "--quiet", f"--directory={self.root}", "--register=no", "--keep-unit",
                            "--as-pid2", "--pipe", "--setenv=DEBIAN_FRONTEND=noninteractive", *options, *argv],
                           timeout=timeout)
        return done.stdout + done.stderr

    # Booted

    def boot(self) -> None:
        """Returns when systemd has started everything. The BPF file system is empty, as after a real boot."""
        self._bpffs.mkdir(exist_ok=True)
        process.run(["mount", "-t", "bpf", "bpf", str(self._bpffs)])
        console = self.folder / f"console-{next(self._count)}.log"
        with console.open("wb") as log:
            self._nspawn = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "systemd-nspawn", "--quiet", f"--directory={self.root}",
                 f"--machine=natra-{os.getpid()}", "--boot", *PRIVILEGED, "--private-network", "--console=pipe",
                 f"--bind={self._bpffs}:/sys/fs/bpf", f"--bind-ro={self.traffic}:{TRAFFIC}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                # Systemd 256 and later start on no other; on a host with the old one, this works all the same.
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        try:
            wait_for("an init process", self._find_leader, 30)
            wait_for("the end of the boot", self._has_booted, 180)
        except TimeoutError as e:
            text = console.read_text(errors="replace")[-3000:]
            jobs = self.run(["systemctl", "list-jobs"], check=False).stdout if self.leader else ""
            self.power_off()
            raise RuntimeError(f"{e}; its console:\n{text}\n{jobs}") from None

    def _find_leader(self) -> bool:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise TimeoutError("systemd-nspawn ended")
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        for pid in children.read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    self.leader = int(pid)
                    return True
        return False

    def _has_booted(self) -> bool:
        # /run/dbus is made by the machine's own systemd: before that, commands would run in half a root.
        done = self.run(["systemctl", "is-system-running"], check=False)
        return done.stdout.strip() in ("running", "degraded")

    def power_off(self) -> None:
        if self._nspawn is not None:
            if self._nspawn.poll() is None:
                self._nspawn.terminate()  # which nspawn turns into an orderly shutdown
                try:
                    self._nspawn.wait(60)
                except subprocess.TimeoutExpired:
                    self._nspawn.kill()
                    self._nspawn.wait(20)
            self._nspawn = None
            self.leader = 0
        process.run(["umount", str(self._bpffs)], check=False)

    @contextlib.contextmanager
    def running(self) -> Iterator[Machine]:
        self.boot()
        try:
            yield self
        finally:
            with process.uninterrupted():
                self.power_off()

    def command(self, argv: Sequence[str]) -> list[str]:
        assert self.leader, "the machine does not run"
        words = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        return ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                "--root", "--wd", "env", *words, *argv]

    def run(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True,
            stdin: str = "") -> subprocess.CompletedProcess[str]:
        return process.run(self.command(argv), timeout=timeout, check=check, stdin=stdin)

    def shell(self, script: str, *, timeout: float = 300, check: bool = True) -> str:
        """Both outputs of a bash script, stderr's lines in their place."""
        return self.run(["bash", "-c", f"exec 2>&1\n{script}"], timeout=timeout, check=check).stdout

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def property(self, unit: str, name: str) -> str:
        return self.run(["systemctl", "show", "--value", f"--property={name}", unit]).stdout.strip()

    def outer_pid(self, pid: int) -> int:
        """This side's number of a process of the machine."""
        namespace = os.readlink(f"/proc/{self.leader}/ns/pid")
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                if os.readlink(status.parent / "ns/pid") != namespace:
                    continue
                for line in status.read_text().splitlines():
                    if line.startswith("NSpid:") and int(line.split()[-1]) == pid:
                        return int(status.parent.name)
        raise LookupError(f"no process {pid} in the machine")


class MachineNamespace(Namespace):
    """A network namespace within a machine; without a name, the machine's own."""

    def __init__(self, machine: Machine, name: str) -> None:
        self._machine = machine
        self.name = name
        if name:
            machine.run(["ip", "netns", "add", name])
            self.run(["ip", "link", "set", "lo", "up"])

    def command(self, argv: Sequence[str]) -> list[str]:
        inner = ["nsenter", f"--net={FOLDER / self.name}", "--", *argv] if self.name else list(argv)
        return self._machine.command(inner)

    def has_file(self, path: Path) -> bool:
        return os.path.lexists(self._machine.root / path.relative_to("/"))

    def exists(self) -> bool:
        return not self.name or self._machine.run(["test", "-e", self.path], check=False).returncode == 0

    def delete(self) -> None:
        if self.name and self._machine.leader:
            self._machine.run(["ip", "netns", "del", self.name], check=False)


class SystemBus(Bus):
    """A machine's."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def program(self) -> list[str]:
        return self._machine.command(["busctl", "--system"])


class ServiceNatrad(Natrad):
    """natrad.service of a machine."""

    def fate(self) -> str:
        return self.host.run(["systemctl", "is-active", "natrad.service"], check=False).stdout.strip()

    def log_tail(self, lines: int = 40) -> str:
        return self.host.run(["journalctl", "--no-pager", "-o", "cat", "-n", str(lines), "-u", "natrad"], check=False).stdout


class Installed:
    """In the place of lab.build.Build: what packages have installed."""

    traffic = TRAFFIC

    def cni_path(self) -> list[Path]:
        return [Path(folder) for folder in reversed(STOCK_FOLDERS)]


class MachineNode(Node):
    """The machine as a node, with a peer; natrad is the service."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        super().__init__(Installed())  # type: ignore[arg-type]

    def _build_up(self) -> None:
        self.label = "node"
        self.folder = Path("/run/natra-lab")
        # Of a machine that goes on, an earlier node's is still there.
        self.machine.shell(f"rm -rf {self.folder} && mkdir -p {self.folder}")
        self.host = MachineNamespace(self.machine, "")
        self.peer = self.add_namespace("peer")
        self._connect()
        self.natrad = ServiceNatrad(Path("/usr/sbin/natrad"), self.host, SystemBus(self.machine),
                                    Path("/run/natra"), Path("/sys/fs/bpf/natra"), Path("/dev/null"))

    def add_namespace(self, role: str) -> MachineNamespace:
        made = MachineNamespace(self.machine, role)
        self._cleanup.callback(made.delete)
        return made

    def plugin_environment(self) -> Mapping[str, str]:
        return {}
