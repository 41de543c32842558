# SPDX-License-Identifier: Apache-2.0
"""containerd's CRI runs pods through a chain with natra, as a kubelet has it do."""
from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from cases import CNI_CACHE, ContainerdCase, records
from lab.cni import CONTAINERD_BURST
from lab.cri import CriError
from lab.pod import Limiter, conflist
from support import eventually

INGRESS, EGRESS = 20_000_000, 10_000_000


class Pods(ContainerdCase):
    def test_annotations_are_the_limits(self) -> None:
        pod = self.pod("20M", "10M")
        facts = self.natrad.properties(self.wait_for(pod.id))
        expected = {"ContainerId": pod.id, "PodName": pod.config.name, "PodNamespace": "lab",
                    "PodUid": pod.config.uid, "InterfaceName": "eth0", "Network": "lab",
                    "IngressRate": INGRESS, "IngressSource": "runtime",
                    "EgressRate": EGRESS, "EgressSource": "runtime", "NetnsPath": pod.status.netns}
        self.assertEqual({name: facts[name] for name in expected}, expected)
        # containerd's burst of half a GiB would let the whole measurement pass.
        self.assertLess(facts["IngressBurst"], INGRESS)
        self.assert_limited(pod.netns, ingress=INGRESS, egress=EGRESS)
        self.assert_rate(self.rate(pod.netns, "ingress", family=6), INGRESS)

    def test_one_direction(self) -> None:
        pod = self.pod(egress="10M")
        facts = self.natrad.properties(self.wait_for(pod.id))
        self.assertEqual((facts["IngressRate"], facts["EgressRate"]), (0, EGRESS))
        self.assert_limited(pod.netns, egress=EGRESS)
        self.assert_unlimited(pod.netns, "ingress", EGRESS)

    def test_pod_without_annotations_is_not_touched(self) -> None:
        before = self.inventory()
        pod = self.pod()
        after = self.inventory()
        for each in ("programs", "pins", "files", "natrad"):
            self.assertEqual(after[each], before[each], each)
        device = next(name for name in self.node.host.links() if name not in before["links"])
        self.assertEqual(self.node.host.qdiscs(device), [])
        self.assertEqual(pod.netns.qdiscs("eth0"), [])
        self.assert_unlimited(pod.netns, "ingress", INGRESS)

    def test_host_network_never_reaches_the_chain(self) -> None:
        before = self.inventory()
        self.pod("20M", "10M", host_network=True)
        after = self.inventory()
        for each in ("links", "programs", "pins", "files", "natrad", "results"):
            self.assertEqual(after[each], before[each], each)

    def test_stop_and_remove(self) -> None:
        before = self.inventory()
        pod = self.pod("20M", "10M")
        self.assertNotEqual(self.inventory(), before)
        pod.stop()
        self.assertIsNone(self.natrad.find(pod.id))
        pod.stop()  # the kubelet repeats itself
        pod.remove()
        self.assert_unchanged(before)

    def test_many_pods_at_once(self) -> None:
        pods = [self.new_pod(f"{10 + each}M", "10M") for each in range(8)]
        with contextlib.ExitStack() as running, concurrent.futures.ThreadPoolExecutor(8) as pool:
            for pod in pool.map(lambda pod: pod.__enter__(), pods):
                running.push(pod)
            rates = {facts["PodName"]: facts["IngressRate"]
                     for facts in map(self.natrad.properties, self.natrad.attachments())}
            self.assertEqual(rates, {pod.config.name: (10 + each) * 10**6 for each, pod in enumerate(pods)})
            list(pool.map(lambda pod: pod.stop(), pods))
            self.assertTrue(eventually(lambda: not self.natrad.attachments()))


