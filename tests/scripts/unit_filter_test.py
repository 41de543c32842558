# SPDX-License-Identifier: Apache-2.0
"""The service's filter of system calls leaves natrad those that it makes, and takes from it what it must not have."""
from __future__ import annotations

import shutil
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Calls beyond those that every service makes: for the kernel's objects, pods' namespaces, the verifier's
# thread, and the files of the CNI folder.
NEEDED = {"bpf", "setns", "setpriority", "fchown", "chown", "fsync", "sendmsg", "eventfd2", "timerfd_create"}
REFUSED = {"mount", "init_module", "reboot", "swapon", "ptrace", "setrlimit", "sched_setscheduler", "settimeofday",
           "kexec_load", "pivot_root"}


def calls_of(name: str) -> set[str]:
    """The system calls of a set, or the one of that name."""
    if not name.startswith("@"):
        return {name}
    done = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    lines = [line.strip() for line in done.stdout.splitlines()]
    members = [line for line in lines if line and not line.startswith("#") and line != name]
    return set().union(*(calls_of(each) for each in members))


def allowed(unit: str) -> set[str]:
    """As systemd.exec(5) has it: the first line makes it a list of what is allowed; later ones add or take away."""
    out: set[str] = set()
    for line in unit.splitlines():
        key, _, value = line.partition("=")
        if key != "SystemCallFilter":
            continue
        calls = set().union(*(calls_of(each) for each in value.removeprefix("~").split()))
        out = out - calls if value.startswith("~") else out | calls
    return out


@unittest.skipIf(shutil.which("systemd-analyze") is None, "no systemd-analyze here")
class UnitFilter(unittest.TestCase):
    def setUp(self) -> None:
        self.allowed = allowed((ROOT / "systemd/natrad.service.in").read_text())

    def test_natrad_may_call_what_it_calls(self) -> None:
        self.assertEqual(NEEDED - self.allowed, set())

    def test_and_no_more_than_it_needs(self) -> None:
        self.assertEqual(REFUSED & self.allowed, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
