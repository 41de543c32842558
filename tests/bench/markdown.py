#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the benchmark's tables about fairness as Markdown, for docs/performance.

usage: markdown.py JSON... >FILE    JSON: from bench --json; several machines' or kernels' runs, several parts' too
"""
from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

import columns  # noqa: E402
from cells import Figures  # noqa: E402
from lab import table  # noqa: E402

Json = dict[str, Any]
NAMES = {"natra": "natra", "stock": "stock", "cake": "CAKE", "fq_codel": "HTB + fq_codel"}
WHERE = {"ingress": "to the pod", "egress": "from it"}
TEXT = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by tests/bench/markdown.py. -->
# Fairness to every kind of traffic

natra beside the stock `bandwidth` plugin (with a burst of 10 ms, but 64 KiB or a second at least) and, on kernels that
have them, beside the field's best, set up by hand in the same places: CAKE (`besteffort flows`) and HTB with fq_codel.
Every cell is a fresh pod; its contenders ran one after the other. "target" is what natra is held against; `x2.00` is
twice as much as allowed. "behind CAKE" names the figures in which natra is worse by more than a tenth and by more than
the noise. Times are milliseconds, p50 / p99; `=` marks a maximum where there were too few samples for a p99.

{runs}

{parts}
"""


def times(figures: Figures, kind: str) -> str:
    return f"{table.milliseconds(figures[f'{kind}_p50_us'])} / {columns.late(figures, kind)}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.4g} %"


def stream_text(figures: Figures) -> str:
    return f"{percent(figures['arrived'])}, {times(figures, 'delay')}"


def attack_text(figures: Figures) -> str:
    return (f"{columns.part_of(figures['tcp_of_fair'])}, {times(figures, 'rr')} ({times(figures, 'before_rr')}), "
            f"{columns.part_of(figures['total'])}")


def many_text(figures: Figures) -> str:
    return f"{times(figures, 'short')}, {columns.part_of(figures['goodput'])}"


def dns_text(figures: Figures) -> str:
    lost = ", ".join(f"{figures[f'unanswered_{size}']:.0f} of {figures[f'sent_{size}']:.0f}" for size in (600, 1200))
    return f"{lost}; {table.milliseconds(figures['dns_600_p50_us'])}, {table.milliseconds(figures['dns_1200_p50_us'])}"


def wait_text(figures: Figures) -> str:
    return f"{times(figures, 'wait')}, {columns.part_of(figures['goodput'])}"


def jain_text(figures: Figures) -> str:
    return f"{columns.part_of(figures['jain'])}, {columns.part_of(figures['goodput'])}"


# Of each part: heading, what its cells hold, and how they are written.
PARTS: dict[str, tuple[str, str, Callable[[Figures], str]]] = {
    "stream": ("A video below its fair share", "UDP in 25 bursts a second beside TCP flows: packets that arrived, "
               "one-way delay. \"idle\" is the same stream's delay without limiter and load. Of natra: 99.5 % at least "
               "arrives, p50 is within 0.2 ms and p99 within 3 ms of idle's.", stream_text),
    "share": ("UDP at its fair share", "The same stream at the rate divided by the number of all flows. Of natra: "
              "95 % at least arrives.", stream_text),
    "attack": ("UDP at three times the limit", "In one flow, in four, and with a new 5-tuple for every packet, beside "
               "TCP flows: what TCP delivers of its fair shares, pings (without the flood in brackets), total of the "
               "limit. Of natra: 0.75 of the fair share at least, p50 within 0.2 ms and p99 within 3 ms of the pings "
               "without the flood, total at most 1.01.", attack_text),
    "many": ("16 kB transfers beside many connections", "Completion times, and what the connections deliver of the "
             "limit. Of natra: p50 at most 10 ms, p99 at most 0.3 of the stock plugin's.", many_text),
    "dns": ("Names at the smallest limits", "Queries beside downloads, answers of 600 and 1200 bytes: lost, and p50 of "
            "the answered. The limit stands both ways or on egress alone. Of natra: no greater part lost than with the "
            "stock plugin.", dns_text),
    "wait": ("How long heavy flows wait themselves", "Their smoothed round-trip times beyond an idle ping's, and what "
             "they deliver of the limit. Of natra: p50 at most 20 ms, 0.99 at least of what the stock plugin delivers.",
             wait_text),
    "fairness": ("Two cubic and two BBR flows", "Jain's index, and what they deliver of the limit. Of natra: 0.97 at "
                 "least.", jain_text),
    "fair64": ("32 cubic and 32 BBR flows", "Jain's index, and what they deliver of the limit. Of natra: 0.95 at "
               "least.", jain_text),
}


