# SPDX-License-Identifier: Apache-2.0
"""A network agent's program hands packets to the pod's device itself (bpf_redirect_peer: Cilium's BPF host routing,
Calico's eBPF mode), past the host's device where natra limits them. The limit holds, or Degraded says what does not."""
from __future__ import annotations

import sys
import time

from lab.kinds import KINDS
from lab.pod import Limiter, Limits, Pod
from redirect import is_counted, redirected
from support import RATE, TIME_FACTOR, NodeCase, eventually
from test_tamper import BYPASS

NOTICED_SECONDS = 1.0


class PastCase(NodeCase):
    def degraded(self, pod: Pod) -> list[str]:
        return [each for each in self.natrad.status()["Degraded"] if f"pod{pod.number} " in each]

    def policed_inside(self, pod: Pod) -> bool:
        return str(self.natrad.properties(pod.object_path())["IngressHook"]).endswith("ingress eth0")


class Redirects(PastCase):
    def setUp(self) -> None:
        if not is_counted(self.node):
            self.skipTest("the kernel does not count what bpf_redirect_peer delivers")

    def test_the_limit_holds_and_is_told_of_within_a_second(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        self.assert_capped(pod, "ingress")
        self.assertEqual(self.degraded(pod), [])
        with redirected(pod):
            begin = time.monotonic()
            with pod.client().bulk("ingress", 8) as bulk:
                self.assertTrue(eventually(lambda: self.policed_inside(pod), 3 * TIME_FACTOR))
                took = time.monotonic() - begin
                timeline = bulk.result()["timeline_bytes"]
            # The flow needs some time to start.
            self.assertLess(took, (NOTICED_SECONDS + 0.7) * TIME_FACTOR)
            self.assertTrue(any("bpf_redirect_peer" in each for each in self.degraded(pod)), self.degraded(pod))
            self.assert_rate(8 * sum(timeline[40:80]) / 4, RATE, 0.5 if TIME_FACTOR == 1 else 0.1, 1.06)
            facts = self.natrad.properties(path)
            self.assertEqual(facts["IngressShaper"], "police")
            self.assertIn(f"past {pod.host_device}", facts["IngressReason"])
            self.assertEqual(facts["TamperEvents"], 1)
            self.assertIn("ingress is policed at", self.natrad.log.read_text())
            pod.chain.check(pod.attachment)

            # It stays so over a restart, and follows what an operator sets.
            self.natrad.restart()
            self.assertTrue(self.policed_inside(pod))
            self.natrad.set_limits(path, IngressRate=RATE // 2)
            self.assert_rate(self.goodput(pod, "ingress"), RATE / 2, 0.5 if TIME_FACTOR == 1 else 0.1, 1.06)
            self.natrad.set_limits(path, IngressRate=0)
            self.natrad.reset_limits(path)
            self.assertTrue(self.policed_inside(pod))
            self.assert_capped(pod, "egress")
        # What takes the ordinary way again is limited there, too.
        self.assert_capped(pod, "ingress")

    def test_a_trickle_is_noticed_as_well(self) -> None:
        pod = self.pod()
        with redirected(pod), pod.client().udp("ingress", 3, rate=RATE // 10):
            self.assertTrue(eventually(lambda: self.policed_inside(pod), 3 * TIME_FACTOR))

    def test_ordinary_traffic_is_never_taken_for_that(self) -> None:
        pod = self.pod(ingress=2_000_000_000, egress=2_000_000_000)
        before = self.natrad.properties(pod.object_path())
        with pod.client().bulk("ingress", 5, flows=4) as down, pod.client().bulk("egress", 5, flows=4) as up:
            down.result()
            up.result()
        facts = self.natrad.properties(pod.object_path())
        for key in ("IngressHook", "EgressHook", "TamperEvents"):
            self.assertEqual(facts[key], before[key])
        self.assertEqual(self.degraded(pod), [])

    def test_what_undoes_it_inside_is_put_right(self) -> None:
        pod = self.pod()
        with redirected(pod):
            self.goodput(pod, "ingress", seconds=2)
            self.assertTrue(eventually(lambda: self.policed_inside(pod)))
            pod.netns.run(["tc", "qdisc", "del", "dev", "eth0", "clsact"])
            self.assertTrue(eventually(lambda: self.natrad.properties(pod.object_path())["TamperEvents"] >= 2, 3))
            self.assert_capped(pod, "ingress")

    def test_nothing_is_left_after_the_pod(self) -> None:
        pod = self.enterContext(Pod(self.node))
        before = self.traces(pod, pod.host_device)
        limited = self.pod()
        with redirected(limited):
            self.goodput(limited, "ingress", seconds=2)
            self.assertTrue(eventually(lambda: self.policed_inside(limited)))
            limited.chain.run_one("DEL", "natra", limited.attachment, limited.chain.result_of(limited.attachment))
            self.assertEqual([limited.netns.qdiscs("eth0"), limited.netns.filters("eth0", "ingress")],
                             [pod.netns.qdiscs("eth0"), pod.netns.filters("eth0", "ingress")])
        self.assertEqual(self.traces(pod, pod.host_device)["pins"], before["pins"])


class Bypasses(PastCase):
    """AF_PACKET sockets that send past queue and egress hook of a device."""

    def test_of_the_hosts_device_lead_into_the_pod(self) -> None:
        pod = self.pod()
        mac = pod.netns.json(["ip", "-json", "link", "show", "dev", "eth0"])[0]["address"]
        script = BYPASS.replace('"eth0"', repr(pod.host_device))
        sender = self.node.host.start([sys.executable, "-c", script, mac, "4", str(10 * RATE)])
        self.assertTrue(eventually(lambda: self.policed_inside(pod), 4))
        self.assertTrue(any(f"through {pod.host_device}" in each for each in self.degraded(pod)), self.degraded(pod))
        dropped = self.natrad.counters(pod.object_path(), "ingress")["DroppedBytes"]
        self.assertTrue(eventually(
            lambda: self.natrad.counters(pod.object_path(), "ingress")["DroppedBytes"] > dropped, 2))
        sender.result(20)
        self.assert_capped(pod, "ingress")

    def test_where_nothing_outside_could_hold_them_are_told(self) -> None:
        kind = KINDS["macvlan"]
        if missing := kind.missing(self.node):
            self.skipTest(missing)
        pod = self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), **kind.connect(self.node)))
        def told() -> bool:
            return any("sends past its limit" in each for each in self.degraded(pod))
        self.assert_capped(pod, "egress")
        self.assertFalse(told(), self.degraded(pod))
        sender = pod.netns.start([sys.executable, "-c", BYPASS, "ff:ff:ff:ff:ff:ff", "4", str(10 * RATE)])
        self.assertTrue(eventually(told, 4), self.degraded(pod))
        sender.result(20)
