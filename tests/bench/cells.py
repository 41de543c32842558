# SPDX-License-Identifier: Apache-2.0
"""What the benchmark measures: one fresh pod a cell."""
from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import enum
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import by_hand
from lab.cni import CONTAINERD_BURST
from lab.kinds import KINDS
from lab.node import Node
from lab.pod import Limiter, Limits, Pod
from lab.traffic import Load, share_interval_us, under_load


class Contender(enum.Enum):
    """The stock plugin with a burst that an operator would choose, and with the one that the runtimes
    send; natra always gets the latter, as it does in a cluster. CAKE and fq_codel below HTB are set by hand."""
    NONE = "none"
    STOCK = "stock"
    STOCK_RUNTIME_BURST = "stock-rb"
    NATRA = "natra"
    CAKE = "cake"
    FQ_CODEL = "fq_codel"

    def limits(self, rate: int, *, egress_alone: bool = False) -> Limits:
        if self is Contender.NONE:
            return Limits()
        burst = CONTAINERD_BURST
        if self is Contender.STOCK:
            # 10 ms, and a GSO packet at least unless it were a second: what it saves in queue is to the stock plugin's
            # advantage.
            burst = max(min(65536 * 8, rate), rate // 100)
        return Limits(0 if egress_alone else rate, rate, burst, burst)

    @property
    def limiter(self) -> Limiter:
        """The plugin in the pod's chain."""
        if self in (Contender.STOCK, Contender.STOCK_RUNTIME_BURST):
            return Limiter.STOCK
        return Limiter.NATRA if self is Contender.NATRA else Limiter.NONE

    @property
    def by_hand(self) -> bool:
        return self.value in by_hand.KINDS


@dataclasses.dataclass(frozen=True)
class Cell:
    """Where a figure was measured."""
    part: str
    contender: Contender
    direction: str = ""
    rate: int = 0
    congestion_controls: tuple[str, ...] = ()
    flows: int = 0
    pods: int = 0  # on the node besides
    kind: str = "ptp"  # of lab.kinds
    traffic: str = ""  # what else tells cells of a part apart
    egress_alone: bool = False  # the limit

    def labels(self) -> dict[str, Any]:
        names = sorted(set(self.congestion_controls))
        return {"part": self.part, "limiter": self.contender.value, "direction": self.direction,
                "rate": self.rate, "congestion_control": "+".join(names), "flows": self.flows, "pods": self.pods,
                "kind": "" if self.kind == "ptp" else self.kind, "traffic": self.traffic}


Figures = dict[str, float | None]


def pod_for(node: Node, cell: Cell) -> Pod:
    limiter, limits = cell.contender.limiter, cell.contender.limits(cell.rate, egress_alone=cell.egress_alone)
    if cell.contender.by_hand:
        return by_hand.PodByHand(node, by_hand.KINDS[cell.contender.value], limits)
    return Pod(node, limiter, limits, **KINDS[cell.kind].connect(node, limiter))


def wire_share(wire: dict[str, Any], rate: int) -> float:
    """Of the rate, as veth counters have it: the headers of a GSO packet count once, so TCP at
    exactly the rate reads 1448/1514 = 0.957."""
    return 8 * wire["later_bytes"] / wire["later_seconds"] / rate


def probe_figures(rr: dict[str, Any], short: dict[str, Any] | None) -> Figures:
    out: Figures = {f"rr_{name}": rr[name] for name in ("p50_us", "p99_us", "max_us", "samples", "unfinished")}
    if short is not None:
        for name in ("p50_us", "p99_us", "max_us", "samples", "unfinished", "failed"):
            out[f"short_{name}"] = short[name]
    return out


def load_figures(load: Load, rate: int) -> Figures:
    bulk = load.bulk
    return {"total": wire_share(bulk["wire"], rate), "goodput": bulk["goodput_bps"] / rate,
            "retransmits": bulk["retransmits"], "jain": bulk["jain"],
            "first_second": 8 * bulk["wire"]["first_second_bytes"] / rate,
            **probe_figures(load.rr, load.short)}


def measure_idle(node: Node, cell: Cell, seconds: int) -> Figures:
    with pod_for(node, cell) as pod:
        client = pod.client()
        with client.rr(seconds) as rr, client.short("egress", seconds) as short:
            return probe_figures(rr.result(), short.result())


def measure_load(node: Node, cell: Cell, seconds: int, *, idle: float = 0) -> Figures:
    """Bulk flows, with pings and short transfers beside them."""
    with pod_for(node, cell) as pod:
        time.sleep(idle)
        load = under_load(pod.client(), cell.direction, seconds, flows=cell.flows,
                          congestion_controls=cell.congestion_controls, rate=cell.rate)
        return load_figures(load, cell.rate)


def measure_burst(node: Node, cell: Cell, seconds: int) -> Figures:
    """The same after a second of idleness: whatever credit there is has been saved."""
    return measure_load(node, cell, seconds, idle=1)


def measure_flood(node: Node, cell: Cell, _seconds: int) -> Figures:
    """A flood of new 5-tuples at three times the rate, beside one bulk flow and pings; over 4 s."""
    seconds = 4
    with pod_for(node, cell) as pod:
        client = pod.client()
        with client.bulk(cell.direction, 1 + seconds, congestion_controls=cell.congestion_controls) as bulk, \
                client.udp(cell.direction, 1 + seconds, rate=3 * cell.rate) as udp:
            time.sleep(1)
            interval = max(1000, share_interval_us(130, 0.02, cell.rate))
            with client.rr(seconds, interval_us=interval) as rr:
                pings = rr.result(may_fail=True)
            flood, load = udp.result(), bulk.result(may_fail=True)
        wire = flood["wire"]
        return {"total": wire_share(wire, cell.rate),
                "first_second": 8 * wire["first_second_bytes"] / cell.rate,
                "goodput": load["goodput_bps"] / cell.rate, "udp": flood["goodput_bps"] / cell.rate,
                **probe_figures(pings, None)}


def measure_fairness(node: Node, cell: Cell, seconds: int) -> Figures:
    """Flows of different congestion controls and nothing else."""
    with pod_for(node, cell) as pod, pod.client().bulk(
            cell.direction, 1 + seconds, flows=cell.flows,
            congestion_controls=cell.congestion_controls) as bulk:
        result = bulk.result()
    shares = {f"share_{name}": statistics.fmean(flow["goodput_bps"] for flow in result["flows"]
                                                if flow["congestion_control"] == name) / cell.rate
              for name in set(cell.congestion_controls)}
    return {"total": wire_share(result["wire"], cell.rate), "goodput": result["goodput_bps"] / cell.rate,
            "retransmits": result["retransmits"], "jain": result["jain"], **shares}


def wait_for_pool(node: Node) -> None:
    """Pods do not come faster than natrad's pool refills."""
    if node.natrad is not None:
        node.natrad.wait_for_pool(4)


@contextlib.contextmanager
def crowd(node: Node, cell: Cell) -> Iterator[None]:
    """The cell's pods, limited alike, idle."""
    with contextlib.ExitStack() as pods:
        for _ in range(cell.pods):
            pods.enter_context(pod_for(node, cell))
            wait_for_pool(node)
        yield


def process_floor(node: Node, rounds: int) -> float:
    """Seconds that the start of any process inside the node takes."""
    times = []
    for _ in range(rounds):
        start = time.monotonic()
        node.host.run(["true"])
        times.append(time.monotonic() - start)
    return statistics.median(times)


def measure_verbs(node: Node, cell: Cell, rounds: int) -> Figures:
    """ADD, CHECK and DEL of the limiter alone, as a runtime sees them, without the start of a process."""
    verbs = ("ADD", "CHECK", "DEL")
    seconds: dict[str, list[float]] = {verb: [] for verb in verbs}
    with crowd(node, cell):
        base = process_floor(node, rounds)
        for _ in range(rounds):
            with pod_for(node, cell) as pod:
                pod.chain.check(pod.attachment)
                wait_for_pool(node)
            for verb, times in seconds.items():
                times += pod.chain.seconds[cell.contender.limiter.value, verb]
    return {"samples": rounds, "process_ms": 1000 * base,
            **{f"{verb.lower()}_p50_ms": 1000 * (statistics.median(times) - base) for verb, times in seconds.items()},
            **{f"{verb.lower()}_max_ms": 1000 * (max(times) - base) for verb, times in seconds.items()}}


def measure_boot(node: Node, cell: Cell, _seconds: int) -> Figures:
    """ADD of the limiter for all of the cell's pods at once, as when a node starts."""
    plugin = cell.contender.limiter.value
    with contextlib.ExitStack() as cleanup:
        waiting = []
        for _ in range(cell.pods):
            pod = pod_for(node, cell)
            pod.create()
            cleanup.callback(pod.destroy)
            result = pod.chain.run_one("ADD", "ptp", pod.attachment, None)
            cleanup.callback(pod.chain.run_one, "DEL", "ptp", pod.attachment, result)
            waiting.append((pod, result))
        with concurrent.futures.ThreadPoolExecutor(len(waiting)) as together:
            start = time.monotonic()
            calls = [together.submit(pod.chain.run_one, "ADD", plugin, pod.attachment, result)
                     for pod, result in waiting]
            for call in calls:
                call.result()
            wall = time.monotonic() - start
        for pod, result in waiting:
            cleanup.callback(pod.chain.run_one, "DEL", plugin, pod.attachment, result)
        times = [pod.chain.seconds[plugin, "ADD"][0] for pod, _ in waiting]
        return {"boot_s": wall, "add_p50_ms": 1000 * statistics.median(times), "add_max_ms": 1000 * max(times)}


# Whether a queue grows beyond what UDP is let wait is settled once for a run: a median would hide every second run.
WORST = {"arrived": min, "tcp_of_fair": min, "lost_share": max, "unanswered": max, "unanswered_600": max,
         "unanswered_1200": max}


def median_of(runs: Sequence[Figures]) -> Figures:
    """Of each figure, but of what arrives and is lost the worst; None where a run could not tell."""
    out: Figures = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        known = [value for value in values if value is not None]
        out[name] = WORST.get(name, statistics.median)(known) if len(known) == len(values) else None
    return out
