# SPDX-License-Identifier: Apache-2.0
"""Does scripts/test-kernels believe only what it sees? Outputs that end in every way are read."""
from __future__ import annotations

import sys
import unittest

sys.path.insert(0, sys.argv.pop(1))

from outcome import FAIL, OK, SKIP, Outcome, read  # noqa: E402
import plan  # noqa: E402

GTEST = """\
[==========] Running 3 tests from 1 test suite.
[ RUN      ] S.Good
[       OK ] S.Good (1 ms)
[ RUN      ] S.Absent
[  SKIPPED ] S.Absent (0 ms)
"""
GTEST_END = """\
[ RUN      ] S.Last/0
[       OK ] S.Last/0 (1 ms)
[==========] 3 tests from 1 test suite ran. (9 ms total)
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] S.Absent
"""
GTEST_FAILURE = """\
[ RUN      ] S.Last/0
a.cpp:1: Failure
[  FAILED  ] S.Last/0, where GetParam() = 7 (1 ms)
[==========] 3 tests from 1 test suite ran. (9 ms total)
[  FAILED  ] S.Last/0, where GetParam() = 7
"""
TAP = "ok 1 - C.a # 1.0 s\nok 2 - C.b # SKIP this kernel has none\n"


def only(text: str, kind: str, status: str = "0") -> Outcome:
    """Of one program, from its begin to its end, or to the machine's if status is empty."""
    end = f"\n@natra end p {status} 1.5\n" if status else ""
    outcome, = read(f"@natra begin p\n{text}{end}".splitlines(), [("p", kind)])
    return outcome


class Reading(unittest.TestCase):
    def assert_counts(self, outcome: Outcome, ok: int, failed: int, skipped: int) -> None:
        self.assertEqual((outcome.count(OK), outcome.count(FAIL), outcome.count(SKIP)), (ok, failed, skipped),
                         outcome)

    def test_good_ones(self) -> None:
        gtest = only(GTEST + GTEST_END, "gtest")
        self.assert_counts(gtest, 2, 0, 1)
        self.assertEqual((gtest.problem, gtest.seconds), ("", 1.5))
        tap = only(TAP + "1..2\n", "tap")
        self.assert_counts(tap, 1, 0, 1)
        self.assertEqual(tap.cases, {"C.a": OK, "C.b": SKIP})

    def test_failed_cases(self) -> None:
        self.assert_counts(only(GTEST + GTEST_FAILURE, "gtest", "1"), 1, 1, 1)
        self.assert_counts(only(TAP + "not ok 3 - C.c # 1.0 s\n1..3\n", "tap", "1"), 1, 1, 1)

    def test_parts_count_once_and_the_worst_of_them(self) -> None:
        text = "not ok 1 - C.a [ingress] # 1.0 s\nok 2 - C.a [egress] # SKIP no\nok 3 - C.b # 1 s\n1..3\n"
        outcome = only(text, "tap", "1")
        self.assertEqual(outcome.cases, {"C.a": FAIL, "C.b": OK})

    def test_cut_short(self) -> None:
        for text, kind in ((TAP, "tap"), (GTEST, "gtest"), (TAP + "1..2\n", "tap"), ("", "tap")):
            with self.subTest(text):
                outcome = only(text, kind, status="")
                self.assertIn("cut short", outcome.problem)
                self.assertGreaterEqual(outcome.count(FAIL), 1)

    def test_crashes(self) -> None:
        outcome = only(GTEST + "[ RUN      ] S.Last/0\n", "gtest", "signal-11")
        self.assertEqual(outcome.cases["S.Last/0"], FAIL)
        self.assertIn("signal 11", outcome.problem)

    def test_streams_that_are_not_whole(self) -> None:
        for text, kind, status in ((TAP, "tap", "0"), (TAP + "1..3\n", "tap", "0"), ("1..0\n", "tap", "0"),
                                   ("Bail out! needs root\n", "tap", "1"), (GTEST, "gtest", "0"),
                                   ("Traceback\n", "tap", "1"), ("", "gtest", "127")):
            with self.subTest(text):
                self.assertTrue(only(text, kind, status).problem)

    def test_status_and_cases_must_agree(self) -> None:
        self.assertTrue(only(TAP + "1..2\n", "tap", "1").problem)
        self.assertTrue(only(TAP + "1..2\n", "tap", "timeout").problem)
        self.assertTrue(only(TAP + "not ok 3 - C.c\n1..3\n", "tap", "0").problem)

    def test_programs_that_never_began(self) -> None:
        outcomes = read(["@natra begin a", "ok 1 - C.a", "1..1", "@natra end a 0 1.0"],
                        [("a", "tap"), ("b", "tap")])
        self.assertEqual([outcome.problem for outcome in outcomes], ["", "never began"])
        self.assert_counts(outcomes[1], 0, 1, 0)

    def test_noise_between_lines(self) -> None:
        outcome = only("[  1.2] some kernel chatter\n" + TAP + "# ok 7 - not a result\n1..2\n", "tap")
        self.assert_counts(outcome, 1, 0, 1)


class Skips(unittest.TestCase):
    def test_only_what_the_kernel_cannot_have(self) -> None:
        tcx = "setUpClass (test_shapers.Tcx)"
        self.assertTrue(plan.may_skip("5.10", "shapers", tcx))
        self.assertTrue(plan.may_skip("6.1", "shapers", tcx))
        self.assertFalse(plan.may_skip("6.12", "shapers", tcx))
        self.assertFalse(plan.may_skip("5.10", "shapers", "setUpClass (test_shapers.Edt)"))


if __name__ == "__main__":
    unittest.main()
