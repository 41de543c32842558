# SPDX-License-Identifier: Apache-2.0
"""Network agents that limit the same pods: noticed, told, and given way to where that is configured."""
from __future__ import annotations

import hashlib
import json
import shutil
import unittest
from pathlib import Path
from typing import Any

from lab.node import BPFFS, remove_pins
from lab.pod import Limiter, Pod, conflist
from lab.rest import Rest
from redirect import is_counted, redirected
from support import RATE, OwnNodeCase, eventually

NOTICED_SECONDS = 30  # natrad looks every 10 s, and the machine may be busy


class OtherLimiters(OwnNodeCase):
    def setUp(self) -> None:
        super().setUp()
        self.bpffs = BPFFS / f"{self.node.label}-others"
        self.node.defer(remove_pins, self.bpffs)
        self.bpffs.mkdir()

    def start(self, policy: str, **settings: str) -> None:
        config = self.node.folder / "natrad.json"
        config.write_text(json.dumps({"otherLimiters": policy, **settings}))
        self.natrad = self.node.start_natrad(  # type: ignore[misc]
            NATRA_CONFIG=str(config), NATRA_BPFFS_DIR=str(self.bpffs / "natra"),
            NATRA_API_SOCKET=str(self.node.folder / "api.sock"))
        self.rest = Rest(self.node.folder / "api.sock")

    def agents_pod(self, device: str, static: dict[str, Any] | None = None) -> Pod:
        """A pod of an agent's, whose devices on the host have names of its own."""
        pod, result = self.plain_pod()
        old = result["interfaces"][0]["name"]
        for step in (["down"], ["name", device], ["up"]):
            self.node.host.run(["ip", "link", "set", old if step != ["up"] else device, *step])
        result["interfaces"][0]["name"] = device
        pod.chain.conflist = conflist(self.node, Limiter.NATRA, static=static)
        pod.chain.run_one("ADD", "natra", pod.attachment, result)
        return pod

    def limit_as_felix_does(self, device: str, rate: str = "10mbit") -> bool:
        """Its calls in their order. False: the kernel refuses its ingress qdisc, since natra's clsact has the place."""
        self.ifb = "bwcali" + hashlib.sha512(device.encode()).hexdigest()[:9]
        bucket = ["tbf", "rate", rate, "burst", "64k", "latency", "25ms"]
        host = self.node.host
        host.run(["tc", "qdisc", "replace", "dev", device, "root", "handle", "1:", *bucket])
        host.run(["ip", "link", "add", self.ifb, "type", "ifb"])
        host.run(["ip", "link", "set", self.ifb, "up"])
        placed = host.run(["tc", "qdisc", "add", "dev", device, "handle", "ffff:", "ingress"], check=False)
        if placed.returncode == 0:
            host.run(["tc", "filter", "add", "dev", device, "parent", "ffff:", "protocol", "all", "u32", "match", "u32",
                      "0", "0", "action", "mirred", "egress", "redirect", "dev", self.ifb])
        host.run(["tc", "qdisc", "add", "dev", self.ifb, "root", "handle", "1:", *bucket])
        return placed.returncode == 0

    def exchange(self, pod: Pod, seconds: int = 3) -> None:
        """Packets both ways, without which nothing is proven."""
        with pod.client().rr(seconds, interval_us=5000) as some:
            some.result()

    def assert_given_way(self, pod: Pod, *directions: str) -> None:
        def left() -> bool:
            self.exchange(pod, 1)
            return self.left(pod) == list(directions)
        self.assertTrue(eventually(left, NOTICED_SECONDS), self.facts(pod))

    def degraded(self) -> list[str]:
        return list(self.natrad.status()["Degraded"])

    def facts(self, pod: Pod) -> dict[str, Any]:
        return self.natrad.properties(pod.object_path())

    def left(self, pod: Pod) -> list[str]:
        facts = self.facts(pod)
        return [each for each in ("Ingress", "Egress") if facts[f"{each}Reason"].startswith("left to ")]

    def test_felix_is_told_of(self) -> None:
        self.start("report")
        pod = self.agents_pod("cali0123456789a")
        self.limit_as_felix_does("cali0123456789a")
        sentence = f"Calico's Felix limits 1 of natra's attachments, too (lab/pod{pod.number} eth0, "
        self.assertTrue(eventually(lambda: any(each.startswith(sentence) for each in self.degraded()),
                                   NOTICED_SECONDS), self.degraded())
        self.assertEqual(self.left(pod), [])
        self.assertIn("egress is limited by Calico's Felix, too", self.natrad.log.read_text())

    def start_beside_felix(self) -> None:
        """With natra on tcx, which leaves Felix its place."""
        self.start("standDown", attachMode="tcx")
        if "tcx" not in self.natrad.status()["Features"]:
            self.skipTest("no tcx: Felix's ingress qdisc is refused")

    def test_felix_is_given_way_to_and_comes_to_an_end(self) -> None:
        self.start_beside_felix()
        pod = self.agents_pod("cali0123456789a")
        asked = self.agents_pod("cali0123456789b", {"ingressRate": RATE, "ingressBurst": RATE})
        self.assertTrue(self.limit_as_felix_does("cali0123456789b"))
        first_ifb = self.ifb
        self.assertTrue(self.limit_as_felix_does("cali0123456789a"))
        self.assert_given_way(pod, "Ingress", "Egress")
        facts = self.facts(pod)
        self.assertEqual((facts["IngressHook"], facts["EgressHook"]), ("", ""))
        self.assertIn("TBF at the root of cali0123456789a", facts["IngressReason"])
        self.assertEqual(pod.netns.qdiscs("eth0"), [])
        # REST says the same.
        found = self.rest.get(f"/v1/pods/{pod.container_id}").json
        for direction in ("ingress", "egress"):
            self.assertEqual((found[direction]["inForce"], found[direction]["reason"]),
                             (False, facts[f"{direction.capitalize()}Reason"]))
        self.assertEqual(found["ingress"]["rate"], facts["IngressRate"])
        self.assertEqual(self.rest.get("/v1/status").json["leftToOthers"], 1)
        self.assertEqual(self.natrad.status()["LeftToOthers"], 1)
        # Felix knows of no static keys.
        self.exchange(asked)
        self.assertEqual(self.left(asked), [])
        self.assertNotEqual(self.facts(asked)["IngressHook"], "")
        # A natrad that starts anew knows no proof.
        self.natrad.restart()
        self.assertTrue(eventually(lambda: "" not in self.hooks(pod)), self.facts(pod))
        self.assert_given_way(pod, "Ingress", "Egress")

        for ifb in (self.ifb, first_ifb):
            self.node.host.run(["ip", "link", "del", ifb])
        self.node.host.run(["tc", "qdisc", "del", "dev", "cali0123456789a", "root"])
        self.assertTrue(eventually(lambda: self.left(pod) == [], NOTICED_SECONDS), self.facts(pod))
        self.assertTrue(eventually(lambda: "" not in self.hooks(pod)), self.facts(pod))
        self.assertEqual(self.rest.get("/v1/status").json["leftToOthers"], 0)

    def hooks(self, pod: Pod) -> tuple[str, str]:
        facts = self.facts(pod)
        return facts["IngressHook"], facts["EgressHook"]

    def test_felix_whose_ingress_qdisc_is_refused_limits_no_egress(self) -> None:
        """Its IFB is there, with its TBF, and gets no packet (calico#11666)."""
        self.start("standDown")
        pod = self.agents_pod("cali0123456789a")
        if self.limit_as_felix_does("cali0123456789a"):
            self.skipTest("natra has left Felix its place")
        self.assert_capped(pod, "egress")
        self.assertNotIn("Egress", self.left(pod))
        self.assertTrue(eventually(lambda: any("Calico's Felix limits" in each for each in self.degraded()),
                                   NOTICED_SECONDS), self.degraded())
        # One that is left over from another pod, or down, is no better.
        self.node.host.run(["ip", "link", "set", self.ifb, "down"])
        self.assert_capped(pod, "egress")
        self.assertNotIn("Egress", self.left(pod))

    def test_packets_that_leave_felixs_way_are_limited_again(self) -> None:
        self.start_beside_felix()
        pod = self.agents_pod("cali0123456789a")
        self.assertTrue(self.limit_as_felix_does("cali0123456789a"))
        self.assert_given_way(pod, "Ingress", "Egress")
        # calico#13986: the IFB stays behind.
        self.node.host.run(["tc", "qdisc", "del", "dev", "cali0123456789a", "ingress"])
        with pod.client().bulk("egress", 8) as bulk:
            self.assertTrue(eventually(lambda: self.left(pod) == ["Ingress"], 4), self.facts(pod))
            timeline = bulk.result()["timeline_bytes"]
        self.assert_rate(8 * sum(timeline[40:80]) / 4, RATE, 0.5, 1.06)
        # Faster than the limit.
        self.node.host.run(["tc", "qdisc", "change", "dev", "cali0123456789a", "root", "handle", "1:", "tbf",
                            "rate", "100mbit", "burst", "64k", "latency", "25ms"])
        self.assertTrue(eventually(lambda: self.left(pod) == [], 4), self.facts(pod))
        self.assert_capped(pod, "ingress")

    def test_packets_past_felixs_queue_are_limited_inside(self) -> None:
        self.start("standDown")
        if not is_counted(self.node):
            self.skipTest("the kernel does not count what bpf_redirect_peer delivers")
        pod = self.agents_pod("cali0123456789a")
        self.limit_as_felix_does("cali0123456789a")
        self.assert_given_way(pod, "Ingress")
        with redirected(pod, "cali0123456789a"), pod.client().bulk("ingress", 9) as bulk:
            self.assertTrue(eventually(lambda: self.facts(pod)["IngressHook"].endswith(" ingress eth0"), 5),
                            self.facts(pod))
            timeline = bulk.result()["timeline_bytes"]
        self.assert_rate(8 * sum(timeline[60:90]) / 3, RATE, 0.5, 1.06)

    def test_a_faster_token_bucket_is_no_reason(self) -> None:
        self.start("standDown")
        pod = self.agents_pod("cali0123456789a")
        self.limit_as_felix_does("cali0123456789a", "1gbit")
        self.exchange(pod)
        self.assert_capped(pod, "ingress")
        self.assertEqual(self.left(pod), [])

    def test_an_operators_word_counts_more(self) -> None:
        self.start_beside_felix()
        pod = self.agents_pod("cali0123456789a")
        self.limit_as_felix_does("cali0123456789a")
        self.assert_given_way(pod, "Ingress", "Egress")
        self.natrad.set_limits(pod.object_path(), EgressRate=RATE)
        self.assertEqual(self.left(pod), ["Ingress"])
        self.natrad.reset_limits(pod.object_path())
        self.assertEqual(self.left(pod), ["Ingress", "Egress"])

    @unittest.skipIf(shutil.which("bpftool") is None, "needs bpftool")
    def test_nothing_is_left_to_cilium(self) -> None:
        """Its map proves nothing about the packets, and those between two pods of a node do not pass it."""
        self.start("standDown")
        pod = self.agents_pod("lxc0123456789a")
        folder: Path = self.bpffs / "tc" / "globals"
        folder.mkdir(parents=True)
        pinned = str(folder / "cilium_throttle")
        self.node.host.run(["bpftool", "map", "create", pinned, "type", "hash", "key", "8", "value", "8",
                            "entries", "4", "name", "cilium_throttle"])
        told = "Cilium's bandwidth manager limits 1 of natra's attachments, too"
        self.assertTrue(eventually(lambda: any(each.startswith(told) for each in self.degraded()), NOTICED_SECONDS),
                        self.degraded())
        # The agent's entries for endpoint 7, one for each direction.
        for direction in ("0", "1"):
            self.node.host.run(["bpftool", "map", "update", "pinned", pinned,
                                "key", *"7 0 0 0".split(), direction, *"0 0 0".split(), "value", *"0 0 0 0 0 0 0 0".split()])
        for direction in ("ingress", "egress"):
            self.assert_capped(pod, direction)
        self.assertEqual(self.left(pod), [])
        Path(pinned).unlink()
        self.assertTrue(eventually(lambda: not any(each.startswith(told) for each in self.degraded()), NOTICED_SECONDS),
                        self.degraded())
