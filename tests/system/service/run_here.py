# SPDX-License-Identifier: Apache-2.0
"""Prints TAP of the cases that the kernel's command line names, of this machine (see disk.py)."""
from __future__ import annotations

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import support  # noqa: E402
from disk import CASES  # noqa: E402
from here import ThisMachine  # noqa: E402
from lab.tap import TapResult  # noqa: E402


def main() -> int:
    words = Path("/proc/cmdline").read_text().split()
    names = next(word for word in words if word.startswith(CASES)).removeprefix(CASES).split(",")
    support.MACHINE = ThisMachine()
    result = TapResult()
    unittest.defaultTestLoader.loadTestsFromNames(names).run(result)
    return 0 if result.close() else 1


if __name__ == "__main__":
    sys.exit(main())
