# SPDX-License-Identifier: Apache-2.0
"""containerd hands on all of a pod's annotations, and natra reads its own."""
from __future__ import annotations

from typing import Any

from cases import INGRESS as STANDARD_INGRESS
from cases import ContainerdCase
from lab.cri import CriError
from lab.pod import Limiter, conflist
from support import eventually

INGRESS, EGRESS = 20_000_000, 10_000_000
CAPABILITIES = {"bandwidth": True, "io.kubernetes.cri.pod-annotations": True}


class Annotations(ContainerdCase):
    def facts(self, annotations: dict[str, str]) -> dict[str, Any]:
        """Of a pod with these."""
        self.use(conflist(self.node, Limiter.NATRA, static={"capabilities": CAPABILITIES}))
        self.last = self.pod(annotations=annotations)
        return self.natrad.properties(self.wait_for(self.last.id))

    def test_limits(self) -> None:
        facts = self.facts({"natra.io/ingress-rate": "20M", "natra.io/egress-rate": "10M",
                            "natra.io/egress-burst": "1M", "natra.io/heavy-threshold": "64Ki"})
        expected = {"IngressRate": INGRESS, "IngressSource": "annotation", "EgressRate": EGRESS,
                    "EgressBurst": 1_000_000, "IngressHeavyThreshold": 65536, "Warnings": []}
        self.assertEqual({name: facts[name] for name in expected}, expected)
        self.assert_limited(self.last.netns, ingress=INGRESS, egress=EGRESS)

    def test_they_win_over_the_standard_ones(self) -> None:
        facts = self.facts({STANDARD_INGRESS: "1M", "natra.io/ingress-rate": "20M"})
        self.assertEqual((facts["IngressRate"], facts["IngressSource"]), (INGRESS, "annotation"))
        self.assert_limited(self.last.netns, ingress=INGRESS)

    def test_malformed_ones_do_not_stop_a_pod(self) -> None:
        facts = self.facts({"natra.io/ingress-rate": "20M", "natra.io/egress-rate": "fast"})
        self.assertEqual((facts["IngressRate"], facts["EgressRate"]), (INGRESS, 0))
        self.assertEqual(len(facts["Warnings"]), 1)
        self.assertIn("fast", facts["Warnings"][0])

    def test_they_wait_for_natrad_in_the_spool(self) -> None:
        self.natrad.stop()
        self.addCleanup(lambda: self.natrad.running() or self.natrad.start())
        self.use(conflist(self.node, Limiter.NATRA, static={"capabilities": CAPABILITIES}))
        pod = self.pod(annotations={"natra.io/ingress-rate": "20M"})
        self.natrad.start()
        self.assertEqual(self.natrad.properties(self.wait_for(pod.id))["IngressRate"], INGRESS)
        self.assertTrue(eventually(lambda: not self.spool()))

    def test_without_the_capability_they_are_not_handed_on(self) -> None:
        pod = self.pod(annotations={"natra.io/ingress-rate": "20M"})
        self.assertIsNone(self.natrad.find(pod.id))


class JsonForm(ContainerdCase):
    # See test_containerd.Malformed.
    def inventory(self) -> dict[str, Any]:
        return {name: value for name, value in super().inventory().items()
                if name not in ("sandboxes", "namespaces")}

    def test_containerd_refuses_it_in_the_standard_annotation(self) -> None:
        with self.assertRaises(CriError) as caught:
            self.pod('{"rate": "20M"}')
        self.assertIn("reading pod bandwidth annotations", str(caught.exception))
