# SPDX-License-Identifier: Apache-2.0
"""The running part of scripts/test-kernels: matrix.py ROOT BUILD-DIR [OPTION...] [VERSION...]."""
from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import plan  # noqa: E402
from lab import table  # noqa: E402
from outcome import FAIL, OK, SKIP, Outcome, read  # noqa: E402

MEMORY_MIB = 1536  # of a machine
FOOTPRINT_MIB = 2300  # what it takes of this one, QEMU's translated code included
RATE = 10_000_000  # bit/s, of most cases: half of what they use natively
# A machine that has not ended by then hangs. Suites have limits of their own (plan.py), in the machine's time.
PATIENCE_SECONDS = 4500
SPLAT = re.compile(r"BUG:|WARNING:|Oops|general protection")
_start = time.monotonic()
_speech = threading.Lock()


def progress(text: str) -> None:
    with _speech:
        print(f"[{time.monotonic() - _start:5.0f} s] {text}", file=sys.stderr, flush=True)


class Machines:
    """The virtual machines at work: none outlives this process' end."""

    def __init__(self, root: Path, build: Path) -> None:
        self.root = root
        self.build = build
        self.logs = build / "kernel-logs"
        self.logs.mkdir(exist_ok=True)
        self._running: set[subprocess.Popen[str]] = set()

    def start(self, kernel: str, seconds: int, options: Sequence[str], command: Sequence[str]) -> subprocess.Popen[str]:
        argv = [str(self.root / "scripts/vm"), "--build", str(self.build), "--time", str(seconds), *options,
                kernel, *command]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace",
                                 stderr=(self.logs / f"{kernel}.stderr").open("w"))
        self._running.add(child)
        return child

    def finish(self, child: subprocess.Popen[str]) -> int:
        status = child.wait()
        self._running.discard(child)
        return status

    def stop(self) -> None:
        running = list(self._running)
        for child in running:
            child.terminate()  # scripts/vm ends its QEMU
        for child in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(10)


def run_kernel(machines: Machines, kernel: str, programs: Sequence[plan.Program],
               arguments: argparse.Namespace) -> list[Outcome]:
    """One machine from boot to end. In it time passes with what it computes (--steady): not even a busy host
    shows in what the cases measure."""
    out = machines.logs / kernel
    log_path = machines.logs / f"{kernel}.log"
    (out / ".dmesg").unlink(missing_ok=True)
    command = ["/usr/bin/python3", str(machines.root / "tests/system/kernels/guest.py"), str(machines.build),
               "all" if arguments.all else "dependent", *(program.name for program in programs)]
    progress(f"{kernel}: booting")
    options = ["--steady", "--memory", str(MEMORY_MIB), "--cpus", str(arguments.cpus), "--env", "NATRA_TEST_RATE",
               "--env", "NATRA_POOL_SIZE", "--env", "NATRA_TEST_ATTEMPTS", "--out", str(out)]
    child = machines.start(kernel, PATIENCE_SECONDS, options, command)

    def ended(outcome: Outcome) -> None:
        counts = ", ".join(f"{outcome.count(status)} {status}" for status in (OK, FAIL, SKIP) if outcome.count(status))
        progress(f"{kernel}: {outcome.program}: {counts or 'nothing'} in {outcome.seconds:.0f} s"
                 f"{f' ({outcome.problem})' if outcome.problem else ''}")

    with log_path.open("w") as log:
        def lines() -> Iterator[str]:
            assert child.stdout is not None
            for line in child.stdout:
                log.write(line)
                log.flush()
                yield line
        outcomes = read(lines(), [(program.name, program.kind) for program in programs], ended)
    status = machines.finish(child)
    outcomes.append(judge_machine(machines, kernel, status))
    for outcome in outcomes:
        refuse_skips(kernel, outcome)
    return outcomes


def judge_machine(machines: Machines, kernel: str, status: int) -> Outcome:
    """That it ended well and its kernel did not complain, as a case of its own."""
    machine = Outcome("machine")
    dmesg = machines.logs / kernel / ".dmesg"
    said = (machines.logs / f"{kernel}.stderr").read_text(errors="replace").strip().splitlines()
    complaints = ["no kernel log"]
    if dmesg.exists():
        complaints = [line for line in dmesg.read_text(errors="replace").splitlines() if SPLAT.search(line)]
    if status != 0:
        machine.output += [f"scripts/vm ended with {status}", *said[-20:]]
    machine.output += complaints[:20]
    machine.cases["ends well, without a complaint of the kernel"] = OK if status == 0 and not complaints else FAIL
    return machine


def refuse_skips(kernel: str, outcome: Outcome) -> None:
    for case, status in outcome.cases.items():
        if status == SKIP and not plan.may_skip(kernel, outcome.program, case):
            outcome.cases[case] = FAIL
            outcome.output.append(f"{case}: skipped, which plan.py does not allow on {kernel}")


