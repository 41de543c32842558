# SPDX-License-Identifier: Apache-2.0
"""Does tests/lab/transcript.py tell what a page says from what it does not say?"""
from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from lab import transcript  # noqa: E402

FIRST_STEPS = TESTS.parent / "docs" / "usage" / "first-steps.md"
IPERF3 = """Connecting to host 10.9.0.1, port 5201
[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.00   sec  {mbytes} MBytes  {mbits} Mbits/sec    0    165 KBytes
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-3.00   sec  {mbytes} MBytes  {mbits} Mbits/sec    0             sender
[  5]   0.00-3.01   sec  {mbytes} MBytes  {mbits} Mbits/sec                  receiver

iperf Done.
"""


def matches(printed: str, said: str) -> bool:
    return transcript.Step("command", printed).pattern().search(said) is not None


def number(value: float) -> str:
    """As iperf3 has it."""
    return f"{value:4.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def bash(script: str) -> str:
    return subprocess.run(["bash"], input=script, stdout=subprocess.PIPE, text=True, check=True, timeout=30).stdout


class Patterns(unittest.TestCase):
    def test_without_placeholders(self) -> None:
        self.assertTrue(matches("a.b (c)\n", "a.b (c)\n"))
        for said in ("", "a.b (c)", "axb (c)\n", "a.b (c)\nmore\n", "more\na.b (c)\n"):
            self.assertFalse(matches("a.b (c)\n", said), said)

    def test_dots(self) -> None:
        self.assertTrue(matches("a...z\n", "abcz\n"))
        self.assertFalse(matches("a...z\n", "ab\ncz\n"))
        for said in ("a\nz\n", "a\nb\nc\nz\n"):
            self.assertTrue(matches("a\n...\nz\n", said), said)

    def test_question_mark_is_one_digit(self) -> None:
        self.assertTrue(matches("1? Mbit/s\n", "19 Mbit/s\n"))
        for said in ("1 Mbit/s\n", "1? Mbit/s\n", "1x Mbit/s\n", "199 Mbit/s\n", "119 Mbit/s\n"):
            self.assertFalse(matches("1? Mbit/s\n", said), said)


class Play(unittest.TestCase):
    def test_in_one_shell(self) -> None:
        page = transcript.steps("```console\n# a=1\n# echo $a\n> exit_with() { return 3; }; exit_with\n1\n```\n")
        first, second = transcript.play(page, bash)
        self.assertEqual((first.said, first.status), ("", 0))
        self.assertEqual((second.said, second.status), ("1\n", 3))

    def test_an_end_too_early(self) -> None:
        with self.assertRaises(ValueError):
            transcript.play(transcript.steps("```console\n# exit\n# true\n```\n"), bash)


class FirstSteps(unittest.TestCase):
    """The rates of the page: what a pod gets without a limit, or with another one, is not what it says."""

    def rates(self) -> list[transcript.Step]:
        return [step for step in transcript.steps(FIRST_STEPS.read_text()) if "iperf3 --client" in step.command]

    def said(self, step: transcript.Step, mbits: float) -> str:
        _, pipe, rest = step.command.partition("|")
        self.assertTrue(pipe, step.command)
        report = IPERF3.format(mbits=number(mbits), mbytes=number(mbits * 3 / 8))
        return subprocess.run(["sh", "-c", rest], input=report, stdout=subprocess.PIPE, text=True, check=True,
                              timeout=30).stdout

    def test_rates(self) -> None:
        limited, changed = self.rates()
        for step, good in ((limited, (17.4, 18.9, 19.1)), (changed, (35.0, 38.2, 38.9))):
            for mbits in (*good, 0, 1.2, 3.5, 9.5, 24, 45, 110, 190, 380, 1900, 3800, 18900, 40000, 138000):
                with self.subTest(step.printed, mbits=mbits):
                    self.assertEqual(step.pattern().search(self.said(step, mbits)) is not None, mbits in good)


if __name__ == "__main__":
    unittest.main()
