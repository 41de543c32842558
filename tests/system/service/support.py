# SPDX-License-Identifier: Apache-2.0
"""The one machine of a run, and what the cases share."""
from __future__ import annotations

import re
import shutil
import unittest
from pathlib import Path
from typing import ClassVar

from lab import process
from lab.pod import Limiter, Limits, Pod
from machine import Machine, MachineNode, wait_for

RATE = 20_000_000
PACKAGE = "/root/packages"  # in the machine
MACHINE: Machine  # prepare() sets it
RPMS: list[Path] = []


def prepare(folder: Path, root: Path, package: Path, traffic: Path) -> None:
    """The package and others of it go into the root; what they depend on is fetched, for the machine has no network."""
    global MACHINE, RPMS
    RPMS = sorted(package.parent.glob("*.rpm"))
    MACHINE = Machine(root, folder, traffic)
    packages = root / PACKAGE.lstrip("/")
    packages.mkdir(parents=True)
    shutil.copy(package, packages)
    (root / "etc/hostname").write_text("node\n")
    MACHINE.chroot(["sh", "-ec", f"apt-get -q update; apt-get -q install -y --download-only {PACKAGE}/natra_*.deb"],
                   network=True)
    # The same with another version. Not in the same folder: natra_*.deb is to be one.
    for name in ("newer", "older"):
        work = folder / name
        process.run(["dpkg-deb", "-R", str(package), str(work)])
        control = work / "DEBIAN" / "control"
        control.write_text(re.sub(r"^(Version: .*)$", r"\1+newer" if name == "newer" else r"\1~older",
                                  control.read_text(), flags=re.MULTILINE))
        (packages / name).mkdir()
        process.run(["dpkg-deb", "-Znone", "-b", str(work), str(packages / name / "natra.deb")], timeout=60)
        shutil.rmtree(work)


def traces() -> list[str]:
    """Files, groups and kernel objects that are named after natra, but for the packages and logs of these tests."""
    script = ("find / -xdev '(' -path /proc -o -path /sys -o -path /root -o -path /usr/local/bin "
              "-o -path /var/log -o -path /run/natra-lab ')' -prune -o -iname '*natra*' -print; "
              "find /run /sys/fs/bpf -mindepth 1 '(' -path /run/natra-lab -o -path /run/systemd/journal "
              "-o -path /run/log -o -path /run/host ')' -prune -o -iname '*natra*' -print; getent group natra || true")
    return MACHINE.shell(script).split()


class ServiceCase(unittest.TestCase):
    """A booted machine with the package for the class; a case that fails leaves it to the next."""

    node: ClassVar[MachineNode]

    @classmethod
    def setUpClass(cls) -> None:
        cls.machine = MACHINE
        cls.enterClassContext(MACHINE.running())
        cls.node = cls.enterClassContext(MachineNode(MACHINE))

    @property
    def natrad(self):  # type: ignore[no-untyped-def]
        return self.node.natrad

    def pod(self, **options: int) -> Pod:
        return self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE, **options)))

    def main_pid(self) -> int:
        return int(self.machine.property("natrad.service", "MainPID"))

    def wait_until_up(self, *, other_than: int = 0) -> None:
        def up() -> bool:
            return (self.machine.property("natrad.service", "ActiveState") == "active"
                    and self.main_pid() not in (0, other_than) and self.node.natrad.bus.has_owner("io.natra.Natrad1"))
        wait_for("natrad", up)

    def programs(self, pod: Pod) -> list[str]:
        """What limits the pod: the pins with their ids, which no other program gets again."""
        found = self.machine.shell("cd /sys/fs/bpf/natra && stat -c '%n %i' */*_prog")
        return sorted(line for line in found.splitlines() if pod.container_id.replace("-", "_2d") in line)

    def assert_limited(self, pod: Pod, limit: int = RATE, direction: str = "egress") -> None:
        with pod.client().bulk(direction, 4) as bulk:
            goodput = bulk.result()["goodput_bps"]
        self.assertTrue(0.5 * limit <= goodput <= 1.1 * limit, f"{goodput / 1e6:.1f} Mbit/s of {limit / 1e6:g}")
