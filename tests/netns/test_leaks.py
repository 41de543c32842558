# SPDX-License-Identifier: Apache-2.0
"""Many rounds leave nothing behind."""
from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from lab import process
from lab.cni import CniError
from lab.kinds import KINDS
from lab.pod import Limiter, Limits, Pod
from support import RATE, NodeCase, eventually, files_below

# A leak shows after a few; a round takes seconds on a slow machine.
ROUNDS = 100 if float(os.environ.get("NATRA_TIME_FACTOR", 1)) < 5 else 20


def kernel_objects(kind: str) -> Counter[str]:
    """The system's BPF programs or maps by name."""
    shown = json.loads(process.run(["bpftool", "-j", kind, "show"]).stdout)
    return Counter(each.get("name", "?") for each in shown)


def natrads() -> int:
    names = (path.read_text().strip() for path in Path("/proc").glob("[0-9]*/comm") if path.exists())
    return sum(name == "natrad" for name in names)


class Leaks(NodeCase):
    def own_state(self) -> dict[str, Any]:
        """All that can be told to be this natrad's."""
        return {"qdiscs": self.node.host.json(["tc", "-json", "qdisc", "show"]),
                "links": self.node.host.links(),
                "pins": files_below(self.natrad.pins), "files": files_below(self.natrad.runtime),
                "objects": self.natrad.attachments(), "descriptors": self.natrad.descriptors(),
                "pool": self.natrad.status()["PoolReady"]}

    def at_rest(self) -> dict[str, Any]:
        """Its state, three times the same within a second: the pool is at its level."""
        seen = [self.own_state()]

        def same() -> bool:
            time.sleep(0.5)
            seen.append(self.own_state())
            return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]

        self.assertTrue(eventually(same, timeout=30), f"natrad never comes to rest: {seen[-2:]}")
        return {**seen[-1], "programs": kernel_objects("prog"), "maps": kernel_objects("map")}

    def assert_same_as(self, before: dict[str, Any], rounds: int) -> None:
        """The kernel frees some objects a little later: they have 20 s."""
        def grown() -> dict[str, Any]:
            own = self.own_state()
            out = {name: (before[name], now) for name, now in own.items() if now != before[name]}
            for name, kind in (("programs", "prog"), ("maps", "map")):
                if more := kernel_objects(kind) - before[name]:
                    # Another natrad's objects cannot be told from ours; one a round would still show.
                    if natrads() == 1 or more.total() >= rounds / 2:
                        out[name] = more
            return out

        if not eventually(lambda: not grown(), timeout=20):
            self.assertEqual(grown(), {}, "not as before")

    def test_add_and_del(self) -> None:
        pod, result = self.plain_pod()
        before = self.at_rest()
        for _ in range(ROUNDS):
            pod.chain.run_one("ADD", "natra", pod.attachment, result)
            pod.chain.run_one("DEL", "natra", pod.attachment, result)
        self.assert_same_as(before, ROUNDS)

    def test_add_and_del_without_a_host_side(self) -> None:
        kind = KINDS["macvlan"]
        if reason := kind.missing(self.node):
            self.skipTest(reason)
        pod = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), **kind.connect(self.node))
        pod.create()
        self.addCleanup(pod.destroy)
        self.addCleanup(pod.chain.run_one, "DEL", "macvlan", pod.attachment, None)
        result = pod.chain.run_one("ADD", "macvlan", pod.attachment, None)
        before = self.at_rest()
        for _ in range(ROUNDS):
            pod.chain.run_one("ADD", "natra", pod.attachment, result)
            pod.chain.run_one("DEL", "natra", pod.attachment, result)
        self.assert_same_as(before, ROUNDS)

    def test_whole_pods_with_and_without_del(self) -> None:
        before = self.at_rest()
        for number in range(20):
            pod = self.pod()
            if number % 2:
                pod.destroy()  # the devices go first
        self.doCleanups()
        self.assert_same_as(before, 20)

    def test_refused_adds(self) -> None:
        pod, result = self.plain_pod()
        before = self.at_rest()
        conf = {"cniVersion": "1.0.0", "name": "lab", "type": "natra", "ingressRate": RATE, "ingressBurst": RATE,
                "strictInterfaces": True, "prevResult": {**result, "interfaces": [{"name": "not-the-peer"}]}}
        for _ in range(20):
            with self.assertRaises(CniError):
                pod.chain.execute("ADD", "natra", json.dumps(conf), pod.attachment)
        self.assert_same_as(before, 20)

    def test_overrides(self) -> None:
        path = self.pod().object_path()
        before = self.at_rest()
        for _ in range(20):
            self.natrad.set_limits(path, IngressRate=0)
            self.natrad.set_limits(path, IngressRate=2 * RATE, EgressRate=3 * RATE)
            self.natrad.reset_limits(path)
        self.assert_same_as(before, 20)

    def test_kills_and_adoptions(self) -> None:
        self.pod()
        self.natrad.restart()
        before = self.at_rest()
        for _ in range(5):
            self.natrad.kill()
            self.natrad.start()
        self.assert_same_as(before, 5)
