# SPDX-License-Identifier: Apache-2.0
"""Prints TAP: run.py FOLDER ROOT PACKAGE NATRA-TRAFFIC MODULE[.CLASS[.CASE]]...

ROOT is a Debian system that the cases may change, PACKAGE the natra package for it.
Modules and cases run in the order given and share the root.
"""
from __future__ import annotations

import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TESTS)]

import support  # noqa: E402
from lab import process  # noqa: E402
from lab.tap import TapResult  # noqa: E402


def main() -> int:
    if len(sys.argv) < 6:
        print(__doc__, file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("Bail out! needs root")
        return 1
    folder, root, package, traffic = (Path(each).resolve() for each in sys.argv[1:5])
    result = TapResult()
    with process.terminable():
        support.prepare(folder, root, package, traffic)
        unittest.defaultTestLoader.loadTestsFromNames(sys.argv[5:]).run(result)
    return 0 if result.close() else 1


if __name__ == "__main__":
    sys.exit(main())
