# SPDX-License-Identifier: Apache-2.0
"""What the cases share. Bounds are loose: continuous integration is noisy."""
from __future__ import annotations

import os
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from lab.build import Build
from lab.natrad import Natrad
from lab.node import Node
from lab.pod import Limiter, Limits, Pod

BUILD = Build(Path("build"))  # run.py sets it
# bit/s, of most cases. To an emulated processor every packet is dear: fewer of them do.
RATE = int(os.environ.get("NATRA_TEST_RATE", 20_000_000))
TIME_FACTOR = int(os.environ.get("NATRA_TIME_FACTOR", "1"))


class NodeCase(unittest.TestCase):
    """A node for the class, with natrad unless natrad_env is None. natrad must outlive every case."""

    natrad_env: ClassVar[dict[str, str] | None] = {}
    node: ClassVar[Node]
    natrad: ClassVar[Natrad]

    @classmethod
    def setUpClass(cls) -> None:
        cls.node = cls.enterClassContext(Node(BUILD))
        if cls.natrad_env is not None:
            cls.natrad = cls.node.start_natrad(**cls.natrad_env)

    def tearDown(self) -> None:
        natrad = self.node.natrad
        if natrad is not None:
            self.assertTrue(natrad.running(), f"natrad: {natrad.fate()}")

    def pod(self, ingress: int = RATE, egress: int = RATE, limiter: Limiter = Limiter.NATRA,
            **options: Any) -> Pod:
        return self.enterContext(Pod(self.node, limiter, Limits(ingress, egress, **options)))

    def plain_pod(self) -> tuple[Pod, dict[str, Any]]:
        """A pod whose chain has ended before natra, and the result so far."""
        pod = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE))
        pod.create()
        self.addCleanup(pod.destroy)
        self.addCleanup(pod.chain.run_one, "DEL", "ptp", pod.attachment, None)
        result = pod.chain.run_one("ADD", "ptp", pod.attachment, None)
        assert result is not None
        return pod, result

    def assert_rate(self, measured: float, limit: float, low: float = 0.80, high: float = 1.02) -> None:
        self.assertTrue(low * limit <= measured <= high * limit,
                        f"{measured / 1e6:.2f} Mbit/s is not {low} to {high} of {limit / 1e6:g} Mbit/s")

    def assert_capped(self, pod: Pod, direction: str, *, seconds: int = 4) -> None:
        """A bulk flow gets through, and not above the cap. An emulated machine may be too slow for the cap itself."""
        self.assert_rate(self.goodput(pod, direction, seconds=seconds), RATE, 0.7 if TIME_FACTOR == 1 else 0.1, 1.06)

    def assert_end_is_noticed_at_start(self, pod: Pod) -> None:
        """Nothing is left of a pod that ends while natrad is away."""
        path = pod.object_path()
        self.natrad.kill()
        pod.destroy()
        self.natrad.start()
        self.assertNotIn(path, self.natrad.attachments())
        self.assertFalse((self.natrad.pins / path.rpartition("/")[2]).exists())

    def goodput(self, pod: Pod, direction: str, *, seconds: int = 4, family: int = 4) -> float:
        """Of one bulk flow after its first second, bit/s."""
        with pod.client(family).bulk(direction, seconds) as bulk:
            return carried(bulk.result())

    def traces(self, pod: Pod, host_device: str) -> dict[str, Any]:
        """All that a limiter may leave behind."""
        natrad = self.node.natrad
        out: dict[str, Any] = {"bpf": attached_programs(self.node)}
        for name, where, device in (("host", self.node.host, host_device), ("pod", pod.netns, "eth0")):
            out[f"{name} qdiscs"] = where.qdiscs(device)
            for hook in ("ingress", "egress", "root"):
                out[f"{name} {hook} filters"] = where.filters(device, hook)
        if natrad is not None:
            out["pins"] = files_below(natrad.pins)
            out["files"] = files_below(natrad.runtime)
            out["objects"] = natrad.attachments()
        return out


class OwnNodeCase(NodeCase):
    """A node for each case, which starts natrad when it likes: self.natrad = self.node.start_natrad()."""

    natrad_env = None

    @classmethod
    def setUpClass(cls) -> None:
        pass

    def setUp(self) -> None:
        self.node = self.enterContext(Node(BUILD))  # type: ignore[misc]


def carried(bulk: dict[str, Any]) -> float:
    """bit/s of payload after the first second, but no more than crossed the wire in that time: what waits behind a
    lost segment of the first second is delivered later, and all at once."""
    wire = bulk["wire"]
    return float(min(bulk["goodput_bps"], 8 * wire["later_bytes"] / wire["later_seconds"]))


def attached_programs(node: Node) -> list[str]:
    """Programs on network hooks of the node's namespace, as bpftool lists them."""
    shown = node.host.json(["bpftool", "-j", "net", "show"])
    return sorted(f"{each['kind']} {each['devname']} {each['name']}" for each in shown[0]["tc"])


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def eventually(condition: Callable[[], bool], timeout: float = 10) -> bool:
    """Whether the condition became true in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def mean_rate(timeline: list[int], begin: float, end: float) -> float:
    """bit/s between two times (s) of a timeline of 100 ms buckets."""
    part = timeline[round(10 * begin):round(10 * end)]
    return 8 * sum(part) / (len(part) / 10)
