# SPDX-License-Identifier: Apache-2.0
"""Runs unittest modules of this folder or of ../cni and prints TAP: run.py BUILD-DIR MODULE[.CLASS[.CASE]]..."""
from __future__ import annotations

import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "cni"), str(HERE.parent)]

import support  # noqa: E402
from lab import process  # noqa: E402
from lab.build import Build  # noqa: E402
from lab.tap import TapResult  # noqa: E402


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("Bail out! needs root")
        return 1
    support.BUILD = Build(Path(sys.argv[1]))
    if missing := support.BUILD.missing():
        print(f"Bail out! {'; '.join(missing)}")
        return 1
    result = TapResult()
    with process.terminable():
        unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:]).run(result)
    return 0 if result.close() else 1


if __name__ == "__main__":
    sys.exit(main())
