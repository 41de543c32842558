# SPDX-License-Identifier: Apache-2.0
"""A Debian system on a disk, booted by QEMU with the kernel that is installed on it."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lab import process

# Runs the cases that the kernel's command line names, and switches off.
UNIT = """[Service]
ExecStart=/usr/bin/python3 {tests}/system/service/run_here.py
ExecStopPost=/usr/bin/systemctl --no-block poweroff
StandardOutput=file:/dev/ttyS1
StandardError=inherit
TTYPath=/dev/ttyS1
[Install]
WantedBy=multi-user.target
"""
TESTS = "/root/lab/tests"  # in the system
CASES = "natra.cases="
SIZE = "3G"  # of the disk, which has holes
MEMORY_MIB = 1024
SECONDS = 1200  # a boot with its cases; a minute or two on an idle host


class Disk:
    """root: the system, with a kernel; it is copied, and gets the tests. folder: for the disk and what it prints."""

    def __init__(self, root: Path, folder: Path, tests: Path, traffic: Path) -> None:
        self._folder = folder
        self._image = folder / "disk.img"
        self._kernel = self._only(root, "vmlinuz")
        self._initrd = self._only(root, "initrd.img")
        self.release = self._kernel.name.partition("-")[2]
        self._add_tests(root, tests, traffic)
        process.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(self._image), SIZE], timeout=300)

    def _only(self, root: Path, kind: str) -> Path:
        found = list((root / "boot").glob(f"{kind}-*"))
        assert len(found) == 1, f"{len(found)} of {kind} in the system"
        return Path(shutil.copy(found[0], self._folder))

    @staticmethod
    def _add_tests(root: Path, tests: Path, traffic: Path) -> None:
        inside = root / TESTS.lstrip("/")
        for part in ("lab", "system/service"):
            shutil.copytree(tests / part, inside / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(traffic, root / "usr/local/bin/natra-traffic")
        units = root / "etc/systemd/system"
        (units / "cases.service").write_text(UNIT.format(tests=TESTS))
        wants = units / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / "cases.service").symlink_to("../cases.service")

    def boot(self, cases: list[str]) -> str:
        """From power on to power off; the cases' TAP. Raises RuntimeError with the console's last words if it hangs."""
        console, results = self._folder / "console.log", self._folder / "results.tap"
        argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
                "-display", "none", "-cpu", "max", "-m", str(MEMORY_MIB), "-nic", "none",
                # Time passes with what it computes, as with scripts/vm --steady: a busy host does not show in it.
                "-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off", "-smp", "1",
                "-drive", f"file={self._image},format=raw,if=virtio,cache=unsafe",
                "-kernel", str(self._kernel), "-initrd", str(self._initrd), "-append",
                f"root=/dev/vda rw console=ttyS0,115200 mitigations=off random.trust_cpu=on {CASES}{','.join(cases)}",
                "-serial", f"file:{console}", "-serial", f"file:{results}"]
        try:
            subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, timeout=SECONDS, start_new_session=True)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as e:
            said = results.read_text(errors="replace")[-3000:] + console.read_text(errors="replace")[-5000:]
            raise RuntimeError(f"{type(e).__name__}: {said}") from None
        return results.read_text(errors="replace").replace("\r", "")
