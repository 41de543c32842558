# SPDX-License-Identifier: Apache-2.0
"""Defaults and ceilings of the configuration, and pods without any limit."""
from __future__ import annotations

import json
from typing import Any

from lab.pod import Limits, Pod
from support import RATE, eventually
from test_reload import Configured

LAB = {"namespaces": ["la?"]}


def rate(**directions: int) -> dict[str, Any]:
    return {direction: {"rate": value} for direction, value in directions.items()}


class RulesCase(Configured):
    def unlimited_pod(self, namespace: str = "lab") -> Pod:
        pod = Pod(self.node, limits=Limits())
        pod.pod_namespace = namespace
        built: Pod = self.enterContext(pod)
        return built

    def facts(self, pod: Pod) -> dict[str, Any]:
        return self.natrad.properties(pod.object_path())

    def limit(self, pod: Pod, direction: str) -> tuple[int, str]:
        facts = self.facts(pod)
        return facts[f"{direction}Rate"], facts[f"{direction}Source"]

    def limits(self, pod: Pod) -> tuple[tuple[int, str], tuple[int, str]]:
        return self.limit(pod, "Ingress"), self.limit(pod, "Egress")


class Rules(RulesCase):
    def test_a_default_is_in_force_for_a_pod_that_asks_for_nothing(self) -> None:
        self.configure(limits={"default": [{**LAB, **rate(ingress=RATE)}]})
        pod = self.unlimited_pod()
        self.assertEqual(self.limit(pod, "Ingress"), (RATE, "default"))
        self.assertEqual(self.limit(pod, "Egress"), (0, "none"))
        self.assertEqual(self.facts(pod)["EgressReason"], "no limit: no annotation")
        self.assert_capped(pod, "ingress")
        pod.chain.check(pod.attachment)
        asking, other = self.pod(ingress=2 * RATE), self.unlimited_pod("shop")
        self.assertEqual(self.limit(asking, "Ingress"), (2 * RATE, "runtime"))
        self.assertEqual(self.limit(other, "Ingress"), (0, "none"))

    def test_a_ceiling_is_above_all_but_roots_override(self) -> None:
        self.configure(limits={"max": [{**LAB, **rate(ingress=RATE, egress=RATE)}]})
        pod = self.pod(ingress=3 * RATE, egress=RATE // 2)
        self.assertEqual(self.limit(pod, "Ingress"), (RATE, "ceiling"))
        self.assertEqual(self.limit(pod, "Egress"), (RATE // 2, "runtime"))
        self.assert_capped(pod, "ingress")
        pod.chain.check(pod.attachment)
        self.natrad.set_limits(pod.object_path(), IngressRate=2 * RATE)
        self.assertEqual(self.limit(pod, "Ingress"), (2 * RATE, "operator_override"))
        self.natrad.reset_limits(pod.object_path())
        self.assertEqual(self.limit(pod, "Ingress"), (RATE, "ceiling"))
        self.assertEqual(self.limit(self.unlimited_pod(), "Egress"), (RATE, "ceiling"))

    def test_limits_follow_a_reload_and_a_restart(self) -> None:
        pod = self.pod(ingress=2 * RATE, egress=0)
        self.configure(limits={"default": [rate(egress=RATE)], "max": [rate(ingress=RATE)]})
        self.assertEqual(self.limits(pod), ((RATE, "ceiling"), (RATE, "default")))
        self.assert_capped(pod, "egress")
        self.natrad.restart()
        self.assertEqual(self.limits(pod), ((RATE, "ceiling"), (RATE, "default")))
        self.configure()
        self.assertEqual(self.limits(pod), ((2 * RATE, "runtime"), (0, "none")))

    def test_without_rules_pods_that_ask_for_nothing_pass_again(self) -> None:
        self.configure(limits={"default": [rate(ingress=RATE)]})
        self.assertEqual(self.limit(self.unlimited_pod(), "Ingress"), (RATE, "default"))
        self.configure()
        self.assertIsNone(self.natrad.find(self.unlimited_pod().container_id))

    def test_a_default_waits_for_natrad_when_it_is_away(self) -> None:
        self.configure(limits={"default": [rate(ingress=RATE)]})
        self.natrad.stop()
        pod = self.unlimited_pod()
        self.natrad.start()
        self.assertTrue(eventually(lambda: self.natrad.find(pod.container_id) is not None), self.natrad.log_tail())
        self.assertEqual(self.limit(pod, "Ingress"), (RATE, "default"))

    def test_a_wrong_rule_is_named_and_changes_nothing(self) -> None:
        self.configure(limits={"max": [rate(ingress=RATE)]})
        pod = self.pod(ingress=2 * RATE)
        said = self.configure(limits={"max": [{"ingress": {"rate": "50m"}}]})
        self.assertIn('limits.max[0].ingress.rate: "50m": 50m is 0.05 bit/s; did you mean 50M?', said)
        self.assertEqual(self.limit(pod, "Ingress"), (RATE, "ceiling"))


class Unlimited(RulesCase):
    """As the runtime leaves its result once the chain has ended."""

    def remembered(self, pod: Pod) -> Pod:
        cache = self.node.folder / "cni-cache"
        cache.mkdir(exist_ok=True)
        entry = pod.chain.cached(pod.attachment)
        name = f"{entry['networkName']}-{pod.container_id}-{pod.interface}"
        (cache / name).write_text(json.dumps(entry))
        self.addCleanup((cache / name).unlink)
        self.assertTrue(eventually(lambda: self.natrad.find(pod.container_id) is not None, 30), self.natrad.log_tail())
        return pod

    def test_a_pod_without_a_limit_is_listed_and_can_be_limited(self) -> None:
        pod = self.remembered(self.unlimited_pod())
        facts = self.facts(pod)
        for each in ("Ingress", "Egress"):
            self.assertEqual((facts[f"{each}Rate"], facts[f"{each}Source"], facts[f"{each}Reason"]),
                             (0, "none", "no limit: no annotation"))
        self.natrad.set_limits(pod.object_path(), EgressRate=RATE)
        self.assert_capped(pod, "egress")
        self.natrad.reset_limits(pod.object_path())
        self.assertEqual(self.limit(pod, "Egress"), (0, "none"))

    def test_a_rule_reaches_a_pod_that_runs_already(self) -> None:
        pod = self.remembered(self.unlimited_pod())
        self.configure(limits={"default": [rate(ingress=RATE)]})
        self.assertEqual(self.limit(pod, "Ingress"), (RATE, "default"))
        self.assert_capped(pod, "ingress")
