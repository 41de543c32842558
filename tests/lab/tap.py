# SPDX-License-Identifier: Apache-2.0
"""unittest's results as TAP."""
from __future__ import annotations

import sys
import time
import traceback
import unittest
from typing import Any


class TapResult(unittest.TestResult):
    """One line a case; what explains a failure follows as comments."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._start = 0.0

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._start = time.monotonic()

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._line(True, test)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._fail(test, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._fail(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._line(True, test, f" # SKIP {reason}")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(subtest, err)

    def _fail(self, test: unittest.TestCase, err: Any) -> None:
        self._line(False, test)
        text = "".join(traceback.format_exception(*err))
        natrad = getattr(test, "natrad", None)
        if natrad is not None:
            text += f"natrad: {natrad.fate()}; its log:\n{natrad.log_tail()}\n"
        for line in text.splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def _line(self, good: bool, test: unittest.TestCase, suffix: str = "") -> None:
        self._number += 1
        # "test_chain.Verbs.test_add", or "setUpClass (test_shapers.Edt)" for a class as a whole.
        name = test.id().strip(")").rpartition("(")[2].partition(".")[2]
        seconds = time.monotonic() - self._start if self._start else 0.0
        if not suffix:
            suffix = f" # {seconds:.1f} s"
        # A '#' in a name would start a TAP directive.
        print(f"{'ok' if good else 'not ok'} {self._number} - {name.replace('#', '')}{suffix}", flush=True)

    def close(self) -> bool:
        print(f"1..{self._number}", flush=True)
        return self._number > 0 and self.wasSuccessful()
