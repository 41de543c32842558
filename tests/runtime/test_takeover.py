# SPDX-License-Identifier: Apache-2.0
"""A containerd whose chain has no natra in it: natrad adopts the pods that run and puts itself into the chain."""
from __future__ import annotations

import json
from typing import Any

from cases import ContainerdCase
from lab.containerd import Containerd
from lab.pod import Limiter, conflist
from support import NodeCase, eventually

INGRESS, EGRESS = 20_000_000, 10_000_000


class Installation(ContainerdCase):
    """natrad comes to a node that is at work, and goes again."""

    natrad_env = None

    @classmethod
    def setUpClass(cls) -> None:
        # Not ContainerdCase's: its chain has natra in it.
        NodeCase.setUpClass.__func__(cls)  # type: ignore[attr-defined]
        cls.original = conflist(cls.node, Limiter.STOCK)
        cls.containerd = cls.enterClassContext(Containerd(cls.node, cls.original))
        cls.file = cls.containerd.conf / "10-lab.conflist"
        cls.config = cls.node.folder / "natrad.json"

    def inventory(self) -> dict[str, Any]:
        return {}  # natrad is started in the midst of the case

    def configure(self, manage: bool) -> None:
        self.config.write_text(json.dumps({"chain": {
            "manage": manage, "directories": [str(self.containerd.conf)],
            "binaryDirectories": [str(self.containerd.bin)], "stateDirectory": str(self.node.folder / "chain-state")}}))

    def types(self) -> list[str]:
        return [each["type"] for each in json.loads(self.file.read_text())["plugins"]]

    def chain_in_use(self, *types: str) -> None:
        """Waits for containerd to have read it."""
        def in_use() -> bool:
            network = self.containerd.cri.network()
            return [each["type"] for each in network.get("plugins", [])] == list(types)

        self.assertTrue(eventually(lambda: self.types() == list(types)), self.types())
        self.assertTrue(eventually(in_use, 20), self.containerd.cri.network())

    def test_from_the_stock_plugin_to_natra_and_back(self) -> None:
        before = self.pod("20M", "10M")
        self.assertIn("tbf", self.kinds())
        self.configure(True)
        type(self).natrad = self.node.start_natrad(NATRA_CONFIG=str(self.config),
                                                   NATRA_CNI_CACHE="/var/lib/cni/results")
        facts = self.natrad.properties(self.wait_for(before.id))
        expected = {"ContainerId": before.id, "PodName": before.config.name, "PodUid": before.config.uid,
                    "IngressRate": INGRESS, "IngressSource": "runtime", "EgressRate": EGRESS,
                    "NetnsPath": before.status.netns}
        self.assertEqual({name: facts[name] for name in expected}, expected)
        self.assertTrue(eventually(lambda: not {"tbf", "ingress"} & set(self.kinds())), self.kinds())
        self.assert_limited(before.netns, ingress=INGRESS, egress=EGRESS)

        self.chain_in_use("ptp", "natra")
        after = self.pod("10M", "20M")
        facts = self.natrad.properties(self.wait_for(after.id))
        self.assertEqual((facts["IngressRate"], facts["EgressRate"]), (EGRESS, INGRESS))
        self.assert_limited(after.netns, ingress=EGRESS, egress=INGRESS)
        self.assertEqual([name for name in self.node.host.links() if name.startswith("bwp")], [])
        for pod in (before, after):
            pod.stop()
            self.assertIsNone(self.natrad.find(pod.id))
            pod.remove()

        self.configure(False)
        self.natrad.restart()
        self.chain_in_use("ptp", "bandwidth")
        self.assertEqual(json.loads(self.file.read_text()), self.original)
        last = self.pod("20M")
        self.assertIn("tbf", self.kinds())
        self.assertIsNone(self.natrad.find(last.id))

    def kinds(self) -> list[str]:
        """Of all qdiscs on the pods' devices."""
        return [each["kind"] for name in self.node.host.links() if name.startswith("veth")
                for each in self.node.host.qdiscs(name)]
