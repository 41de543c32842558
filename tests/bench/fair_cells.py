# SPDX-License-Identifier: Apache-2.0
"""What the benchmark measures of fairness between protocols: a UDP flow beside TCP flows, at its fair share or a part
of it (a video), or far above it (an attack). The fair share of one of N + 1 flows is the rate divided by N + 1."""
from __future__ import annotations

import time

from cells import Cell, Figures, pod_for, probe_figures, wire_share
from lab.node import Node
from lab.traffic import Json, share_interval_us

BURSTS = 25  # a second
# Attacks; to fairness, a flood of new 5-tuples is one flow.
ONE_FLOW, FOUR_FLOWS, NEW_FLOWS = "one flow", "four flows", "new 5-tuples"
# What starts beside bulk flows ends before they do: the start of a process must not cost it load.
SPARE_SECONDS = 1


def fair_share(cell: Cell, others: int = 1) -> float:
    """bit/s of each of the cell's bulk flows and so many others."""
    return cell.rate / (cell.flows + others)


def stream_figures(stream: Json) -> Figures:
    return {"arrived": 1 - stream["lost_share"], "reordered": stream["reordered_packets"],
            "held": stream["held_packets"],
            **{f"delay_{name}": stream[name] for name in ("p50_us", "p99_us", "max_us", "samples")}}


def measure_idle_stream(node: Node, cell: Cell, seconds: int, rate: int) -> Figures:
    """The same stream without limiter and load: what this machine does to it."""
    with pod_for(node, cell) as pod, pod.client().stream(cell.direction, seconds, rate=rate, bursts=BURSTS) as stream:
        return stream_figures(stream.result())


def over(figures: Figures, kind: str, base: Figures) -> Figures:
    """By how much p50 and p99 exceed those of `base`; where either has no p99, the maximum is compared."""
    out: Figures = {}
    for name in ("p50_us", "p99_us", "max_us"):
        mine, theirs = figures[f"{kind}_{name}"], base[f"{kind}_{name}"]
        out[f"{kind}_over_{name}"] = None if mine is None or theirs is None else mine - theirs
    return out


def measure_stream(node: Node, cell: Cell, seconds: int, rate: int, idle: Figures) -> Figures:
    """A stream of `rate` bit/s in bursts, beside the cell's bulk flows."""
    with pod_for(node, cell) as pod:
        client = pod.client()
        with client.bulk(cell.direction, 1 + seconds + SPARE_SECONDS, flows=cell.flows,
                         congestion_controls=cell.congestion_controls) as bulk:
            time.sleep(1)
            with client.stream(cell.direction, seconds, rate=rate, bursts=BURSTS) as stream:
                streamed = stream.result()
            load = bulk.result(may_fail=True)
    figures = {**stream_figures(streamed), "stream_rate": rate,
               "idle_p50_us": idle["delay_p50_us"], "idle_p99_us": idle["delay_p99_us"] or idle["delay_max_us"],
               "total": wire_share(load["wire"], cell.rate), "goodput": load["goodput_bps"] / cell.rate,
               "jain": load["jain"]}
    return figures | over(figures, "delay", idle)


def measure_attack(node: Node, cell: Cell, seconds: int) -> Figures:
    """Bulk flows and pings; then a flood of UDP at three times the rate besides."""
    others = 4 if cell.traffic == FOUR_FLOWS else 1
    phase = max(2, seconds - 2)
    interval = max(1000, share_interval_us(130, 0.02, cell.rate))
    with pod_for(node, cell) as pod:
        client = pod.client()
        with client.bulk(cell.direction, 2 + 2 * phase, flows=cell.flows,
                         congestion_controls=cell.congestion_controls) as bulk:
            time.sleep(1)
            with client.rr(phase, interval_us=interval) as rr:
                before = probe_figures(rr.result(may_fail=True), None)
            with client.udp(cell.direction, 2 + phase, rate=3 * cell.rate,
                            flows=0 if cell.traffic == NEW_FLOWS else others) as udp:
                time.sleep(1)
                with client.rr(phase, interval_us=interval) as rr:
                    during = probe_figures(rr.result(may_fail=True), None)
                load, flood = bulk.result(may_fail=True), udp.result()
    # Both end within the flood, which began more than this before the end.
    flooded = load["timeline_bytes"][-10 * phase:]
    tcp = 8 * sum(flooded) / (len(flooded) / 10)
    return {"tcp_of_fair": tcp / (cell.flows * fair_share(cell, others)), "goodput": tcp / cell.rate,
            "udp": flood["goodput_bps"] / cell.rate, "total": wire_share(flood["wire"], cell.rate),
            **during, **{f"before_{name}": value for name, value in before.items()}, **over(during, "rr", before)}
