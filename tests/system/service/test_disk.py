# SPDX-License-Identifier: Apache-2.0
"""A Debian system with the package, on a disk, booted twice with its own kernel: cases of a node run in it."""
from __future__ import annotations

import re
import unittest
from pathlib import Path
from typing import ClassVar

import image
import support
from disk import Disk
from lab.tap import name_of

TESTS = Path(__file__).resolve().parents[2]
FIRST_BOOT = [
    "test_own_kernel.OwnKernel",
    *(f"test_service.Node.{case}" for case in (
        "test_01_runs_after_the_first_boot", "test_02_runtimes_start_when_it_answers", "test_04_pods",
        "test_07_kill_under_traffic", "test_09_reload")),
    # The last: its pod is there when the machine goes down.
    "test_own_kernel.PodAtPowerOff",
]
SECOND_BOOT = ["test_service.Reboot", "test_own_kernel.OwnKernel"]


def names_in(suite: unittest.TestSuite) -> list[str]:
    out: list[str] = []
    for each in suite:
        out += names_in(each) if isinstance(each, unittest.TestSuite) else [name_of(each)]
    return out


class OwnDisk(unittest.TestCase):
    disk: ClassVar[Disk]

    @classmethod
    def setUpClass(cls) -> None:
        image.install(support.MACHINE)
        cls.disk = Disk(support.MACHINE.root, support.MACHINE.folder, TESTS, support.MACHINE.traffic)

    def boot(self, cases: list[str]) -> None:
        said = self.disk.boot(cases)
        print(re.sub(r"^", "# ", said.strip(), flags=re.MULTILINE), flush=True)
        self.assertRegex(said, r"(?m)^1\.\.[1-9]", "the cases did not come to their end")
        self.assertNotRegex(said, r"(?m)^not ok |# SKIP")
        expected = {each: names_in(unittest.defaultTestLoader.loadTestsFromNames([each])) for each in cases}
        self.assertTrue(all(expected.values()), f"no cases: {expected}")
        self.assertEqual(sorted(re.findall(r"(?m)^ok \d+ - (\S+) # [0-9.]+ s$", said)), sorted(sum(expected.values(), [])))

    def test_1_first_boot(self) -> None:
        self.boot(FIRST_BOOT)

    def test_2_second_boot(self) -> None:
        self.boot(SECOND_BOOT)
