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
from support import RATE, OwnNodeCase, eventually

NOTICED_SECONDS = 30  # natrad looks every 10 s, and the machine may be busy


class OtherLimiters(OwnNodeCase):
    def setUp(self) -> None:
        super().setUp()
        self.bpffs = BPFFS / f"{self.node.label}-others"
        self.node.defer(remove_pins, self.bpffs)
        self.bpffs.mkdir()

    def start(self, policy: str) -> None:
        config = self.node.folder / "natrad.json"
        config.write_text(json.dumps({"otherLimiters": policy}))
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

    def limit_as_felix_does(self, device: str) -> None:
        self.node.host.run(["tc", "qdisc", "replace", "dev", device, "root", "handle", "1:", "tbf",
                            "rate", "10mbit", "burst", "64k", "latency", "25ms"])
        self.ifb = "bwcali" + hashlib.sha512(device.encode()).hexdigest()[:9]
        self.node.host.run(["ip", "link", "add", self.ifb, "type", "ifb"])

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

    def test_felix_is_given_way_to_and_comes_to_an_end(self) -> None:
        self.start("standDown")
        pod = self.agents_pod("cali0123456789a")
        asked = self.agents_pod("cali0123456789b", {"ingressRate": RATE, "ingressBurst": RATE})
        self.limit_as_felix_does("cali0123456789b")
        first_ifb = self.ifb
        self.limit_as_felix_does("cali0123456789a")
        self.assertTrue(eventually(lambda: self.left(pod) == ["Ingress", "Egress"], NOTICED_SECONDS), self.facts(pod))
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
        self.assertEqual(self.left(asked), [])
        self.assertNotEqual(self.facts(asked)["IngressHook"], "")
        # A natrad that starts anew gives way at once.
        self.natrad.restart()
        self.assertEqual(self.left(pod), ["Ingress", "Egress"])

        for ifb in (self.ifb, first_ifb):
            self.node.host.run(["ip", "link", "del", ifb])
        self.node.host.run(["tc", "qdisc", "del", "dev", "cali0123456789a", "root"])
        self.assertTrue(eventually(lambda: self.left(pod) == [], NOTICED_SECONDS), self.facts(pod))
        facts = self.facts(pod)
        self.assertNotIn("", (facts["IngressHook"], facts["EgressHook"]))
        self.assertEqual(self.rest.get("/v1/status").json["leftToOthers"], 0)

    def test_an_operators_word_counts_more(self) -> None:
        self.start("standDown")
        pod = self.agents_pod("cali0123456789a")
        self.limit_as_felix_does("cali0123456789a")
        self.assertTrue(eventually(lambda: self.left(pod) == ["Ingress", "Egress"], NOTICED_SECONDS), self.facts(pod))
        self.natrad.set_limits(pod.object_path(), EgressRate=RATE)
        self.assertEqual(self.left(pod), ["Ingress"])
        self.natrad.reset_limits(pod.object_path())
        self.assertEqual(self.left(pod), ["Ingress", "Egress"])

    @unittest.skipIf(shutil.which("bpftool") is None, "needs bpftool")
    def test_cilium(self) -> None:
        self.start("standDown")
        pod = self.agents_pod("lxc0123456789a")
        other = self.pod()  # no device of Cilium's
        folder: Path = self.bpffs / "tc" / "globals"
        folder.mkdir(parents=True)
        pinned = str(folder / "cilium_throttle")
        self.node.host.run(["bpftool", "map", "create", pinned, "type", "hash", "key", "8", "value", "8",
                            "entries", "4", "name", "cilium_throttle"])
        self.assertTrue(eventually(lambda: self.left(pod) == ["Egress"], NOTICED_SECONDS), self.facts(pod))
        self.node.host.run(["bpftool", "map", "update", "pinned", pinned, "key", *"7 0 0 0 1 0 0 0".split(),
                            "value", *"0 0 0 0 0 0 0 0".split()])
        self.assertTrue(eventually(lambda: self.left(pod) == ["Ingress", "Egress"], NOTICED_SECONDS), self.facts(pod))
        self.assertEqual(self.left(other), [])
        Path(pinned).unlink()
        self.assertTrue(eventually(lambda: self.left(pod) == [], NOTICED_SECONDS), self.facts(pod))
