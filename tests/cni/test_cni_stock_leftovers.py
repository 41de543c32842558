# SPDX-License-Identifier: Apache-2.0
"""Pods that the stock bandwidth plugin has limited before natra took its place."""
from __future__ import annotations

import hashlib
from typing import Any

from lab.cni import CniError
from lab.pod import Limiter, Pod
from plugin import run
from support import RATE, NodeCase, eventually


class StockLeftovers(NodeCase):
    def stock_pod(self) -> tuple[Pod, str]:
        """A pod under the stock plugin, and its IFB's name."""
        pod = self.pod(limiter=Limiter.STOCK, ingress_burst=RATE, egress_burst=RATE)
        ifb = "bwp" + hashlib.sha512(f"lab{pod.container_id}".encode()).hexdigest()[:12]
        self.assertIn(ifb, self.node.host.links())
        return pod, ifb

    def names(self, pod: Pod) -> dict[str, str]:
        return {"CONTAINERID": pod.container_id, "NETNS": pod.netns.path, "IFNAME": "eth0"}

    def conf(self, pod: Pod, version: str = "1.0.0", **keys: Any) -> dict[str, Any]:
        return {"cniVersion": version, "name": "lab", "type": "bandwidth", "ingressRate": RATE, "ingressBurst": RATE,
                "egressRate": RATE, "egressBurst": RATE, "prevResult": pod.chain.result_of(pod.attachment), **keys}

    def test_del_takes_the_ifb_away(self) -> None:
        pod, ifb = self.stock_pod()
        self.assertEqual(run(self.node, "DEL", self.conf(pod, name="other"), **self.names(pod)).status, 0)
        self.assertIn(ifb, self.node.host.links(), "of another network")
        for _ in range(2):
            self.assertEqual(run(self.node, "DEL", self.conf(pod), **self.names(pod)).status, 0)
            self.assertNotIn(ifb, self.node.host.links())

    def test_a_del_that_waited_takes_it_away_too(self) -> None:
        pod, ifb = self.stock_pod()
        self.natrad.stop()
        try:
            self.assertEqual(run(self.node, "DEL", self.conf(pod), **self.names(pod)).status, 0)
            self.assertIn(ifb, self.node.host.links())
        finally:
            self.natrad.start()
        self.assertTrue(eventually(lambda: ifb not in self.node.host.links()))

    def test_a_device_of_that_name_that_is_no_ifb_stays(self) -> None:
        ifb = "bwp" + hashlib.sha512(b"labnobody").hexdigest()[:12]
        self.node.host.run(["ip", "link", "add", ifb, "type", "bridge"])
        self.addCleanup(self.node.host.run, ["ip", "link", "del", ifb])
        conf = {"cniVersion": "1.0.0", "name": "lab", "type": "bandwidth"}
        self.assertEqual(run(self.node, "DEL", conf, CONTAINERID="nobody", IFNAME="eth0").status, 0)
        self.assertIn(ifb, self.node.host.links())

    def test_add_takes_the_pod_over(self) -> None:
        pod, ifb = self.stock_pod()
        answer = run(self.node, "ADD", self.conf(pod), **self.names(pod))
        self.assertEqual(answer.result, pod.chain.result_of(pod.attachment))
        self.assertNotIn(ifb, self.node.host.links())
        kinds = [each["kind"] for each in self.node.host.qdiscs(pod.host_device)]
        self.assertNotIn("tbf", kinds)
        self.assertNotIn("ingress", kinds)
        checked = run(self.node, "CHECK", self.conf(pod), **self.names(pod))
        self.assertEqual(checked.status, 0, checked.out)
        # A redirection to a device that is gone would lose everything.
        for direction in ("ingress", "egress"):
            self.assert_rate(self.goodput(pod, direction, seconds=3), RATE)
        self.assertEqual(run(self.node, "DEL", self.conf(pod), **self.names(pod)).status, 0)

    def test_check_finds_both_at_work(self) -> None:
        pod = self.pod()
        ifb = "bwp" + hashlib.sha512(f"lab{pod.container_id}".encode()).hexdigest()[:12]
        pod.chain.check(pod.attachment)
        self.node.host.run(["ip", "link", "add", ifb, "type", "ifb"])
        with self.assertRaises(CniError) as caught:
            pod.chain.check(pod.attachment)
        self.assertIn(ifb, caught.exception.message)
        self.assertIn('take "bandwidth" out of "plugins" of network "lab"', caught.exception.message)
        pod.delete()
        self.assertNotIn(ifb, self.node.host.links())
