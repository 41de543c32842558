# SPDX-License-Identifier: Apache-2.0
"""docs/usage/first-steps.md, as written: its commands, and what it says that they print."""
from __future__ import annotations

import unittest
from pathlib import Path

import support
from lab import transcript

PAGE = Path(__file__).resolve().parents[3] / "docs" / "usage" / "first-steps.md"


class FirstSteps(unittest.TestCase):
    def test_page(self) -> None:
        page = transcript.steps(PAGE.read_text())
        self.assertGreater(len(page), 20)
        with support.MACHINE.running() as machine:
            answers = transcript.play(page, lambda script: machine.run(["bash"], stdin=script, timeout=240).stdout,
                                      before="cd /root/packages")
            for answer in answers:
                with self.subTest(answer.step.title):
                    self.assertRegex(answer.said, answer.step.pattern())
                    fails = answer.step.command.startswith("ls /run/natra")
                    self.assertEqual(answer.status == 0, not fails, answer.said)
            self.assertEqual(support.traces(), [], "left behind by purge")
