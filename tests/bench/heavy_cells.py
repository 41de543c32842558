# SPDX-License-Identifier: Apache-2.0
"""What the benchmark measures of many connections, and of the wait of the heavy ones themselves."""
from __future__ import annotations

import time

from cells import Cell, Figures, pod_for, wire_share
from lab.node import Node
from lab.traffic import share_interval_us

TRANSFER_BYTES = 16_700  # of 16 kB, with headers
ENOUGH = 105  # samples for a p99


def measure_many(node: Node, cell: Cell, seconds: int) -> Figures:
    """Transfers of 16 kB on new connections, of 5 % of the rate, beside the cell's bulk flows."""
    interval = max(50_000, share_interval_us(TRANSFER_BYTES, 0.05, cell.rate))
    seconds = max(seconds, 1 + ENOUGH * interval // 1_000_000)
    with pod_for(node, cell) as pod:
        client = pod.client()
        # Hundreds of flows need a moment to find their rate.
        with client.bulk(cell.direction, 2 + seconds + 1, flows=cell.flows,
                         congestion_controls=cell.congestion_controls) as bulk:
            time.sleep(2)
            with client.short(cell.direction, seconds, interval_us=interval) as short:
                result = short.result(may_fail=True)
            load = bulk.result(may_fail=True)
    return {**{f"short_{name}": result[name]
               for name in ("p50_us", "p99_us", "max_us", "samples", "unfinished", "failed")},
            "total": wire_share(load["wire"], cell.rate), "goodput": load["goodput_bps"] / cell.rate,
            "retransmits": load["retransmits"], "jain": load["jain"]}


def measure_idle_round_trip(node: Node, cell: Cell, seconds: int) -> Figures:
    with pod_for(node, cell) as pod, pod.client().rr(seconds) as rr:
        return {"idle_rtt_p50_us": rr.result()["p50_us"]}


def measure_wait(node: Node, cell: Cell, seconds: int, idle: Figures) -> Figures:
    """Bulk flows alone. Their wait is their own smoothed round-trip time (TCP_INFO), sampled after the first second,
    beyond a ping's without load: alike for every limiter, wherever it queues, and it is what the application feels."""
    with pod_for(node, cell) as pod, pod.client().bulk(cell.direction, 1 + seconds, flows=cell.flows,
                                                       congestion_controls=cell.congestion_controls) as bulk:
        load = bulk.result()
    rtt, base = load["rtt"], idle["idle_rtt_p50_us"] or 0
    return {**{f"wait_{name}": None if rtt[name] is None else rtt[name] - base
               for name in ("p50_us", "p99_us", "max_us")},
            "total": wire_share(load["wire"], cell.rate), "goodput": load["goodput_bps"] / cell.rate,
            "retransmits": load["retransmits"], "jain": load["jain"]}
