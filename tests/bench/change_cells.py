# SPDX-License-Identifier: Apache-2.0
"""What the benchmark measures of a change of limits: how soon it is in force on the wire, and what it loses."""
from __future__ import annotations

import bisect
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cells import Cell, Figures, pod_for
from lab.natrad import Natrad
from lab.node import Node
from lab.pod import Pod
from lab.rest import Rest, change_one
from lab.traffic import Running, start_wire

STEP_SECONDS = 1.5
SETTLE_SECONDS = 2.0
TOLERANCE = 0.1
HOLD_NS = 100_000_000
# When drops are counted again after a change, and for how long before it.
LOSS_SECONDS = 0.3


@dataclasses.dataclass(frozen=True)
class Step:
    """bit/s; 0: no limit."""
    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.before // 10**6 or 'none'} to {self.after // 10**6 or 'none'}"


@dataclasses.dataclass(frozen=True)
class Rates:
    low: int  # bit/s
    high: int

    def journeys(self, kind: str) -> list[tuple[Step, Step]]:
        """There and back: by another rate, and by none. Where loss is counted, what is lost without a change, too."""
        others = (self.high, 0, self.low) if kind == "udp below" else (self.high, 0)
        return [(Step(self.low, other), Step(other, self.low)) for other in others]

    @property
    def window_ns(self) -> int:
        """Over which a rate is taken: 50 packets of 1 kB at the lower one."""
        return 50 * 8000 * 10**9 // self.low

    def udp(self, kind: str) -> int:
        """More than any limit lets through, or less, with headers."""
        return 2 * self.high if kind == "udp" else self.low * 3 // 4


@dataclasses.dataclass(frozen=True)
class Wire:
    """Bytes that arrived, by time."""
    at_ns: list[int]
    total: list[int]
    window_ns: int

    def upto(self, when: int) -> float:
        """Between samples as if they had come evenly."""
        i = bisect.bisect_right(self.at_ns, when)
        if i == 0 or i == len(self.at_ns):
            return float(self.total[min(i, len(self.total) - 1)])
        before, after = self.at_ns[i - 1], self.at_ns[i]
        share = (when - before) / (after - before)
        return self.total[i - 1] + share * (self.total[i] - self.total[i - 1])

    def rate(self, start: int) -> float:
        """bit/s in the window that begins then."""
        return 8e9 * (self.upto(start + self.window_ns) - self.upto(start)) / self.window_ns

    def windows(self, start: int, end: int) -> Iterator[tuple[int, float]]:
        """One every millisecond that lies within."""
        for when in range(start, end - self.window_ns, 1_000_000):
            yield when, self.rate(when)


def in_force_after(wire: Wire, step: Step, start: int, end: int) -> int | None:
    """When, at or behind `start`, the limit's change shows: the beginning of the first window that reaches a raised
    limit, or of the first of HOLD_NS in which none exceeds a lowered one. None: not before the end."""
    before, after = step.before, step.after
    if after == 0 or before != 0 and after > before:
        enough = (1 - TOLERANCE) * after if after else 2 * before
        return next((when for when, rate in wire.windows(start, end) if rate >= enough), None)
    since: int | None = start
    for when, rate in wire.windows(start, end):
        if rate > (1 + TOLERANCE) * after:
            since = None
        elif since is None:
            since = when
        if since is not None and when - since >= HOLD_NS:
            return since
    return None


def drops(node: Node, natrad: Natrad, pod: Pod, path: str, direction: str) -> int | None:
    """Packets, by natra's program and by the qdiscs of both sides. None while there is no limit: the counters go
    with it."""
    mine = natrad.counters(path, direction).get("DroppedPackets")
    if mine is None:
        return None
    for where, device in ((node.host, pod.host_device), (pod.netns, pod.interface)):
        listed = where.json(["tc", "-s", "-json", "qdisc", "show", "dev", device])
        # Inner ones are counted in the root, too.
        mine += sum(each["drops"] for each in listed if each.get("root"))
    return mine


@dataclasses.dataclass(frozen=True)
class Change:
    step: Step
    called_ns: int
    returned_ns: int
    drops_before: int | None  # in LOSS_SECONDS before the change
    drops_after: int | None  # and from there until LOSS_SECONDS after it


