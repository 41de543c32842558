# SPDX-License-Identifier: Apache-2.0
"""Inside the virtual machine: runs programs of the plan one after the other.

usage: guest.py BUILD-DIR all|dependent [PROGRAM]...

What they print passes unchanged between two lines for each of them:

    @natra begin NAME
    @natra end NAME STATUS SECONDS      STATUS: exit status, "timeout" or "signal N"
"""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import plan

ROOT = Path(__file__).resolve().parents[3]


def run(program: plan.Program, build: Path) -> str:
    # With standard error: a traceback before the first case belongs to what is told.
    child = subprocess.Popen(program.argv(ROOT, build, plan.version_of(os.uname().release)),
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        status = child.wait(program.seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)  # the lab cleans up
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        return "timeout"
    return f"signal {-status}" if status < 0 else str(status)


def main() -> int:
    build, which, *names = sys.argv[1:]
    for program in plan.chosen(ROOT, which == "all", names):
        print(f"@natra begin {program.name}", flush=True)
        start = time.monotonic()
        status = run(program, Path(build))
        print(f"\n@natra end {program.name} {status.replace(' ', '-')} {time.monotonic() - start:.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
