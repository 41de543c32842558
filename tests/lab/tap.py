# SPDX-License-Identifier: Apache-2.0
"""unittest's results as TAP."""
from __future__ import annotations

import os
import sys
import time
import traceback
import unittest
from typing import Any


class TapResult(unittest.TestResult):
    """One line a case; what explains a failure follows as comments.

    With two attempts (NATRA_TEST_ATTEMPTS), a case that fails is run once more, and what failed the first time is
    told either way: traffic on a machine that others use, too, is late now and then.
    """

    def __init__(self, attempts: int | None = None) -> None:
        super().__init__()
        self._attempts = attempts or int(os.environ.get("NATRA_TEST_ATTEMPTS", "1"))
        self._attempt = 1
        self._number = 0
        self._start = 0.0
        self._running = False
        self._failed: list[tuple[unittest.TestCase, Any, str]] = []  # of the case that runs, with what to say

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._running, self._failed = True, []
        self._start = time.monotonic()

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        failed, self._failed, self._running = self._failed, [], False
        if failed and self._attempt < self._attempts:
            for each, _, text in failed:
                self._comment(f"{name_of(each)}: attempt {self._attempt} failed\n{text}")
            self._attempt += 1
            type(test)(test._testMethodName).run(self)
            self._attempt = 1
            return
        for each in failed:
            self._fail(*each)

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._line(True, test)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        failed = (test, err, explanation(test, err))
        if self._running:
            self._failed.append(failed)
        else:
            self._fail(*failed)  # of a class as a whole

    addError = addFailure

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._line(True, test, f" # SKIP {reason}")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self.addFailure(subtest, err)

    def _fail(self, test: unittest.TestCase, err: Any, text: str) -> None:
        super().addFailure(test, err)
        self._line(False, test)
        self._comment(text)

    def _comment(self, text: str) -> None:
        for line in text.splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def _line(self, good: bool, test: unittest.TestCase, suffix: str = "") -> None:
        self._number += 1
        name = name_of(test)
        seconds = time.monotonic() - self._start if self._start else 0.0
        if not suffix:
            suffix = f" # {seconds:.1f} s"
        # A '#' in a name would start a TAP directive.
        print(f"{'ok' if good else 'not ok'} {self._number} - {name}{suffix}", flush=True)

    def close(self) -> bool:
        print(f"1..{self._number}", flush=True)
        return self._number > 0 and self.wasSuccessful()


def name_of(test: unittest.TestCase) -> str:
    # "test_chain.Verbs.test_add", or "setUpClass (test_shapers.Edt)" for a class as a whole.
    name = test.id().strip(")").rpartition("(")[2].partition(".")[2]
    return name.replace("#", "")  # would start a TAP directive


def explanation(test: unittest.TestCase, err: Any) -> str:
    text = "".join(traceback.format_exception(*err))
    natrad = getattr(test, "natrad", None)
    if natrad is not None:
        text += f"natrad: {natrad.fate()}; its log:\n{natrad.log_tail()}\n"
    return text
