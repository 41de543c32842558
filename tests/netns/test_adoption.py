# SPDX-License-Identifier: Apache-2.0
"""Pods that run when natrad starts: found in the runtime's cache, and limited without a restart and without a gap."""
from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from lab.pod import Limiter, Pod, conflist
from lab.traffic import DIRECTIONS
from support import RATE, TIME_FACTOR, OwnNodeCase, eventually, mean_rate

# Writes what is announced of qdiscs and filters, of one device of the node and of all in pods, in the kernel's order.
MONITOR = """
import socket, struct, sys
path, device = sys.argv[1:]
index = socket.if_nametoindex(device)
events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
NETLINK_LISTEN_ALL_NSID, RTMGRP_TC = 8, 8
events.setsockopt(270, NETLINK_LISTEN_ALL_NSID, 1)
events.bind((0, RTMGRP_TC))
verbs = {36: "+", 37: "-", 44: "+", 45: "-"}
with open(path, "w", buffering=1) as out:
    print("ready", flush=True)
    while True:
        data, ancillary, _, _ = events.recvmsg(65536, 64)
        while len(data) >= 36:
            length, kind = struct.unpack_from("=IH", data)
            where = "pod" if ancillary else "host" if struct.unpack_from("=i", data, 20)[0] == index else ""
            attribute, name = struct.unpack_from("=HH", data, 36), data[40:]
            if kind in verbs and where and attribute[1] == 1:
                print(where, verbs[kind] + name[:attribute[0] - 5].decode(), file=out)
            data = data[(length + 3) & ~3:]
"""
CAPABILITIES = {"bandwidth": True, "io.kubernetes.cri.pod-annotations": True}


