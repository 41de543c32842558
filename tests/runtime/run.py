# SPDX-License-Identifier: Apache-2.0
"""Runs unittest modules of this folder isolated and prints TAP: run.py BUILD-DIR MODULE[.CLASS[.CASE]]...

The cases run under the netns suite's runner; what they share is there, too.
"""
from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from lab import isolation, process  # noqa: E402

PROGRAMS = ("containerd", "ctr", "runc", "podman", "busybox", "unshare")


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("Bail out! needs root")
        return 1
    if missing := [each for each in PROGRAMS if shutil.which(each) is None]:
        print(f"Bail out! {', '.join(missing)} not found; scripts/deps runtime installs them")
        return 1
    if importlib.util.find_spec("grpc") is None:
        print(f"Bail out! {sys.executable} has no module grpc; scripts/deps runtime installs it for /usr/bin/python3")
        return 1
    os.environ["PYTHONPATH"] = str(HERE)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    runner = HERE.parent / "netns" / "run.py"
    try:
        with process.terminable():
            return isolation.run([sys.executable, str(runner), str(Path(sys.argv[1]).resolve()), *sys.argv[2:]])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