def setter(node: Node, pod: Pod, direction: str, way: str) -> Callable[[int], None]:
    assert node.natrad is not None
    natrad, path = node.natrad, pod.object_path()
    if way == "D-Bus":
        return lambda rate: natrad.set_limits(path, **{f"{direction.capitalize()}Rate": rate})
    rest, attachment = Rest(node.api_socket), path.rsplit("/", 1)[1]
    return lambda rate: change_one(rest, attachment, rate, direction)


def more(before: int | None, after: int | None) -> int | None:
    return None if after is None else after - (before or 0)


def change(step: Step, change_to: Callable[[int], None], dropped: Callable[[], int | None]) -> Change:
    first = dropped()
    time.sleep(LOSS_SECONDS)
    second = dropped()
    called = time.monotonic_ns()
    change_to(step.after)
    returned = time.monotonic_ns()
    time.sleep(LOSS_SECONDS)
    third = dropped()
    time.sleep(max(0.0, STEP_SECONDS - LOSS_SECONDS))
    return Change(step, called, returned, more(first, second), more(second, third))


def start_traffic(pod: Pod, kind: str, direction: str, seconds: int, rates: Rates) -> Running:
    client = pod.client()
    if kind == "tcp":
        return client.bulk(direction, seconds)
    return client.udp(direction, seconds, rate=rates.udp(kind), flows=1)


@contextlib.contextmanager
def segmented(node: Node, pod: Pod, direction: str) -> Iterator[None]:
    """One packet of 64 kB is 26 ms of 20 Mbit/s, and its arrival says nothing about the rate meanwhile."""
    where, device = (node.peer, "eth0") if direction == "ingress" else (pod.netns, pod.interface)
    # Not by switching offloads off: what a qdisc sees of TCP stays as large as ever.
    where.run(["ip", "link", "set", "dev", device, "gso_max_segs", "1"])
    try:
        yield
    finally:
        where.run(["ip", "link", "set", "dev", device, "gso_max_segs", "65535"])


def measure_change(node: Node, cell: Cell, kind: str, way: str, rates: Rates,
                   steps: Sequence[Step]) -> list[tuple[str, Figures]]:
    """kind: "tcp" (one bulk flow), "udp" (a flow of twice the higher rate), "udp below" (one of 3/4 of the lower)."""
    assert node.natrad is not None
    natrad = node.natrad
    with pod_for(node, cell) as pod:
        path, direction = pod.object_path(), cell.direction
        set_rate = setter(node, pod, direction, way)
        set_rate(rates.low)
        # Reading drops takes its time, too.
        seconds = int(SETTLE_SECONDS + len(steps) * (STEP_SECONDS + LOSS_SECONDS + 1.5)) + 2
        where = pod.netns if direction == "ingress" else node.peer
        with segmented(node, pod, direction), start_wire(node.build.traffic, where, seconds) as sampler, \
                start_traffic(pod, kind, direction, seconds, rates) as traffic:
            time.sleep(SETTLE_SECONDS)
            changes = [change(step, set_rate, lambda: drops(node, natrad, pod, path, direction))
                       for step in steps]
            sent = traffic.result(may_fail=True)
            samples = sampler.result()
    wire = Wire(samples["at_ns"], samples["received_bytes"], rates.window_ns)
    return [(str(each.step), figures_of(wire, each, kind, sent)) for each in changes]


def figures_of(wire: Wire, each: Change, kind: str, sent: dict[str, Any]) -> Figures:
    out: Figures = {"call_ms": (each.returned_ns - each.called_ns) / 1e6,
                    "drops_before": each.drops_before, "drops": each.drops_after}
    if kind == "udp below":
        # Of both steps, there and back.
        return out | {"lost": sent["sent_packets"] - sent["received_packets"]}
    end = each.returned_ns + int(STEP_SECONDS * 1e9)
    for name, since in (("from_call_ms", each.called_ns), ("from_return_ms", each.returned_ns)):
        when = in_force_after(wire, each.step, since, end)
        out[name] = None if when is None else (when - since) / 1e6
    out["after"] = wire.rate(end - 5 * wire.window_ns) / 1e6
    if kind == "tcp":
        out["retransmits"] = sent["retransmits"]  # of the whole run
    return out
