# SPDX-License-Identifier: Apache-2.0
"""Limits from a pod's annotations, from the plugin's stdin to the kernel."""
from __future__ import annotations

from typing import Any

from plugin import VethPod
from support import RATE, NodeCase, eventually

IN, OUT = "natra.io/ingress-rate", "natra.io/egress-rate"
STANDARD = "kubernetes.io/ingress-bandwidth"


class Annotations(NodeCase):
    def add(self, annotations: dict[str, Any], **keys: Any) -> tuple[VethPod, dict[str, Any]]:
        pod = VethPod(self.node)
        self.addCleanup(pod.destroy)
        runtime = {"io.kubernetes.cri.pod-annotations": annotations, **keys.pop("runtimeConfig", {})}
        conf = pod.conf("1.1.0", {"runtimeConfig": runtime, **keys})
        self.assertEqual(pod.run("ADD", conf).result, pod.result("1.1.0"))
        checked = pod.run("CHECK", conf)
        self.assertEqual(checked.status, 0, f"CHECK right after ADD: {checked.out}")
        return pod, conf

    def facts(self, pod: VethPod) -> dict[str, Any]:
        found = pod.limits()
        assert found is not None, f"natrad knows no {pod.container_id}"
        return found

    def test_own_annotations(self) -> None:
        pod, _ = self.add({IN: "20M", OUT: "10Mi", "natra.io/egress-burst": "1M", "natra.io/heavy-threshold": "64Ki",
                           "app": "web"})
        found = self.facts(pod)
        self.assertEqual((found["IngressRate"], found["EgressRate"]), (20_000_000, 10_485_760))
        self.assertEqual((found["IngressSource"], found["EgressBurst"]), ("annotation", 1_000_000))
        self.assertEqual((found["IngressHeavyThreshold"], found["EgressHeavyThreshold"]), (65536, 65536))
        self.assertEqual(found["Warnings"], [])

    def test_they_survive_a_restart_of_natrad(self) -> None:
        pod, conf = self.add({IN: "20M", OUT: "fast", "natra.io/heavy-threshold": "64Ki"})
        before = self.facts(pod)
        self.assertEqual(len(before["Warnings"]), 1)
        self.natrad.restart()
        after = self.facts(pod)
        for each in ("IngressRate", "IngressSource", "IngressHeavyThreshold", "Warnings"):
            self.assertEqual(after[each], before[each])
        self.assertEqual(pod.run("CHECK", conf).status, 0)

    def test_precedence(self) -> None:
        runtime = {"bandwidth": {"IngressRate": RATE, "IngressBurst": 2**32 - 1, "EgressRate": 0, "EgressBurst": 0}}
        pod, _ = self.add({IN: "5M", STANDARD: "7M"}, runtimeConfig=runtime)
        self.assertEqual(self.facts(pod)["IngressRate"], 5_000_000)
        pod, _ = self.add({STANDARD: "7M"}, runtimeConfig=runtime)
        self.assertEqual((self.facts(pod)["IngressRate"], self.facts(pod)["IngressSource"]), (RATE, "runtime"))
        pod, _ = self.add({IN: "5M", OUT: "5M"}, ingressRate=8000, ingressBurst=8000)
        found = self.facts(pod)
        self.assertEqual((found["IngressRate"], found["IngressSource"], found["EgressRate"]), (8000, "conf", 0))
        pod, _ = self.add({IN: "5M"}, ingressRate=0)
        self.assertIsNone(pod.limits(), "a static key decides by being there")
        pod, _ = self.add({IN: "5M"})
        path = self.natrad.find(pod.container_id)
        assert path is not None
        self.natrad.set_limits(path, IngressRate=3_000_000)
        self.assertEqual(self.facts(pod)["IngressSource"], "operator_override")

    def test_the_json_form(self) -> None:
        pod, _ = self.add({STANDARD: '{"rate": "20M", "burst": 2000000, '
                                     '"cms": {"width": 4096, "depth": 8, "heavyHitterThreshold": 20000}}'})
        found = self.facts(pod)
        self.assertEqual((found["IngressRate"], found["IngressBurst"], found["IngressHeavyThreshold"]),
                         (20_000_000, 2_000_000, 20_000))
        self.assertEqual(len(found["Warnings"]), 1)
        self.assertIn("4 rows of 1024 cells", found["Warnings"][0])

    def test_malformed_ones_do_not_stop_a_pod(self) -> None:
        pod, conf = self.add({IN: "20M", OUT: "fast", "natra.io/ingres-rate": "1M"})
        found = self.facts(pod)
        self.assertEqual((found["IngressRate"], found["EgressRate"]), (20_000_000, 0))
        self.assertEqual(len(found["Warnings"]), 2)
        self.assertIn('natra.io/egress-rate "fast"', self.natrad.log_tail())
        self.assertEqual(pod.run("DEL", conf).status, 0)

        pod, conf = self.add({IN: "fast"})
        found = self.facts(pod)
        self.assertEqual((found["IngressRate"], found["IngressHook"]), (0, ""))
        self.assertEqual(self.node.host.qdiscs(pod.host_device), [])
        path = self.natrad.find(pod.container_id)
        assert path is not None
        self.natrad.set_limits(path, IngressRate=RATE)
        self.assertEqual(self.facts(pod)["IngressRate"], RATE, "an operator can still limit it")
        self.assertEqual(pod.run("DEL", conf).status, 0)
        self.assertIsNone(pod.limits())

    def test_nor_on_an_interface_that_cannot_be_limited(self) -> None:
        pod = VethPod(self.node)
        self.addCleanup(pod.destroy)
        pod.netns.run(["ip", "link", "del", "eth0"])
        pod.netns.run(["ip", "link", "add", "eth0", "type", "bridge"])
        conf = pod.conf("1.1.0", {"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {IN: "fast"}}})
        self.assertEqual(pod.run("ADD", conf).result, pod.result("1.1.0"))
        self.assertEqual(pod.run("CHECK", conf).status, 0)
        self.assertEqual(pod.run("DEL", conf).status, 0)

    def test_what_waited_for_natrad_has_them_too(self) -> None:
        pod = VethPod(self.node)
        self.addCleanup(pod.destroy)
        conf = pod.conf("1.1.0", {"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {IN: "20M", OUT: "x"}}})
        self.natrad.stop()
        try:
            self.assertEqual(pod.run("ADD", conf).status, 0)
        finally:
            self.natrad.start()
        self.assertTrue(eventually(lambda: pod.limits() is not None), self.natrad.log_tail())
        found = self.facts(pod)
        self.assertEqual((found["IngressRate"], len(found["Warnings"])), (20_000_000, 1))
