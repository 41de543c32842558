# SPDX-License-Identifier: Apache-2.0
"""Counts the cases of meson test runs and closes with one line.

usage: test_summary.py clean BUILD-DIR SUITE...
       test_summary.py report BUILD-DIR SUITE...

`clean` removes what an earlier run left behind: meson would take the cases of
a test that crashed from the crashed test's previous report. `report` reads
the logs that `meson test --suite SUITE --logbase SUITE` left under
meson-logs/, prints a line per suite, names every failed case, names every case that was run once more, and ends with

    N passed, N failed, N skipped

It exits with 1 if a case failed, if a suite ran no case, or if a log is not
there. Cases are GoogleTest's and TAP's single ones; a program with neither
counts as one case. A program that ended badly although none of its cases
failed counts as one more failed case.
"""
from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

PROJECT = "natra"
REPEATED = re.compile(r"^# (.*: attempt \d+ failed)$", re.MULTILINE)
GOOD_RESULTS = {"OK", "EXPECTEDFAIL", "SKIP"}


@dataclasses.dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: list[str] = dataclasses.field(default_factory=list)
    repeated: list[str] = dataclasses.field(default_factory=list)  # what tests/lab/tap.py ran once more

    def cases(self) -> int:
        return self.passed + self.failed + self.skipped

    def fail(self, name: str) -> None:
        self.failed += 1
        self.failures.append(name)


def logs_of(build: Path, suite: str) -> tuple[Path, Path]:
    logs = build / "meson-logs"
    return logs / f"{suite}.junit.xml", logs / f"{suite}.json"


def clean(build: Path, suites: list[str]) -> None:
    for suite in suites:
        for path in logs_of(build, suite):
            path.unlink(missing_ok=True)
    listing = subprocess.run(["meson", "introspect", "--tests", str(build)],
                             check=True, capture_output=True, text=True)
    for test in json.loads(listing.stdout):
        if test["protocol"] == "gtest":
            directory = Path(test["workdir"]) if test["workdir"] else build
            (directory / f"{test['name']}.xml").unlink(missing_ok=True)


@dataclasses.dataclass
class Program:
    name: str
    result: str
    status: int | None
    seconds: float
    repeated: list[str]
    failed_cases: int = 0


def read_programs(path: Path) -> dict[str, Program]:
    """What meson says of each test program, by what its junit suites begin with.

    The log says "natra:bpf / pacing"; junit titles begin with the project and
    then, depending on meson's version, this name or its last part. A program
    without cases is itself a case of the suite named like the project.
    """
    programs = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        entry = json.loads(line)
        name = entry["name"]
        short = name.rpartition(" / ")[2]
        project = name.partition(":")[0] if ":" in name else PROJECT
        program = Program(name, entry["result"], entry.get("returncode"),
                          float(entry.get("duration") or 0),
                          REPEATED.findall(entry.get("stdout") or ""))
        programs[f"{project}.{name}"] = programs[f"{project}.{short}"] = program
    return programs


def count(build: Path, suite: str) -> Tally:
    tally = Tally()
    junit, listing = logs_of(build, suite)
    if not junit.exists() or not listing.exists():
        tally.fail(f"{suite}: no test log, so nothing is known of this suite")
        return tally
    programs = read_programs(listing)
    for report in ElementTree.parse(junit).getroot().iter("testsuite"):
        title = report.get("name", "")
        for case in report.findall("testcase"):
            path = f"{title}.{case.get('name')}"
            if program := programs.get(path):
                # A program without cases of its own: meson's report does not say
                # "failed" of every bad end, its log does.
                failed, skipped = program.result not in GOOD_RESULTS, program.result == "SKIP"
            else:
                failed = case.find("failure") is not None or case.find("error") is not None
                skipped = case.find("skipped") is not None or case.get("status") == "notrun"
                owners = [key for key in programs if path.startswith(key + ".")]
                program = programs[max(owners, key=len)] if owners else None
            if failed:
                tally.fail(path)
                if program:
                    program.failed_cases += 1
            elif skipped:
                tally.skipped += 1
            else:
                tally.passed += 1
    for program in {program.name: program for program in programs.values()}.values():
        tally.seconds += program.seconds
        tally.repeated += [f"{program.name}: {line}" for line in program.repeated]
        if program.result not in GOOD_RESULTS and not program.failed_cases:
            tally.fail(f"{program.name}: {program.result}, status {program.status}, "
                       "though no case of it failed")
    if tally.cases() == 0:
        tally.fail(f"{suite}: ran no test at all")
    return tally


def report(build: Path, suites: list[str]) -> int:
    total = Tally()
    width = max([len(suite) for suite in suites] + [5])
    print(f"\n{'suite':<{width}}  passed  failed  skipped  seconds")
    for suite in suites:
        tally = count(build, suite)
        print(f"{suite:<{width}}  {tally.passed:6}  {tally.failed:6}  {tally.skipped:7}"
              f"  {tally.seconds:7.1f}")
        total.passed += tally.passed
        total.failed += tally.failed
        total.skipped += tally.skipped
        total.failures += tally.failures
        total.repeated += tally.repeated
    if total.cases() == 0:
        total.fail("no suite was run")
    if total.repeated:
        print("\nrun once more:")
        for name in total.repeated:
            print(f"  {name}")
    if total.failures:
        print("\nfailed:")
        for name in total.failures:
            print(f"  {name}")
    print(f"\n{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed else 0


def main() -> int:
    if len(sys.argv) < 3 or sys.argv[1] not in ("clean", "report"):
        print(__doc__, file=sys.stderr)
        return 2
    build, suites = Path(sys.argv[2]), sys.argv[3:]
    if sys.argv[1] == "clean":
        clean(build, suites)
        return 0
    return report(build, suites)


if __name__ == "__main__":
    sys.exit(main())