class AdoptionCase(OwnNodeCase):
    """natrad starts in the midst of a case."""

    def setUp(self) -> None:
        super().setUp()
        self.cache = self.node.folder / "cni-cache"
        self.cache.mkdir()

    def stock_pod(self, **options: Any) -> Pod:
        """As a kubelet's runtime leaves it, with bursts that do not hide the limit."""
        pod = self.pod(limiter=Limiter.STOCK, **{"ingress_burst": RATE // 10, "egress_burst": RATE // 10, **options})
        self.remember(pod)
        return pod

    def remember(self, pod: Pod, **changes: Any) -> Path:
        entry = {**pod.chain.cached(pod.attachment), **changes}
        path = self.cache / f"{entry['networkName']}-{pod.container_id}-{pod.interface}"
        path.write_text(json.dumps({key: value for key, value in entry.items() if value is not None}))
        return path

    def start(self, **env: str) -> None:
        self.natrad = self.node.start_natrad(**env)  # type: ignore[misc]
        self.assertTrue(eventually(lambda: "pods found running: " in self.log(), 30), self.natrad.log_tail())

    def log(self) -> str:
        return self.natrad.log.read_text(errors="replace")

    def stock_traces(self, pod: Pod) -> list[str]:
        """What is left of the stock plugin."""
        links = [name for name in self.node.host.links() if name.startswith("bwp")]
        kinds = [each["kind"] for each in self.node.host.qdiscs(pod.host_device)]
        return links + [kind for kind in kinds if kind in ("tbf", "ingress")]

    def served_by_natra(self, pod: Pod, verb: str) -> None:
        """The chain's bandwidth, with natra under that name."""
        plugin = {**pod.chain.conflist["plugins"][1], "type": "natra"}
        pod.chain.conflist["plugins"][1] = plugin
        pod.chain.run_one(verb, "natra", pod.attachment, pod.chain.result_of(pod.attachment))
        plugin["type"] = "bandwidth"


class TakeOver(AdoptionCase):
    def under_traffic(self, direction: str, **env: str) -> None:
        """The limit holds before, while and after natrad takes over. A link of this machine carries a thousand
        times as much: a gap of milliseconds would show."""
        pod = self.stock_pod()
        seconds = 12
        begin = time.monotonic()
        with pod.client().bulk(direction, seconds, flows=4) as bulk:
            time.sleep(3)
            self.start(**env)
            self.assertLess(time.monotonic() - begin, seconds - 2, "the traffic is to go on after the take-over")
            result = bulk.result()
        timeline = result["timeline_bytes"]
        for second in range(1, seconds - 1):
            # The queue that goes with the stock plugin's qdisc costs the flows a timeout at worst.
            self.assertLessEqual(mean_rate(timeline, second, second + 1), 2 * RATE, timeline)
        self.assertLessEqual(mean_rate(timeline, 1, seconds), 1.25 * RATE, timeline)
        self.assertGreaterEqual(mean_rate(timeline, 1, seconds), (0.3 if TIME_FACTOR == 1 else 0.1) * RATE, timeline)
        facts = self.natrad.properties(pod.object_path())
        self.assertEqual((facts["IngressRate"], facts["EgressRate"], facts["IngressSource"], facts["PodName"]),
                         (RATE, RATE, "runtime", f"pod{pod.number}"))
        self.assertEqual(self.stock_traces(pod), [])
        self.served_by_natra(pod, "CHECK")
        for each in DIRECTIONS:
            self.assert_capped(pod, each)
        self.served_by_natra(pod, "DEL")
        self.assertEqual(self.natrad.attachments(), [])
        self.assertEqual(self.node.host.qdiscs(pod.host_device), [])
        self.assertEqual(pod.netns.qdiscs("eth0"), [])

    def test_to_the_pod(self) -> None:
        self.under_traffic("ingress")

    def test_from_the_pod(self) -> None:
        self.under_traffic("egress")

    def test_policed(self) -> None:
        """Then both programs sit where the stock plugin's qdiscs are."""
        self.under_traffic("egress", NATRA_SHAPER="police")

    def test_every_moment_has_a_limiter(self) -> None:
        """What is natra's is there before what it replaces goes, as the kernel announces it."""
        pod = self.stock_pod()
        monitor = self.node.host.start([sys.executable, "-c", MONITOR, str(self.node.folder / "events"),
                                        pod.host_device])
        self.addCleanup(monitor.stop)
        self.assertEqual(monitor.first_line(), "ready\n")
        self.start()
        events: list[str] = []

        def all_announced() -> bool:
            events[:] = (self.node.folder / "events").read_text().splitlines()
            return {"host -ingress", "host -tbf", "host +bpf", "pod +bpf"} <= set(events)

        self.assertTrue(eventually(all_announced), events)
        self.assertLess(events.index("pod +bpf"), events.index("host -ingress"), events)
        self.assertLess(events.index("host -ingress"), events.index("host +bpf"), events)
        self.assertLess(events.index("host +bpf"), events.index("host -tbf"), events)

    def test_one_direction(self) -> None:
        to, out = self.stock_pod(egress=0), self.stock_pod(ingress=0)
        self.start()
        for pod, limits, direction in ((to, (RATE, 0), "ingress"), (out, (0, RATE), "egress")):
            facts = self.natrad.properties(pod.object_path())
            self.assertEqual((facts["IngressRate"], facts["EgressRate"]), limits)
            self.assertEqual(self.stock_traces(pod), [])
            self.assert_capped(pod, direction, seconds=3)
        self.assertNotIn("police", (self.natrad.properties(to.object_path())["IngressShaper"],
                                    self.natrad.properties(out.object_path())["EgressShaper"]))

    def test_only_once(self) -> None:
        pod = self.stock_pod()
        self.start()
        path = pod.object_path()
        self.natrad.set_limits(path, IngressRate=2 * RATE)
        before = self.natrad.properties(path)["AttachedAtUsec"]
        self.natrad.restart()
        self.assertTrue(eventually(lambda: "0 adopted, 1 known" in self.log()))
        facts = self.natrad.properties(path)
        self.assertEqual((facts["AttachedAtUsec"], facts["IngressRate"]), (before, 2 * RATE))
        self.assertNotIn("not adopted", self.log())

    def test_what_natra_limited_and_forgot(self) -> None:
        """Its state is lost, say with a package that was removed and put back."""
        pod = self.pod(limiter=Limiter.NATRA)  # natrad is away: the plugin leaves a request in the spool
        self.remember(pod)
        for request in (self.node.folder / "run" / "spool").iterdir():
            request.unlink()
        self.start()
        self.assertEqual(self.natrad.properties(pod.object_path())["EgressRate"], RATE)
        pod.chain.check(pod.attachment)

    def test_in_the_spool_and_in_the_cache(self) -> None:
        pod = self.pod(limiter=Limiter.NATRA)
        self.remember(pod)
        self.start()
        self.assertTrue(eventually(lambda: self.natrad.find(pod.container_id) is not None))
        self.assertTrue(eventually(lambda: not any((self.natrad.runtime / "spool").iterdir())))
        pod.chain.check(pod.attachment)
        self.assertNotIn("not adopted", self.log())


class Choice(AdoptionCase):
    def chain_without_limiter(self) -> Pod:
        pod = self.pod(limiter=Limiter.NONE)
        self.remember(pod)
        return pod

    def configure(self, **adoption: Any) -> str:
        path = self.node.folder / "natrad.json"
        path.write_text(json.dumps({"adoption": adoption}))
        return str(path)

    def test_pods_whose_chain_took_no_limits_stay_as_they_are(self) -> None:
        pod = self.chain_without_limiter()
        self.start()
        self.assertEqual(self.natrad.attachments(), [])
        self.assertGreater(self.goodput(pod, "ingress", seconds=2), 1.5 * RATE)

    def test_unless_all_are_wanted(self) -> None:
        pod = self.chain_without_limiter()
        self.start(NATRA_CONFIG=self.configure(pods="all"))
        self.assertEqual(self.natrad.properties(pod.object_path())["IngressRate"], RATE)
        self.assert_capped(pod, "ingress", seconds=3)

    def test_none(self) -> None:
        pod = self.stock_pod()
        self.natrad = self.node.start_natrad(NATRA_CONFIG=self.configure(pods="none"))  # type: ignore[misc]
        # Another pod's ADD would queue behind it.
        self.pod()
        self.assertEqual(len(self.natrad.attachments()), 1)
        self.assertNotIn("pods found running", self.natrad.log_tail(100))
        self.assertIn("tbf", self.stock_traces(pod))

    def test_natras_annotations_and_static_keys(self) -> None:
        chain = conflist(self.node, Limiter.NONE)
        chain["plugins"].append({"type": "natra", "capabilities": CAPABILITIES})
        pods = [self.enterContext(Pod(self.node, Limiter.NONE)) for _ in range(2)]
        annotations = {"io.kubernetes.cri.pod-annotations": {"natra.io/egress-rate": "5M", "app": "web"}}
        pods[0].chain.conflist = chain
        self.remember(pods[0], capabilityArgs=annotations)
        pods[1].chain.conflist = conflist(self.node, Limiter.STOCK, static={"ingressRate": RATE, "ingressBurst": RATE})
        self.remember(pods[1])
        self.start()
        first, second = (self.natrad.properties(pod.object_path()) for pod in pods)
        self.assertEqual((first["EgressRate"], first["EgressSource"]), (5_000_000, "annotation"))
        self.assertEqual((second["IngressRate"], second["IngressSource"], second["EgressRate"]), (RATE, "conf", 0))


class WhatIsNoPod(AdoptionCase):
    def test_is_passed_over_and_said_once(self) -> None:
        right = self.stock_pod()
        others = [self.stock_pod() for _ in range(5)]
        gone, no_netns, own, other_mac, unknown = others

        def sandbox(pod: Pod, path: str) -> None:
            result = json.loads(json.dumps(pod.chain.result_of(pod.attachment)))
            for interface in result["interfaces"]:
                if interface.get("sandbox"):
                    interface["sandbox"] = path
            self.remember(pod, result=result)

        sandbox(gone, "/run/netns/natra-lab-is-not-there")
        ordinary = self.node.folder / "ordinary"
        ordinary.write_text("")
        sandbox(no_netns, str(ordinary))
        sandbox(own, self.node.host.path)
        result = json.loads(json.dumps(other_mac.chain.result_of(other_mac.attachment)))
        for interface in result["interfaces"]:
            if interface.get("sandbox"):
                interface["mac"] = "0a:00:00:00:00:01"
        self.remember(other_mac, result=result)
        self.remember(unknown, kind="cniCacheV2")
        (self.cache / "garbage").write_text("{ not json")
        (self.cache / "empty").write_text("")
        (self.cache / "folder").mkdir()
        (self.cache / "old-result").write_text(json.dumps({"cniVersion": "0.3.1", "interfaces": []}))
        (self.cache / "no-config").write_text(json.dumps({"kind": "cniCacheV1", "containerId": "c", "ifName": "eth0",
                                                          "networkName": "n", "config": "%"}))
        self.start()
        self.assertEqual(self.natrad.attachments(), [right.object_path()])
        log = self.log()
        self.assertIn("pods found running: 1 adopted, 0 known, 0 not natra's to limit, 1 gone, 9 could not be adopted", log)
        for text in (f"{ordinary}\" is not a network namespace", "is the node's own network namespace",
                     "has the address", "garbage: parse error", "empty: unexpected end", "folder: not a file",
                     "old-result: kind: expected cniCacheV1, got nothing", "kind: expected cniCacheV1, got \"cniCacheV2\"",
                     "no-config: config: not in base64"):
            self.assertEqual(log.count(text), 1, f"{text}:\n{log}")
        for pod in others:
            self.assertIn("tbf", self.stock_traces(pod), "what is not adopted keeps the stock plugin's limit")

    def test_a_pod_that_ends_meanwhile(self) -> None:
        pods = [self.stock_pod() for _ in range(3)]
        self.natrad = self.node.start_natrad()  # type: ignore[misc]
        for pod in pods:
            pod.delete()
            pod.destroy()
        self.assertTrue(eventually(lambda: "pods found running: " in self.log(), 30), self.natrad.log_tail())
        self.assertTrue(eventually(lambda: not self.natrad.attachments()), self.natrad.log_tail())
