# SPDX-License-Identifier: Apache-2.0
"""What the benchmark measures of names: queries beside downloads where the limit is smallest."""
from __future__ import annotations

import contextlib
import time

from cells import Cell, Figures, pod_for
from lab.node import Node
from lab.traffic import share_interval_us

BOTH_WAYS, EGRESS_ALONE = "both ways", "egress alone"
ANSWERS = (600, 1200)  # bytes
HEADERS = 42
SETTLE_SECONDS = 5  # the first window of a flow alone is 2 s of 64 kbit/s


def measure_dns(node: Node, cell: Cell, seconds: int) -> Figures:
    """Two askers, each of whose answers take a quarter of a flow's fair share, beside downloads; over 4 x seconds,
    since that is a few answers only."""
    share = 0.25 / (cell.flows + 1)
    seconds *= 4
    with pod_for(node, cell) as pod:
        client = pod.client()
        # It is stopped when the last query is answered or lost.
        with client.bulk(cell.direction, SETTLE_SECONDS + seconds + 30, flows=cell.flows,
                         congestion_controls=cell.congestion_controls) as bulk:
            time.sleep(SETTLE_SECONDS)
            with contextlib.ExitStack() as ends:
                askers = {answer: ends.enter_context(client.dns(seconds, answer=answer, interval_us=max(
                    50_000, share_interval_us(answer + HEADERS, share, cell.rate)))) for answer in ANSWERS}
                results = {answer: asker.result() for answer, asker in askers.items()}
            if not bulk.running():
                raise RuntimeError(f"the downloads ended early: {bulk.result()['errors']}")
    sent = sum(each["sent_queries"] for each in results.values())
    answered = sum(each["answered_queries"] for each in results.values())
    out: Figures = {"sent": sent, "unanswered": sent - answered, "lost_share": 1 - answered / sent}
    for answer, each in results.items():
        out |= {f"unanswered_{answer}": each["sent_queries"] - each["answered_queries"],
                f"sent_{answer}": each["sent_queries"],
                f"dns_{answer}_p50_us": each["p50_us"], f"dns_{answer}_max_us": each["max_us"]}
    return out
