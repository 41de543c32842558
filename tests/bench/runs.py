# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmark's parts: their cells, contender after contender, and the targets that natra is held against."""
from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import by_hand
import cells
import change_cells
import dns_cells
import fair_cells
import heavy_cells
import rest_cells
import targets
from cells import Cell, Contender, Figures
from lab.node import Node
from lab.rest import Rest
from lab.traffic import DIRECTIONS

Row = dict[str, Any]
Measure = Callable[[Node, Cell, int], Figures]
# Fixed ones, or what the stock plugin's figures, if there are any, make of them.
Wanted = Sequence[targets.Target] | Callable[[Figures | None], Sequence[targets.Target]]
LIMITERS = {"stock": Contender.STOCK, "natra": Contender.NATRA, "cake": Contender.CAKE, "fq_codel": Contender.FQ_CODEL}
_start = time.monotonic()


def progress(text: str) -> None:
    print(f"[{time.monotonic() - _start:7.1f} s] {text}", file=sys.stderr, flush=True)


@dataclasses.dataclass(frozen=True)
class Selection:
    """What a part measures where the command line does not say."""
    rates: tuple[int, ...] = (10, 100)  # Mbit/s
    flows: tuple[int, ...] = (1, 4, 16)
    cc: tuple[str, ...] = ("cubic", "bbr")


DEFAULTS = {
    "stream": Selection((1, 10, 100, 1000), (1, 4, 16, 64)),
    "share": Selection((10, 100), (1, 4, 16)),
    "attack": Selection((20, 100), (1, 4)),
    "many": Selection((20, 100), (1, 32, 64, 100, 300), ("cubic",)),
    "dns": Selection((64, 128, 256), (1, 4), ("cubic",)),  # kbit/s
    "wait": Selection((20, 100)),
    "fair64": Selection((20, 100)),
}


