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
from lab import offload
from lab.natrad import Natrad
from lab.node import Node
from lab.pod import Pod
from lab.rest import Rest
from lab.traffic import Running, start_wire
from rest_cells import change_one

# bit/s; 0: no limit. Each is given this long.
LOW, HIGH = 20_000_000, 100_000_000
Step = tuple[int, int]
LIVE: tuple[Step, ...] = ((LOW, HIGH), (HIGH, LOW))
LIFTED: tuple[Step, ...] = ((LOW, 0), (0, LOW))
STEP_SECONDS = 1.5
SETTLE_SECONDS = 2.0
WINDOW_NS = 20_000_000  # over which a rate is taken: 50 packets of 1 kB at the lower rate
TOLERANCE = 0.1
HOLD_NS = 100_000_000
# When drops are counted again after a change, and for how long before it.
LOSS_SECONDS = 0.3
FLOOD = 200_000_000  # sent, bit/s, where more comes than any limit lets through
BELOW = 15_000_000  # where no limit is ever reached


@dataclasses.dataclass(frozen=True)
class Wire:
    """Bytes that arrived, by time."""
    at_ns: list[int]
    total: list[int]

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
        return 8e9 * (self.upto(start + WINDOW_NS) - self.upto(start)) / WINDOW_NS

    def windows(self, start: int, end: int) -> Iterator[tuple[int, float]]:
        """One every millisecond that lies within."""
        for when in range(start, end - WINDOW_NS, 1_000_000):
            yield when, self.rate(when)


def in_force_after(wire: Wire, before: int, after: int, start: int, end: int) -> int | None:
    """When, at or behind `start`, the limit's change shows: the beginning of the first window that reaches a raised
    limit, or of the first of HOLD_NS in which none exceeds a lowered one. None: not before the end."""
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
    before: int
    after: int
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


def change(before: int, after: int, change_to: Callable[[int], None], dropped: Callable[[], int | None]) -> Change:
    first = dropped()
    time.sleep(LOSS_SECONDS)
    second = dropped()
    called = time.monotonic_ns()
    change_to(after)
    returned = time.monotonic_ns()
    time.sleep(LOSS_SECONDS)
    third = dropped()
    time.sleep(max(0.0, STEP_SECONDS - LOSS_SECONDS))
    return Change(before, after, called, returned, more(first, second), more(second, third))


def start_traffic(pod: Pod, kind: str, direction: str, seconds: int) -> Running:
    client = pod.client()
    if kind == "tcp":
        return client.bulk(direction, seconds)
    return client.udp(direction, seconds, rate=FLOOD if kind == "udp" else BELOW, random_ports=False)


@contextlib.contextmanager
def segmented(node: Node, pod: Pod, direction: str) -> Iterator[None]:
    """One packet of 64 kB is 26 ms of 20 Mbit/s, and its arrival says nothing about the rate meanwhile."""
    where, device = (node.peer, "eth0") if direction == "ingress" else (pod.netns, pod.interface)
    where.run(offload.command(device, tso=False, gso=False))
    try:
        yield
    finally:
        where.run(offload.command(device, tso=True, gso=True))


def measure_change(node: Node, cell: Cell, kind: str, way: str, steps: Sequence[Step]) -> list[tuple[str, Figures]]:
    """kind: "tcp" (one bulk flow), "udp" (a flow of 200 Mbit/s), "udp below" (one that is below every limit)."""
    assert node.natrad is not None
    natrad = node.natrad
    with pod_for(node, cell) as pod:
        path, direction = pod.object_path(), cell.direction
        set_rate = setter(node, pod, direction, way)
        set_rate(LOW)
        # Reading drops takes its time, too.
        seconds = int(SETTLE_SECONDS + len(steps) * (STEP_SECONDS + LOSS_SECONDS + 1.5)) + 2
        where = pod.netns if direction == "ingress" else node.peer
        with segmented(node, pod, direction), start_wire(node.build.traffic, where, seconds) as sampler, \
                start_traffic(pod, kind, direction, seconds) as traffic:
            time.sleep(SETTLE_SECONDS)
            changes = [change(before, after, set_rate, lambda: drops(node, natrad, pod, path, direction))
                       for before, after in steps]
            sent = traffic.result(may_fail=True)
            samples = sampler.result()
    wire = Wire(samples["at_ns"], samples["received_bytes"])
    return [(f"{before // 10**6 or 'none'} to {after // 10**6 or 'none'}", figures_of(wire, each, kind, sent))
            for each in changes for before, after in [(each.before, each.after)]]


def figures_of(wire: Wire, each: Change, kind: str, sent: dict[str, Any]) -> Figures:
    out: Figures = {"call_ms": (each.returned_ns - each.called_ns) / 1e6,
                    "drops_before": each.drops_before, "drops": each.drops_after}
    if kind == "udp below":
        # Of both steps, there and back.
        return out | {"lost": sent["sent_packets"] - sent["received_packets"]}
    end = each.returned_ns + int(STEP_SECONDS * 1e9)
    for name, since in (("from_call_ms", each.called_ns), ("from_return_ms", each.returned_ns)):
        when = in_force_after(wire, each.before, each.after, since, end)
        out[name] = None if when is None else (when - since) / 1e6
    out["after"] = wire.rate(end - 5 * WINDOW_NS) / 1e6
    if kind == "tcp":
        out["retransmits"] = sent["retransmits"]  # of the whole run
    return out