class Ends(ContainerdCase):
    """Processes that end at a bad moment."""

    def test_pod_starts_without_natrad_and_is_limited_when_it_is_back(self) -> None:
        self.natrad.stop()
        self.addCleanup(lambda: self.natrad.running() or self.natrad.start())
        pod = self.pod("20M", "10M")
        self.assertEqual(self.spool(), [f"{pod.id}:eth0.json"])
        self.assert_unlimited(pod.netns, "ingress", INGRESS)
        self.natrad.start()
        facts = self.natrad.properties(self.wait_for(pod.id))
        self.assertEqual((facts["IngressRate"], facts["EgressRate"], facts["PodName"], facts["PodUid"]),
                         (INGRESS, EGRESS, pod.config.name, pod.config.uid))
        self.assertTrue(eventually(lambda: not self.spool()))
        self.assert_limited(pod.netns, ingress=INGRESS, egress=EGRESS)

    def test_pod_ends_while_natrad_is_away(self) -> None:
        pod = self.pod("20M", "10M")
        path = self.wait_for(pod.id)
        self.natrad.stop()
        self.addCleanup(lambda: self.natrad.running() or self.natrad.start())
        pod.stop()
        pod.remove()
        self.assertTrue((self.natrad.pins / path.rpartition("/")[2]).exists(), "pins outlive natrad")
        self.natrad.start()
        self.assertTrue(eventually(lambda: self.natrad.find(pod.id) is None and not self.spool()))

    def test_pod_comes_and_goes_while_natrad_is_away(self) -> None:
        self.natrad.stop()
        self.addCleanup(lambda: self.natrad.running() or self.natrad.start())
        pod = self.pod("20M", "10M")
        pod.stop()
        self.natrad.start()
        self.assertTrue(eventually(lambda: not self.spool()))
        self.assertIsNone(self.natrad.find(pod.id))

    def test_natrad_that_hangs_delays_a_pod_by_its_deadline_only(self) -> None:
        os.kill(self.natrad.pid, signal.SIGSTOP)
        try:
            pod = self.pod("20M", "10M")
        finally:
            os.kill(self.natrad.pid, signal.SIGCONT)
        self.assertGreater(pod.seconds, 1.9)
        self.assertLess(pod.seconds, 8)
        facts = self.natrad.properties(self.wait_for(pod.id))
        self.assertEqual((facts["IngressRate"], facts["EgressRate"]), (INGRESS, EGRESS))
        self.assert_limited(pod.netns, ingress=INGRESS)

    def test_natrad_crashes_while_pods_start(self) -> None:
        pods = [self.new_pod(f"{10 + each}M", "10M") for each in range(6)]
        with contextlib.ExitStack() as running, concurrent.futures.ThreadPoolExecutor(6) as pool:
            starting = [pool.submit(running.enter_context, pod) for pod in pods]
            concurrent.futures.wait(starting, return_when=concurrent.futures.FIRST_COMPLETED)
            self.natrad.kill()
            for each in starting:
                each.result()
            self.natrad.start()
            for number, pod in enumerate(pods):
                facts = self.natrad.properties(self.wait_for(pod.id))
                self.assertEqual((facts["IngressRate"], facts["EgressRate"]), ((10 + number) * 10**6, EGRESS))
            self.assertTrue(eventually(lambda: not self.spool()))
            self.assert_limited(pods[-1].netns, ingress=15_000_000, egress=EGRESS)

    def test_pod_is_limited_while_containerd_is_away(self) -> None:
        pod = self.pod("20M", "10M")
        netns = pod.netns
        self.containerd.kill()
        self.assert_limited(netns, ingress=INGRESS)
        self.containerd.start()
        self.assertTrue(pod.status.ready)
        self.assertIsNotNone(self.natrad.find(pod.id))
        pod.stop()
        self.assertIsNone(self.natrad.find(pod.id))

    def test_pod_ends_although_the_cached_result_is_gone(self) -> None:
        pod = self.pod("20M", "10M")
        for result in CNI_CACHE.iterdir():
            result.unlink()
        pod.stop()
        self.assertIsNone(self.natrad.find(pod.id))

    def test_sandbox_that_dies_stays_known_until_it_is_stopped(self) -> None:
        pod = self.pod("20M", "10M")
        os.kill(pod.status.process, signal.SIGKILL)
        self.assertTrue(eventually(lambda: not pod.status.ready))
        self.assertIsNotNone(self.natrad.find(pod.id), "its namespace is still there")
        pod.stop()
        self.assertIsNone(self.natrad.find(pod.id))


class Malformed(ContainerdCase):
    # containerd 1.6 keeps the sandbox of such a pod and its empty namespace: StopPodSandbox reads the
    # annotation, too, and fails. Later versions remove both. Nothing else may stay.
    def inventory(self) -> dict[str, Any]:
        return {name: value for name, value in super().inventory().items()
                if name not in ("sandboxes", "namespaces")}

    def test_annotation_stops_the_pod_before_any_plugin(self) -> None:
        before = self.inventory()
        for value, said in (("fast", "quantities must match"), ("100", "unreasonably small"),
                            ("2P", "unreasonably large"), ("-20M", "unreasonably small")):
            with self.subTest(value):
                with self.assertRaises(CriError) as caught:
                    self.pod(value)
                self.assertIn("reading pod bandwidth annotations", str(caught.exception))
                self.assertIn(said, str(caught.exception))
                self.assert_unchanged(before)

    def test_the_next_pod_starts(self) -> None:
        with self.assertRaises(CriError):
            self.pod("fast")
        self.assert_limited(self.pod("20M").netns, ingress=INGRESS)


