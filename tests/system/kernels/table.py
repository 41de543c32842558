# SPDX-License-Identifier: Apache-2.0
"""scripts/test-kernels --table: table.py ROOT BUILD-DIR [--seconds N] [VERSION...].

Runs the benchmark's cells in a virtual machine of every kernel and writes
docs/kernels.md. One machine at a time: they measure. Kernels that are not named
keep the figures of the last run with this build directory, if there was one.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import plan  # noqa: E402
from lab import table  # noqa: E402

Json = dict[str, Any]
RATES = (10, 100)  # Mbit/s
# What is measured: a kind of interface (lab.kinds), and the shaper that is forced. The stock plugin takes only veth
# pairs, and needs to be measured once.
PLACES = (("ptp", "auto"), ("ptp", "htb"), ("ipvlan l2", "auto"), ("macvlan", "auto"))
NAMES = {"ptp": "veth"}
TEXT = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by `scripts/test-kernels --table`. -->
# Kernels

What natra does on each of Debian's kernels, beside the stock `bandwidth` plugin
with a burst of 10 ms (64 KiB at least) on the same kernel. Measured on {date} by

    sudo scripts/test-kernels --table --seconds {seconds}

in virtual machines in which time passes with the instructions executed, two
nanoseconds each on one processor (`scripts/vm --steady`): an idle ping takes
0.1 ms, whatever the host is or does. Four bulk flows (cubic) for {seconds} s;
pings of 64 bytes and transfers of 16 kB on new connections beside them.

- total: what the receiver's device counted after the first second, as a part of
  the limit. Headers of a GSO packet count once: TCP at exactly the limit reads
  0.957 with large ones, and up to 1 with small ones, which slow flows and older
  kernels make more of; the stock plugin's row tells. Not told of a policer
  inside the pod, which stands behind that counter.
- goodput: of the bulk flows, likewise; pings and transfers take the rest.
- ping, 16 kB: milliseconds; `=` marks a maximum where there were too few samples
  for a p99. "/ stock" is natra's p50 as a part of the stock plugin's.
- The stock plugin takes veth pairs only. An ipvlan or macvlan pod has no host
  side: what comes in is policed in the pod, so the sender's bulk flows back off
  by loss, and small ones do not wait at all.

{tables}
"""


def progress(text: str) -> None:
    print(f"[{time.monotonic() - _start:5.0f} s] {text}", file=sys.stderr, flush=True)


_start = time.monotonic()


