# SPDX-License-Identifier: Apache-2.0
"""Many rounds leave nothing behind."""
from __future__ import annotations

import json
from typing import Any

from lab import process
from support import RATE, NodeCase, eventually, files_below

ROUNDS = 100


class Leaks(NodeCase):
    def objects(self, kind: str) -> list[str]:
        """BPF programs or maps, without those that other processes hold."""
        shown = json.loads(process.run(["bpftool", "-j", kind, "show"]).stdout)
        ours = self.natrad.pid
        return sorted(each.get("name", "?") for each in shown
                      if all(holder["pid"] == ours for holder in each.get("pids", [])))

    def census(self) -> dict[str, Any]:
        return {"programs": self.objects("prog"), "maps": self.objects("map"),
                "qdiscs": self.node.host.json(["tc", "-json", "qdisc", "show"]),
                "links": self.node.host.links(),
                "pins": files_below(self.natrad.pins), "files": files_below(self.natrad.runtime),
                "objects": self.natrad.attachments(), "descriptors": self.natrad.open_files()}

    def assert_same_as(self, before: dict[str, Any]) -> None:
        """Once the pool is full again and the kernel has freed what it frees later."""
        if not eventually(lambda: self.census() == before, timeout=20):
            after = self.census()
            self.assertEqual({k: v for k, v in after.items() if v != before[k]},
                             {k: before[k] for k in after if after[k] != before[k]})

    def test_add_and_del(self) -> None:
        pod, result = self.plain_pod()
        pod.chain.run_one("ADD", "natra", pod.attachment, result)
        pod.chain.run_one("DEL", "natra", pod.attachment, result)
        self.natrad.wait_for_pool(1)
        before = self.stable_census()
        for _ in range(ROUNDS):
            pod.chain.run_one("ADD", "natra", pod.attachment, result)
            pod.chain.run_one("DEL", "natra", pod.attachment, result)
        self.assert_same_as(before)

    def test_whole_pods_with_and_without_del(self) -> None:
        before = self.stable_census()
        for number in range(20):
            pod = self.pod()
            if number % 2:
                pod.destroy()  # the device goes first; DEL comes at the end of this case or never
        self.doCleanups()
        self.assert_same_as(before)

    def test_refused_adds(self) -> None:
        pod, result = self.plain_pod()
        before = self.stable_census()
        conf = {"cniVersion": "1.0.0", "name": "lab", "type": "natra", "ingressRate": RATE, "ingressBurst": RATE,
                "prevResult": {**result, "interfaces": [{"name": "not-the-peer"}]}}
        for _ in range(20):
            self.assertRaises(Exception, pod.chain.execute, "ADD", "natra", json.dumps(conf), pod.attachment)
        self.assert_same_as(before)

    def test_overrides_and_restarts(self) -> None:
        path = self.pod().object_path()
        before = self.stable_census()
        for _ in range(20):
            self.natrad.set_limits(path, IngressRate=0)
            self.natrad.set_limits(path, IngressRate=2 * RATE, EgressRate=3 * RATE)
            self.natrad.reset_limits(path)
        self.assert_same_as(before)
        for _ in range(3):
            self.natrad.kill()
            self.natrad.start()
        self.assert_same_as(before)

    def stable_census(self) -> dict[str, Any]:
        """Two equal ones in a row, half a second apart: the pool is at its level."""
        state = {"last": self.census()}

        def settled() -> bool:
            eventually(lambda: False, timeout=0.5)
            last, state["last"] = state["last"], self.census()
            return state["last"] == last

        self.assertTrue(eventually(settled, timeout=20), "natrad never comes to rest")
        return state["last"]