class Bench:
    def __init__(self, node: Node, arguments: argparse.Namespace) -> None:
        self.node = node
        self.arguments = arguments
        self.rows: list[Row] = []
        self.checks: dict[str, list[targets.Check]] = {}  # by part
        self.shapers, self.hooks = self._in_use()
        self._idle: dict[object, Figures] = {}
        self.absent = [name for name in arguments.limiters
                       if name in by_hand.KINDS and by_hand.missing(node, name)]
        for name in self.absent:
            progress(f"{name}: left out, this kernel does not have it")

    def run(self, parts: Sequence[str]) -> None:
        for part in parts:
            getattr(self, part)()

    def idle(self) -> None:
        cell = Cell("idle", Contender.NONE)
        progress("idle")
        figures = cells.median_of([cells.measure_idle(self.node, cell, self.arguments.seconds)
                                   for _ in range(self.arguments.repeat)])
        self.rows.append({**cell.labels(), "figures": figures})

    def load(self) -> None:
        for cell in self._cells("load"):
            cell = dataclasses.replace(cell, kind=self.arguments.kind)
            self._compare(cell, cells.measure_load, targets.load_targets(self.shapers.get(cell.direction, "")))

    def burst(self) -> None:
        for direction, rate in self._places("burst"):
            wanted = targets.BURST + targets.load_targets(self.shapers.get(direction, ""))
            self._compare(Cell("burst", Contender.STOCK_RUNTIME_BURST, direction, rate, ("cubic",), 1),
                          cells.measure_burst, wanted, by_hand_too=False)

    def flood(self) -> None:
        for direction, rate in self._places("flood"):
            self._compare(Cell("flood", Contender.STOCK, direction, rate, ("cubic",), 1),
                          cells.measure_flood, targets.FLOOD)

    def fairness(self) -> None:
        for direction, rate in self._places("fairness"):
            self._compare(Cell("fairness", Contender.STOCK, direction, rate, ("cubic", "bbr"), 4),
                          cells.measure_fairness, targets.FAIRNESS)

    def fair64(self) -> None:
        def measure(node: Node, cell: Cell, seconds: int) -> Figures:
            # 300 kbit/s of each are some hundred packets in 5 s.
            return cells.measure_fairness(node, cell, 3 * seconds)
        for direction, rate in self._places("fair64"):
            self._compare(Cell("fair64", Contender.STOCK, direction, rate, ("cubic", "bbr"), 64),
                          measure, targets.FAIRNESS_64)

    def stream(self) -> None:
        self._streams("stream", self.arguments.stream_share, targets.STREAM)

    def share(self) -> None:
        self._streams("share", 1.0, targets.SHARE)

    def _streams(self, part: str, of_share: float, wanted: Wanted) -> None:
        for cell in self._cells(part):
            rate = max(1000, round(of_share * fair_cells.fair_share(cell)))
            idle = self._idle_of((cell.direction, rate), cell, lambda node, cell, seconds, rate=rate:
                                 fair_cells.measure_idle_stream(node, cell, seconds, rate))

            def measure(node: Node, cell: Cell, seconds: int, rate: int = rate, idle: Figures = idle) -> Figures:
                return fair_cells.measure_stream(node, cell, seconds, rate, idle)
            self._compare(cell, measure, wanted)

    def attack(self) -> None:
        for cell in self._cells("attack"):
            for traffic in (fair_cells.ONE_FLOW, fair_cells.FOUR_FLOWS, fair_cells.NEW_FLOWS):
                self._compare(dataclasses.replace(cell, traffic=traffic), fair_cells.measure_attack, targets.ATTACK)

    def many(self) -> None:
        for cell in self._cells("many"):
            self._compare(cell, heavy_cells.measure_many, targets.many_targets)

    def dns(self) -> None:
        for each in self._cells("dns", unit=1000, directions=("ingress",)):
            for traffic in (dns_cells.BOTH_WAYS, dns_cells.EGRESS_ALONE):
                cell = dataclasses.replace(each, traffic=traffic, egress_alone=traffic == dns_cells.EGRESS_ALONE)
                self._compare(cell, dns_cells.measure_dns, targets.dns_targets)

    def wait(self) -> None:
        for cell in self._cells("wait"):
            idle = self._idle_of(cell.direction, cell, heavy_cells.measure_idle_round_trip)

            def measure(node: Node, cell: Cell, seconds: int, idle: Figures = idle) -> Figures:
                return heavy_cells.measure_wait(node, cell, seconds, idle)
            self._compare(cell, measure, targets.wait_targets)

    def verbs(self) -> None:
        def measure(node: Node, cell: Cell, _seconds: int) -> Figures:
            return cells.measure_verbs(node, cell, self.arguments.rounds)
        for pods in (0, self.arguments.pods):
            self._compare(Cell("verbs", Contender.STOCK, rate=100_000_000, pods=pods), measure, targets.verb_targets,
                          by_hand_too=False)

    def boot(self) -> None:
        self._compare(Cell("boot", Contender.STOCK, rate=100_000_000, pods=self.arguments.boot_pods),
                      cells.measure_boot, [], by_hand_too=False)

    def change(self) -> None:
        if self.node.natrad is None:
            return progress("change: natra only")
        low, high = self.arguments.change_rates
        rates = change_cells.Rates(low * 1_000_000, high * 1_000_000)
        for direction in self.arguments.directions:
            cell = Cell("change", Contender.NATRA, direction, rates.low)
            for kind in ("tcp", "udp", "udp below"):
                for way in ("REST", "D-Bus"):
                    progress(f"change {direction} {kind} {way}")
                    runs = [[row for steps in rates.journeys(kind)
                             for row in change_cells.measure_change(self.node, cell, kind, way, rates, steps)]
                            for _ in range(self.arguments.repeat)]
                    for step in range(len(runs[0])):
                        name = runs[0][step][0]
                        figures = cells.median_of([run[step][1] for run in runs])
                        wanted = targets.CHANGE
                        if kind == "udp below":
                            # With a limit its queue goes, and nobody counts.
                            wanted = [] if "none" in name else targets.NO_DROPS
                        checks = targets.check(figures, wanted)
                        self.checks.setdefault("change", []).extend(checks)
                        self.rows.append({**cell.labels(), "kind": kind, "way": way, "change": name,
                                          "shaper": self.shapers.get(direction, ""), "figures": figures,
                                          "target": targets.verdict(checks)})

    def rest(self) -> None:
        if self.node.natrad is None:
            return progress("rest: natra only")
        cell = Cell("rest", Contender.NATRA, rate=100_000_000, pods=self.arguments.pods)
        progress(f"rest: {cell.pods} pods")
        with cells.crowd(self.node, cell):
            ids = rest_cells.attachment_ids(Rest(self.node.api_socket))
            for interval in (self.arguments.rest_interval, 0):
                progress(f"rest: every {interval} ms" if interval else "rest: without pause")
                found = rest_cells.measure_rest(self.node, cell, self.arguments.rest_seconds, interval, ids)
                for path, figures in found.items():
                    checks = targets.check(figures, targets.REST if path else [])
                    self.checks.setdefault("rest", []).extend(checks)
                    self.rows.append({**cell.labels(), "interval_ms": interval, "path": path, "figures": figures,
                                      "target": targets.verdict(checks)})

    def _selection(self, part: str) -> Selection:
        given = {name: tuple(value) for name in ("rates", "flows", "cc")
                 if (value := getattr(self.arguments, name)) is not None}
        return dataclasses.replace(DEFAULTS.get(part, Selection()), **given)

    def _places(self, part: str) -> Iterator[tuple[str, int]]:
        for direction in self.arguments.directions:
            for rate in self._selection(part).rates:
                yield direction, rate * 1_000_000

    def _cells(self, part: str, *, unit: int = 1_000_000, directions: Sequence[str] = ()) -> Iterator[Cell]:
        """Of the stock plugin. unit: of the rates, in bit/s."""
        selection = self._selection(part)
        for direction in directions or self.arguments.directions:
            for rate in selection.rates:
                for cc in selection.cc:
                    for flows in selection.flows:
                        yield Cell(part, Contender.STOCK, direction, rate * unit, (cc,), flows)

    def _idle_of(self, key: object, cell: Cell, measure: Measure) -> Figures:
        """Without limiter and load, measured once for all cells of that key."""
        key = (cell.part, key)
        if key not in self._idle:
            bare = dataclasses.replace(cell, contender=Contender.NONE)
            progress(f"{cell.part} {cell.direction} idle")
            self._idle[key] = measure(self.node, bare, self.arguments.seconds)
        return self._idle[key]

    def _contenders(self, stock: Contender, by_hand_too: bool) -> list[Contender]:
        chosen = [LIMITERS[name] for name in LIMITERS if name in self.arguments.limiters and name not in self.absent]
        return [stock if each is Contender.STOCK else each for each in chosen if by_hand_too or not each.by_hand]

    def _compare(self, stock: Cell, measure: Measure, wanted: Wanted, *, by_hand_too: bool = True) -> None:
        """All chosen contenders in turns, as often as asked; of each the medians."""
        contenders = self._contenders(stock.contender, by_hand_too and stock.kind == "ptp")
        runs: dict[Contender, list[Figures]] = {contender: [] for contender in contenders}
        for _ in range(self.arguments.repeat):
            for contender in contenders:
                cell = dataclasses.replace(stock, contender=contender)
                progress(" ".join(str(value) for value in cell.labels().values() if value))
                runs[contender].append(measure(self.node, cell, self.arguments.seconds))
        found = {contender: cells.median_of(each) for contender, each in runs.items()}
        beside = found.get(stock.contender)
        for contender, figures in found.items():
            row: Row = {**dataclasses.replace(stock, contender=contender).labels(), "figures": figures}
            if contender is Contender.NATRA:
                row["shaper"] = self.shapers.get(stock.direction, "")
                checks = targets.check(figures, wanted(beside) if callable(wanted) else wanted)
                self.checks.setdefault(stock.part, []).extend(checks)
                row["target"] = targets.verdict(checks)
                row["to_stock"] = ratios(figures, beside)
                if Contender.CAKE in found:
                    row["behind_cake"] = targets.behind(figures, found[Contender.CAKE])
            self.rows.append(row)

    def _in_use(self) -> tuple[dict[str, str], dict[str, str]]:
        """Shapers and hooks by direction, as natrad reports them for a pod."""
        if "natra" not in self.arguments.limiters:
            return {}, {}
        natrad = self.node.start_natrad(NATRA_SHAPER=self.arguments.shaper,
                                        NATRA_ATTACH_MODE=self.arguments.attach_mode,
                                        NATRA_API_SOCKET=str(self.node.api_socket),
                                        # natrad's own default, which takes an emulated processor minutes
                                        NATRA_POOL_SIZE=os.environ.get("NATRA_POOL_SIZE", "128"))
        with cells.pod_for(self.node, Cell("", Contender.NATRA, rate=10**8, kind=self.arguments.kind)) as pod:
            facts = natrad.properties(pod.object_path())
        return ({direction: facts[f"{direction.capitalize()}Shaper"] for direction in DIRECTIONS},
                {direction: facts[f"{direction.capitalize()}Hook"] for direction in DIRECTIONS})


def ratios(ours: Figures, stock: Figures | None) -> dict[str, float]:
    """natra's p50s as parts of the stock plugin's."""
    names = ("rr_p50_us", "short_p50_us", "add_p50_ms", "del_p50_ms")
    out = {}
    for name in names:
        mine, theirs = ours.get(name), (stock or {}).get(name)
        if mine is not None and theirs:
            out[name] = mine / theirs
    return out
