# SPDX-License-Identifier: Apache-2.0
"""Does tests/lab/tap.py tell what happened, with one attempt and with two?"""
from __future__ import annotations

import contextlib
import io
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.tap import TapResult  # noqa: E402


def outcome(attempts: int) -> tuple[bool, list[str]]:
    tried: list[str] = []

    class Cases(unittest.TestCase):
        def test_bad(self) -> None:
            with self.subTest("one"):
                self.fail("said why")

        def test_good(self) -> None:
            pass

        def test_late(self) -> None:
            tried.append("late")
            with self.subTest("two"):
                self.assertGreater(len(tried), 1)

        def test_skipped(self) -> None:
            self.skipTest("no need")

    result = TapResult(attempts)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        unittest.defaultTestLoader.loadTestsFromTestCase(Cases).run(result)
        good = result.close()
    return good, out.getvalue().splitlines()


def results(lines: list[str]) -> list[str]:
    return [line.partition(" - ")[0] for line in lines if line.startswith(("ok", "not ok", "1.."))]


class Attempts(unittest.TestCase):
    def test_one(self) -> None:
        good, lines = outcome(1)
        self.assertFalse(good)
        self.assertEqual(results(lines), ["not ok 1", "ok 2", "not ok 3", "ok 4", "1..4"])
        self.assertFalse([line for line in lines if "attempt" in line])

    def test_two(self) -> None:
        good, lines = outcome(2)
        self.assertFalse(good, "what fails twice has failed")
        self.assertEqual(results(lines), ["not ok 1", "ok 2", "ok 3", "ok 4", "1..4"])
        repeated = [line for line in lines if line.endswith(": attempt 1 failed")]
        self.assertEqual(len(repeated), 2)
        self.assertIn("test_bad [one]", repeated[0])
        self.assertIn("test_late [two]", repeated[1])
        self.assertEqual(sum("said why" in line for line in lines if line.startswith("# AssertionError")), 2)


if __name__ == "__main__":
    unittest.main()