class Chains(ContainerdCase):
    """Other network configurations."""

    def test_what_containerd_sends(self) -> None:
        record = self.node.folder / "sent"
        (self.containerd.bin / "recorder").symlink_to(self.recorder(record))
        chain = conflist(self.node, Limiter.NATRA)
        wanted = {"bandwidth": True, "io.kubernetes.cri.pod-annotations": True}
        chain["plugins"].append({"type": "recorder", "capabilities": wanted})
        self.use(chain)
        pod = self.pod("20M", annotations={"natra.io/note": "a b"})
        netns = pod.status.netns
        pod.stop()
        pod.remove()
        add, delete, *repeated = records(record)
        self.assertEqual([add["verb"], delete["verb"]], ["ADD", "DEL"])
        for each in repeated:
            # Whoever stops or removes a sandbox once more has the chain take it down once more.
            self.assertEqual((each["verb"], each["netns"], "prevResult" in each["stdin"]), ("DEL", "", False))
        for each in (add, delete):
            self.assertEqual(each["stdin"]["runtimeConfig"], {
                # These spellings and this burst are what the plugin's own tests take for granted.
                "bandwidth": {"IngressRate": INGRESS, "IngressBurst": CONTAINERD_BURST,
                              "EgressRate": 0, "EgressBurst": 0},
                "io.kubernetes.cri.pod-annotations": {"kubernetes.io/ingress-bandwidth": "20M",
                                                      "natra.io/note": "a b"}})
            self.assertEqual(each["netns"], netns)
            self.assertEqual(dict(word.split("=") for word in each["args"].split(";")), {
                "IgnoreUnknown": "1", "K8S_POD_NAMESPACE": "lab", "K8S_POD_NAME": pod.config.name,
                "K8S_POD_INFRA_CONTAINER_ID": pod.id, "K8S_POD_UID": pod.config.uid})
        self.assertEqual([each.get("sandbox", "") for each in add["stdin"]["prevResult"]["interfaces"]], ["", netns])

    def test_installed_under_the_name_bandwidth(self) -> None:
        """A chain with the stock plugin, whose place natra takes in the plugin folder while a pod runs."""
        self.use(conflist(self.node, Limiter.STOCK))
        before = self.inventory()
        old = self.pod("20M", "10M")
        self.assertIsNone(self.natrad.find(old.id))

        self.addCleanup(self.install, "bandwidth", (self.containerd.bin / "bandwidth").readlink())
        self.install("bandwidth", self.node.build.shim)

        pod = self.pod("20M", "10M")
        facts = self.natrad.properties(self.wait_for(pod.id))
        self.assertEqual((facts["IngressRate"], facts["EgressRate"], facts["IngressSource"]),
                         (INGRESS, EGRESS, "runtime"))
        self.assert_limited(pod.netns, ingress=INGRESS, egress=EGRESS)
        pod.stop()
        pod.remove()
        old.stop()
        old.remove()
        self.assert_unchanged(before)

    def install(self, name: str, target: Path) -> None:
        new = self.containerd.bin / f"{name}.new"
        new.symlink_to(target)
        new.rename(self.containerd.bin / name)

    def test_failure_policy_closed(self) -> None:
        self.use(conflist(self.node, Limiter.NATRA, static={"failurePolicy": "closed"}))
        self.natrad.stop()
        try:
            with self.assertRaises(CriError) as caught:
                self.pod("20M")
            self.assertIn("natrad does not answer", str(caught.exception))
            self.pod()  # without limits natrad has nothing to say
        finally:
            self.natrad.start()
        self.assert_limited(self.pod("20M").netns, ingress=INGRESS)

    def test_static_limits_win(self) -> None:
        limits = {"ingressRate": EGRESS, "ingressBurst": EGRESS // 10}
        self.use(conflist(self.node, Limiter.NATRA, static=limits))
        pod = self.pod("20M", "20M")
        facts = self.natrad.properties(self.wait_for(pod.id))
        self.assertEqual((facts["IngressRate"], facts["IngressSource"], facts["EgressRate"]), (EGRESS, "conf", 0))
        self.assert_limited(pod.netns, ingress=EGRESS)

    def test_bridge(self) -> None:
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "mtu": 1500}
        self.use(conflist(self.node, Limiter.NATRA, main=bridge))
        self.addCleanup(self.node.host.run, ["ip", "link", "del", "cni0"])
        pods = [self.pod("20M", "10M") for _ in range(2)]
        for pod in pods:
            self.assert_limited(pod.netns, ingress=INGRESS, egress=EGRESS)
