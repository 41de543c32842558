# SPDX-License-Identifier: Apache-2.0
"""GC takes what the runtime no longer knows, in its own network only."""
from __future__ import annotations

from typing import Any

from plugin import VethPod, run
from support import RATE, NodeCase

LIMITED = {"ingressRate": RATE, "ingressBurst": RATE}


class Garbage(NodeCase):
    def add(self, network: str) -> VethPod:
        pod = VethPod(self.node)
        self.addCleanup(pod.destroy)
        conf = pod.conf("1.1.0", LIMITED, name=network)
        self.assertEqual(pod.run("ADD", conf).status, 0)
        self.addCleanup(pod.run, "DEL", conf)
        return pod

    def gc(self, network: str, **keys: Any) -> str:
        """What it said on stderr."""
        answer = run(self.node, "GC", {"cniVersion": "1.1.0", "name": network, "type": "natra", **keys},
                     CONTAINERID="", NETNS="", IFNAME="")
        self.assertEqual((answer.status, answer.out), (0, ""))
        return answer.err

    def known(self, *pods: VethPod) -> list[bool]:
        return [pod.limits() is not None for pod in pods]

    @staticmethod
    def valid(*pods: VethPod) -> list[dict[str, str]]:
        return [{"containerID": pod.container_id, "ifname": "eth0"} for pod in pods]

    def test_what_is_not_in_the_list_goes(self) -> None:
        keep, drop, other = self.add("one"), self.add("one"), self.add("two")
        self.gc("one", **{"cni.dev/valid-attachments": self.valid(keep)})
        self.assertEqual(self.known(keep, drop, other), [True, False, True])
        self.assertNotIn("htb", [each["kind"] for each in self.node.host.qdiscs(drop.host_device)])
        self.assertTrue(self.node.host.qdiscs(keep.host_device))

    def test_the_first_name_of_the_list(self) -> None:
        keep, drop = self.add("one"), self.add("one")
        self.gc("one", **{"cni.dev/attachments": self.valid(keep)})
        self.assertEqual(self.known(keep, drop), [True, False])

    def test_another_interface_of_a_valid_container_is_not_valid(self) -> None:
        pod = self.add("one")
        self.gc("one", **{"cni.dev/valid-attachments": [{"containerID": pod.container_id, "ifname": "net1"}]})
        self.assertEqual(self.known(pod), [False])

    def test_null_and_empty_lists_mean_that_nothing_is_valid(self) -> None:
        for nothing in (None, []):
            with self.subTest(nothing):
                pod, other = self.add("one"), self.add("two")
                self.gc("one", **{"cni.dev/valid-attachments": nothing})
                self.assertEqual(self.known(pod, other), [False, True])

    def test_no_list_means_that_nobody_said(self) -> None:
        pod = self.add("one")
        self.assertIn("nothing is removed", self.gc("one"))
        self.assertEqual(self.known(pod), [True])

    def test_a_malformed_list_removes_nothing(self) -> None:
        pod = self.add("one")
        answer = run(self.node, "GC", {"cniVersion": "1.1.0", "name": "one", "type": "natra",
                                       "cni.dev/valid-attachments": [{"containerID": 7}]})
        self.assertEqual(answer.code, 7)
        self.assertEqual(self.known(pod), [True])
