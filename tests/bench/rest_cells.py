# SPDX-License-Identifier: Apache-2.0
"""What the benchmark measures of the REST interface: many clients at once, while limits change and pods churn."""
from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cells
from cells import Cell, Figures
from lab import process
from lab.node import Node
from lab.rest import Rest, change_one

CLIENTS = 64
# All of the answers that an operator and Prometheus ask for again and again, each as often as the others.
PATHS = ("/v1/pods", "/v1/pods/{id}", "/v1/pods/{id}/flows", "/metrics")
CHANGE_SECONDS = 0.1  # from one limit's change to the next
CHURN_SECONDS = 1.0  # from one pod's ADD and DEL to the next


class Repeated(threading.Thread):
    """Calls it every `seconds`, until stop(), which raises what it raised."""

    def __init__(self, seconds: float, body: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self._seconds = seconds
        self._body = body
        self._over = threading.Event()
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due += self._seconds
            try:
                self._body()
            except Exception as error:  # told by stop()
                self._error = error
                return
            self.count += 1

    def stop(self) -> None:
        self._over.set()
        self.join(60)
        if self._error is not None:
            raise self._error


def cpu_seconds(pid: int) -> float:
    """Of all its threads that are."""
    runs = [int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(runs) / 1e9


@contextlib.contextmanager
def unrest(node: Node, cell: Cell, rest: Rest, ids: list[str]) -> Iterator[dict[str, Repeated]]:
    """Limits change and pods come and go meanwhile."""
    # Each pod in turn, to and fro between two rates.
    targets = itertools.cycle([(each, rate) for rate in (cell.rate // 2, cell.rate) for each in ids])

    def churn() -> None:
        with cells.pod_for(node, cell):
            pass

    threads = {"changes": Repeated(CHANGE_SECONDS, lambda: change_one(rest, *next(targets))),
               "churned": Repeated(CHURN_SECONDS, churn)}
    with contextlib.ExitStack() as ends:
        for each in threads.values():
            ends.callback(each.stop)
        yield threads


def attachment_ids(rest: Rest) -> list[str]:
    return [item["id"] for item in rest.get("/v1/pods?limit=500").json["items"]]


def measure_rest(node: Node, cell: Cell, seconds: int, interval_ms: int, ids: list[str]) -> dict[str, Figures]:
    """By path; "" has what concerns all of them. interval_ms: from one request of a client to its next; 0: none."""
    assert node.natrad is not None
    natrad = node.natrad.pid
    rest = Rest(node.api_socket)
    argv = [str(node.build.rest_load), "--socket", str(node.api_socket), "--paths", ",".join(PATHS),
            "--ids", ",".join(ids), "--clients", str(CLIENTS), "--seconds", str(seconds),
            "--interval-ms", str(interval_ms)]
    with unrest(node, cell, rest, ids) as threads:
        time.sleep(1)
        before, cpu = node.natrad.resident_mib(), cpu_seconds(natrad)
        start = time.monotonic()
        found: dict[str, Any] = json.loads(process.run(argv, timeout=seconds + 60).stdout)
        wall = time.monotonic() - start
        done = {name: thread.count for name, thread in threads.items()}
    if found["errors"]:
        raise RuntimeError(f"{found['failed']} requests failed: {found['errors']}")
    out: dict[str, Figures] = {path: {**latencies(found["paths"][path]),
                                      "body_kb": found["paths"][path]["largest_body_bytes"] / 1000} for path in PATHS}
    out[""] = {**latencies(found["all"]), "requests_per_second": found["requests_per_second"],
               "natrad_cpu": (cpu_seconds(natrad) - cpu) / wall,
               "client_cpu": found["client_cpu_seconds"] / wall,
               "rss_before_mib": before, "rss_after_mib": node.natrad.resident_mib(),
               **{f"{name}_per_second": count / wall for name, count in done.items()}}
    return out


def latencies(summary: dict[str, Any]) -> Figures:
    return {"samples": summary["samples"],
            **{f"{name}_ms": None if summary[f"{name}_us"] is None else summary[f"{name}_us"] / 1000
               for name in ("p50", "p99", "max")}}
