# SPDX-License-Identifier: Apache-2.0
"""Reads what guest.py and the programs that it ran have printed.

Whatever is not seen to have ended well has failed: a program that never began,
one cut short by a panic or its time limit, a TAP stream without its plan.
"""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence

OK, FAIL, SKIP = "ok", "FAIL", "skip"
_WORST = {OK: 0, SKIP: 1, FAIL: 2}

_TAP = re.compile(r"^(ok|not ok) \d+ - (.*)$")
_TAP_PLAN = re.compile(r"^1\.\.(\d+)$")
_GTEST_RUN = re.compile(r"^\[ RUN      \] (\S+)")
_GTEST_END = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+).* \(\d+ ms\)$")
_GTEST_TOTAL = re.compile(r"^\[==========\] (\d+) tests? from \d+ test suites? ran\.")
_MARK = re.compile(r"^@natra (begin|end) (\S+)(?: (\S+) ([\d.]+))?$")


@dataclasses.dataclass
class Outcome:
    """Of one program on one kernel."""
    program: str
    cases: dict[str, str] = dataclasses.field(default_factory=dict)  # case -> OK, FAIL, SKIP
    seconds: float = 0.0
    problem: str = ""  # why the program as a whole has failed; counts as one more failure
    output: list[str] = dataclasses.field(default_factory=list)

    def note(self, case: str, status: str) -> None:
        """A case may tell several times, once for each part of it: the worst counts."""
        if _WORST[status] >= _WORST[self.cases.get(case, OK)]:
            self.cases[case] = status

    def count(self, status: str) -> int:
        return sum(each == status for each in self.cases.values()) + (status == FAIL and bool(self.problem))


def read(lines: Iterable[str], programs: Sequence[tuple[str, str]],
         ended: Callable[[Outcome], None] = lambda _: None) -> list[Outcome]:
    """programs: (name, kind) in the order in which they should run. `ended` is called as soon as one has."""
    outcomes = {name: Outcome(name) for name, _ in programs}
    kinds = dict(programs)
    current: Outcome | None = None
    begun: set[str] = set()
    for line in lines:
        line = line.rstrip("\n")
        mark = _MARK.match(line)
        if mark and mark[1] == "begin" and mark[2] in outcomes:
            current = outcomes[mark[2]]
            begun.add(mark[2])
        elif mark and mark[1] == "end" and current is not None and mark[2] == current.program:
            current.seconds = float(mark[4])
            judge(current, kinds[current.program], mark[3])
            ended(current)
            current = None
        elif current is not None:
            current.output.append(line)
    for name, outcome in outcomes.items():
        if name not in begun:
            outcome.problem = "never began"
        elif outcome is current:
            judge(outcome, kinds[name], "")
            outcome.problem = f"cut short{f': {outcome.problem}' if outcome.problem else ''}"
            ended(outcome)
    return list(outcomes.values())


def judge(outcome: Outcome, kind: str, status: str) -> None:
    """status: as guest.py tells it; empty if the machine ended first."""
    problem = (read_gtest if kind == "gtest" else read_tap)(outcome)
    if problem:
        outcome.problem = problem
    elif not outcome.cases:
        outcome.problem = "ran no case"
    elif status == "0" and outcome.count(FAIL):
        outcome.problem = "cases failed, but its exit status is 0"
    if status not in ("", "0", "1"):
        outcome.problem = f"{status.replace('-', ' ')}{f': {outcome.problem}' if outcome.problem else ''}"
    elif status == "1" and not outcome.count(FAIL):
        outcome.problem = "exit status 1, though no case of it failed"


def read_tap(outcome: Outcome) -> str:
    """Fills in the cases; what is wrong with the stream as a whole."""
    planned = None
    seen = 0
    last = ""
    for line in outcome.output:
        if found := _TAP_PLAN.match(line):
            planned = int(found[1])
        elif line.startswith("Bail out!"):
            return line
        elif found := _TAP.match(line):
            seen += 1
            name, _, directive = found[2].partition(" # ")
            # "Class.case [part]" is a part of the case.
            last = name.partition(" ")[0] if not name.startswith("setUpClass") else name
            skipped = directive.upper().startswith("SKIP")
            outcome.note(last, FAIL if found[1] == "not ok" else SKIP if skipped else OK)
    if planned is None:
        return f"no plan: ended after {last or 'nothing'}"
    return "" if planned == seen else f"{seen} results of {planned}"


def read_gtest(outcome: Outcome) -> str:
    total = None
    running = ""
    seen = 0
    for line in outcome.output:
        if found := _GTEST_RUN.match(line):
            running = found[1]
        elif found := _GTEST_END.match(line):
            seen += 1
            outcome.note(found[2], {"OK": OK, "FAILED": FAIL, "SKIPPED": SKIP}[found[1]])
            running = ""
        elif found := _GTEST_TOTAL.match(line):
            total = int(found[1])
    if running:
        outcome.note(running, FAIL)
        return f"ended in {running}"
    if total is None:
        return "no closing line"
    return "" if total == seen else f"{seen} results of {total}"