def measure(arguments: argparse.Namespace, kernel: str, kind: str, shaper: str) -> Json:
    """One run of the benchmark in a machine of its own: its JSON. Raises RuntimeError."""
    out = arguments.logs / f"table-{kernel}"
    (out / "bench.json").unlink(missing_ok=True)
    cells = 2 * 2 * len(RATES)
    seconds = 3 * (180 + cells * (60 + 3 * arguments.seconds))  # only a machine that hangs takes that long
    bench = [str(arguments.root / "tests/bench/bench"), "--build", str(arguments.build), "--parts", "load",
             "--rates", ",".join(map(str, RATES)), "--cc", "cubic", "--flows", "4", "--shaper", shaper, "--kind", kind,
             "--limiters", "stock,natra" if (kind, shaper) == PLACES[0] else "natra",
             "--seconds", str(arguments.seconds), "--json", "/out/bench.json"]
    machine = [str(arguments.root / "scripts/vm"), "--build", str(arguments.build), "--steady", "--cpus", "1",
               "--time", str(seconds), "--env", "NATRA_POOL_SIZE", "--out", str(out), kernel]
    done = subprocess.run([*machine, *bench], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    (arguments.logs / f"table-{kernel}-{kind.replace(' ', '-')}-{shaper}.log").write_text(done.stdout + done.stderr)
    if done.returncode != 0 or not (out / "bench.json").exists():
        said = "\n".join(done.stderr.strip().splitlines()[-10:])
        raise RuntimeError(f"{kernel} {kind} {shaper}: status {done.returncode}: {said}")
    return {"kind": kind, "shaper": shaper, **json.loads((out / "bench.json").read_text())}


def measure_all(arguments: argparse.Namespace, kernel: str) -> list[Json]:
    runs = []
    for kind, shaper in PLACES:
        progress(f"{kernel}: {kind}, shaper {shaper}")
        runs.append(measure(arguments, kernel, kind, shaper))
    return runs


def late(figures: Json, kind: str) -> str:
    """p99 in ms, or the maximum marked as such."""
    if figures[f"{kind}_p99_us"] is None:
        return "=" + table.milliseconds(figures[f"{kind}_max_us"])
    return table.milliseconds(figures[f"{kind}_p99_us"])


def times(figures: Json, kind: str, stock: Json) -> list[str]:
    """p50, p99 and the p50 as a part of the stock plugin's."""
    mine, theirs = figures[f"{kind}_p50_us"], stock[f"{kind}_p50_us"]
    share = table.significant(mine / theirs, 2) if figures is not stock and mine is not None and theirs else ""
    return [table.milliseconds(mine), late(figures, kind), share]


def row_of(limiter: str, kind: str, row: Json, hook: str, stock: Json) -> list[str]:
    figures = row["figures"]
    # A policer inside the pod stands behind the counters of the pod's device: they tell what came, not what passed.
    behind = row.get("shaper") == "police" and kind != "ptp" and row["direction"] == "ingress"
    return [f"{row['rate'] // 10**6}", row["direction"], limiter, NAMES.get(kind, kind), row.get("shaper", "tbf"), hook,
            "" if behind else f"{figures['total']:.3f}", f"{figures['goodput']:.3f}",
            *times(figures, "rr", stock), *times(figures, "short", stock)]


def place_of(row: Json) -> tuple[int, str]:
    return row["rate"], row["direction"]


def rows_of(runs: Sequence[Json]) -> list[list[str]]:
    """By rate and direction: the stock plugin, then natra in all its places."""
    stock = [row for row in runs[0]["rows"] if row["limiter"] == "stock"]
    out = []
    for beside in sorted(stock, key=place_of):
        out.append(row_of("stock", "ptp", beside, "", beside["figures"]))
        for run in runs:
            for row in run["rows"]:
                if row["limiter"] == "natra" and place_of(row) == place_of(beside):
                    hook = run["environment"]["hooks"][row["direction"]]
                    out.append(row_of("natra", run["kind"], row, hook.rpartition(" ")[0], beside["figures"]))
    return out


def markdown(lines: Sequence[Sequence[str]]) -> str:
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(lines[0]), *text[1:]])


HEADINGS = ["Mbit/s", "direction", "limiter", "interface", "shaper", "hook", "total", "goodput",
            "ping p50", "p99", "/ stock", "16 kB p50", "p99", "/ stock"]


def document(measured: dict[str, Json]) -> str:
    parts = []
    for kernel in sorted(measured, key=lambda name: [int(each) for each in name.split(".")]):
        each = measured[kernel]
        release = each["runs"][0]["environment"]["kernel"]
        rows = rows_of(each["runs"])
        parts.append(f"## Linux {kernel}\n\n`{release}`, measured on {each['date']}.\n\n"
                     f"{markdown([HEADINGS, *rows])}")
    latest = max(each["date"] for each in measured.values())
    some = next(iter(measured.values()))["runs"][0]["environment"]
    return TEXT.format(date=latest, seconds=some["arguments"]["seconds"],
                       tables="\n\n".join(parts)).rstrip() + "\n"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="test-kernels --table")
    parser.add_argument("root", type=Path)
    parser.add_argument("build", type=Path)
    parser.add_argument("kernels", nargs="*", metavar="VERSION", default=[])
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_intermixed_args()
    arguments.kernels = arguments.kernels or list(plan.SERIES)
    for kernel in arguments.kernels:
        if not re.fullmatch(r"\d+\.\d+", kernel):
            parser.error(f"'{kernel}' is not a kernel series like 6.12")
    arguments.logs = arguments.build / "kernel-logs"
    return arguments


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments.logs.mkdir(exist_ok=True)
    os.environ.setdefault("NATRA_POOL_SIZE", "16")
    kept = arguments.logs / "table.json"
    measured: dict[str, Json] = json.loads(kept.read_text()) if kept.exists() else {}
    # Time in a machine does not depend on the others.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as machines:
        calls = {machines.submit(measure_all, arguments, kernel): kernel for kernel in arguments.kernels}
        for call in concurrent.futures.as_completed(calls):
            try:
                runs = call.result()
            except RuntimeError as e:
                print(f"test-kernels: error: {e}", file=sys.stderr)
                machines.shutdown(cancel_futures=True)
                return 1
            measured[calls[call]] = {"date": datetime.date.today().isoformat(), "runs": runs}
            kept.write_text(json.dumps(measured) + "\n")
            (arguments.root / "docs/kernels.md").write_text(document(measured))
    progress(f"written: {arguments.root / 'docs/kernels.md'}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