def row_name(program: plan.Program | None, outcome: Outcome, case: str) -> str:
    """gtests have a row for a test suite, everything else one for a case."""
    if program is not None and program.kind == "gtest":
        return f"{outcome.program} {case.rpartition('.')[0].rpartition('/')[2] or case}"
    return f"{outcome.program} {case}"


def print_table(results: dict[str, list[Outcome]], programs: Sequence[plan.Program]) -> None:
    by_name = {program.name: program for program in programs}
    rows: dict[str, dict[str, list[str]]] = {}
    for name in [*by_name, "machine"]:
        for kernel, outcomes in results.items():
            for outcome in outcomes:
                if outcome.program != name:
                    continue
                for case, status in outcome.cases.items():
                    row = rows.setdefault(row_name(by_name.get(name), outcome, case), {})
                    row.setdefault(kernel, []).append(status)
                if outcome.problem:
                    rows.setdefault(f"{name} (as a whole)", {})[kernel] = [FAIL]
    lines = [["", *results]]
    for name, cells in rows.items():
        lines.append([name, *(cell(cells.get(kernel, [])) for kernel in results)])
    print(f"\n{table.render(lines)}")


def cell(statuses: Sequence[str]) -> str:
    if not statuses:
        return "-"
    failed = statuses.count(FAIL)
    if failed:
        return FAIL if len(statuses) == 1 else f"{FAIL} {failed}/{len(statuses)}"
    status = SKIP if SKIP in statuses else OK
    return status if len(statuses) == 1 else f"{status} {len(statuses)}"


def print_failures(results: dict[str, list[Outcome]]) -> None:
    for kernel, outcomes in results.items():
        for outcome in outcomes:
            failed = [case for case, status in outcome.cases.items() if status == FAIL]
            if not failed and not outcome.problem:
                continue
            print(f"\n== {kernel} {outcome.program}: {'; '.join([*failed, *filter(None, [outcome.problem])])}")
            good = ("ok ", "[       OK ]", "[ RUN      ]", "[-----")
            print("\n".join([line for line in outcome.output if line and not line.startswith(good)][-120:]))


def print_repeated(results: dict[str, list[Outcome]]) -> None:
    """Cases that failed and were run once more (tests/lab/tap.py)."""
    lines = [f"  {kernel} {outcome.program} {line[2:]}" for kernel, outcomes in results.items() for outcome in outcomes
             for line in outcome.output if re.fullmatch(r"# .*: attempt \d+ failed", line)]
    if lines:
        print("\n".join(["", "run once more:", *lines]))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="test-kernels")
    parser.add_argument("root", type=Path)
    parser.add_argument("build", type=Path)
    parser.add_argument("kernels", nargs="*", metavar="VERSION")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--suites", type=lambda text: text.split(","), default=[])
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--cpus", type=int, default=1)
    arguments = parser.parse_intermixed_args()
    arguments.kernels = list(dict.fromkeys(arguments.kernels or plan.SERIES))
    for kernel in arguments.kernels:
        if not re.fullmatch(r"\d+\.\d+", kernel):
            parser.error(f"'{kernel}' is not a kernel series like 6.12")
    if arguments.jobs < 1:
        arguments.jobs = jobs_that_fit(len(arguments.kernels))
    return arguments


def jobs_that_fit(wanted: int) -> int:
    """As many as keep the cores busy to the end, and as memory has room for."""
    available = next(int(line.split()[1]) // 1024 for line in Path("/proc/meminfo").read_text().splitlines()
                     if line.startswith("MemAvailable:"))
    return max(1, min(wanted, (os.cpu_count() or 1) + 1, (available - 1024) // FOOTPRINT_MIB))


def run_all(machines: Machines, programs: Sequence[plan.Program],
            arguments: argparse.Namespace) -> dict[str, list[Outcome]]:
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        futures = {kernel: pool.submit(run_kernel, machines, kernel, programs, arguments)
                   for kernel in arguments.kernels}
        try:
            return {kernel: future.result() for kernel, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            machines.stop()
            raise


def main() -> int:
    arguments = parse_arguments()
    try:
        programs = plan.chosen(arguments.root, arguments.all, arguments.suites)
    except ValueError as e:
        print(f"test-kernels: error: {e}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.setdefault("NATRA_TEST_RATE", str(RATE))
    os.environ.setdefault("NATRA_POOL_SIZE", "2")
    os.environ.setdefault("NATRA_TEST_ATTEMPTS", "1")
    machines = Machines(arguments.root, arguments.build)
    progress(f"{len(arguments.kernels)} kernels, {arguments.jobs} at once; output in {machines.logs}")
    try:
        results = run_all(machines, programs, arguments)
    except KeyboardInterrupt:
        return 130
    print_failures(results)
    print_table(results, programs)
    print_repeated(results)
    totals = {status: sum(outcome.count(status) for outcomes in results.values() for outcome in outcomes)
              for status in (OK, FAIL, SKIP)}
    print(f"\n{totals[OK]} passed, {totals[FAIL]} failed, {totals[SKIP]} skipped", flush=True)
    return 1 if totals[FAIL] or not totals[OK] else 0


if __name__ == "__main__":
    sys.exit(main())