def render(lines: Sequence[Sequence[str]]) -> str:
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(lines[0]), *text[1:]])


def name_of(run: Json) -> str:
    facts = run["environment"]
    return f"Linux {facts['kernel']}{', virtual machine' if facts.get('virtual') else ''}"


def runs_table(runs: Sequence[Json]) -> str:
    lines = [["kernel", "natra's shapers", "commit", "date", "seconds", "parts", "not there"]]
    for run in runs:
        facts = run["environment"]
        shapers = ", ".join(f"{WHERE[key]} {value}" for key, value in facts["shapers"].items())
        arguments = facts["arguments"]
        lines.append([name_of(run), shapers, facts["commit"], facts["date"], str(arguments["seconds"]),
                      ", ".join(arguments["parts"]), ", ".join(NAMES[each] for each in facts["absent"])])
    return render(lines)


def place_of(row: Json) -> tuple[str, ...]:
    rate = f"{row['rate'] / 1000:g} kbit/s" if row["part"] == "dns" else f"{row['rate'] / 10**6:g} Mbit/s"
    out = (rate, WHERE.get(row["direction"], ""), f"{row['flows']} {row['congestion_control']}")
    return (*out, row["traffic"]) if row.get("traffic") else out


def part_table(rows: Sequence[Json], text: Callable[[Figures], str]) -> str:
    """One line a cell, its contenders side by side."""
    cells: dict[tuple[str, ...], dict[str, Json]] = {}
    for row in rows:
        cells.setdefault(place_of(row), {})[row["limiter"]] = row
    limiters = [name for name in NAMES if any(name in each for each in cells.values())]
    streams = any("stream_rate" in row["figures"] for row in rows)
    by_cake = any("behind_cake" in row for row in rows)
    first = next(iter(cells))
    headings = ["limit", "direction", "TCP", *(["which"] if len(first) > 3 else []),
                *(["UDP Mbit/s", "idle"] if streams else []), *(NAMES[name] for name in limiters),
                "target", *(["behind CAKE"] if by_cake else [])]
    lines = [headings]
    for place, contenders in cells.items():
        line = list(place)
        row = next(iter(contenders.values()))
        some = row["figures"]
        if streams:
            share = some["stream_rate"] * (row["flows"] + 1) / row["rate"]
            line += [f"{table.significant(some['stream_rate'] / 1e6)} ({share:.2g} of its share)",
                     f"{table.milliseconds(some['idle_p50_us'])} / {table.milliseconds(some['idle_p99_us'])}"]
        line += [text(contenders[name]["figures"]) if name in contenders else "" for name in limiters]
        ours = contenders.get("natra", {})
        verdict = ours.get("target", "")
        line.append(verdict.replace("miss:", "**missed**:"))
        if by_cake:
            line.append(", ".join(ours.get("behind_cake", [])).replace("_", " "))
        lines.append(line)
    return render(lines)


def judged(rows: Sequence[Json]) -> str:
    ours = [row["target"] for row in rows if row["limiter"] == "natra" and row.get("target")]
    met = sum(each == "ok" for each in ours)
    return f"{met} of {len(ours)} cells meet their targets." if ours else ""


def document(runs: Sequence[Json]) -> str:
    parts = []
    for part, (heading, about, text) in PARTS.items():
        tables = []
        for run in runs:
            if rows := [row for row in run["rows"] if row["part"] == part]:
                tables.append(f"{name_of(run)}. {judged(rows)}\n\n{part_table(rows, text)}")
        if tables:
            parts.append(f"## {heading}\n\n{about}\n\n" + "\n\n".join(tables))
    return TEXT.format(runs=runs_table(runs), parts="\n\n".join(parts)).rstrip() + "\n"


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    print(document([json.loads(Path(name).read_text()) for name in sys.argv[1:]]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
