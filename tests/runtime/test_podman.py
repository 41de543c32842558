# SPDX-License-Identifier: Apache-2.0
"""podman with its CNI network backend runs containers through a chain with natra."""
from __future__ import annotations

import unittest
from typing import Any, ClassVar

from cases import EGRESS as EGRESS_ANNOTATION
from cases import INGRESS as INGRESS_ANNOTATION
from cases import RuntimeCase, records
from lab.cni import Json
from lab.namespace import Namespace
from lab.node import Node
from lab.pod import Limiter, conflist
from lab.podman import Podman, version
from support import eventually

INGRESS, EGRESS = 20_000_000, 10_000_000
# podman passes no limits on: they are the network's.
LIMITS = {"ingressRate": INGRESS, "ingressBurst": 1_000_000, "egressRate": EGRESS, "egressBurst": 1_000_000}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isGateway": True, "mtu": 1500}


class PodmanCase(RuntimeCase):
    """One podman for the class, and one network."""

    podman: ClassVar[Podman]

    @staticmethod
    def chain(node: Node) -> Json:
        return conflist(node, Limiter.NATRA, static=LIMITS, main=BRIDGE)

    @classmethod
    def setUpClass(cls) -> None:
        if version() >= (5,):
            raise unittest.SkipTest("podman 5 has no CNI network backend any more")
        super().setUpClass()
        cls.podman = cls.enterClassContext(Podman(cls.node, cls.chain(cls.node)))

    def inventory(self) -> dict[str, Any]:
        found = super().inventory()
        # The bridge stays, as the plugin that makes it says, and so does podman's group for its monitors.
        found["links"] = [name for name in found["links"] if name != "cni0"]
        found["cgroups"] = [path for path in found["cgroups"] if not path.endswith("/conmon")]
        return {**found, "containers": self.podman("ps", "--all", "--quiet")}

    def container(self, name: str, *options: str) -> tuple[str, Namespace]:
        """Its id and its namespace."""
        self.addCleanup(self.podman, "rm", "--force", "--time", "0", name, check=False)
        identity = self.podman.run(name, *options)
        return identity, Namespace.existing(self.podman.netns(name))


class Bridge(PodmanCase):
    def test_limits_of_the_network(self) -> None:
        identity, netns = self.container("limited")
        facts = self.natrad.properties(self.wait_for(identity))
        expected = {"ContainerId": identity, "PodName": "limited", "InterfaceName": "eth0", "Network": "lab",
                    "IngressRate": INGRESS, "IngressSource": "conf", "EgressRate": EGRESS, "EgressSource": "conf",
                    "NetnsPath": netns.path}
        self.assertEqual({name: facts[name] for name in expected}, expected)
        self.assert_limited(netns, ingress=INGRESS, egress=EGRESS)
        self.assert_rate(self.rate(netns, "ingress", family=6), INGRESS)

    def test_removal_leaves_nothing(self) -> None:
        before = self.inventory()
        identity, _ = self.container("short")
        self.assertNotEqual(self.inventory(), before)
        self.podman("rm", "--force", "--time", "0", "short")
        self.assertIsNone(self.natrad.find(identity))
        self.assert_unchanged(before)

    def test_restart_is_another_namespace_of_the_same_container(self) -> None:
        identity, first = self.container("again")
        self.podman("stop", "--time", "0", "again")
        self.assertIsNone(self.natrad.find(identity))
        self.podman("start", "again")
        second = Namespace.existing(self.podman.netns("again"))
        self.assertNotEqual(second.name, first.name)
        self.assertEqual(self.natrad.properties(self.wait_for(identity))["NetnsPath"], second.path)
        self.assert_limited(second, ingress=INGRESS)

    def test_container_starts_without_natrad_and_is_limited_when_it_is_back(self) -> None:
        self.natrad.stop()
        self.addCleanup(lambda: self.natrad.running() or self.natrad.start())
        identity, netns = self.container("early")
        self.assertEqual(self.spool(), [f"{identity}:eth0.json"])
        self.assert_unlimited(netns, "ingress", INGRESS)
        self.natrad.start()
        self.wait_for(identity)
        self.assert_limited(netns, ingress=INGRESS)

    def test_container_ends_while_natrad_is_away(self) -> None:
        identity, _ = self.container("late")
        self.wait_for(identity)
        self.natrad.stop()
        self.addCleanup(lambda: self.natrad.running() or self.natrad.start())
        self.podman("rm", "--force", "--time", "0", "late")
        self.natrad.start()
        self.assertTrue(eventually(lambda: self.natrad.find(identity) is None and not self.spool()))

    def test_disconnected_and_connected_again(self) -> None:
        identity, netns = self.container("moved")
        self.podman("network", "disconnect", "lab", "moved")
        self.assertIsNone(self.natrad.find(identity))
        self.podman("network", "connect", "lab", "moved")
        self.wait_for(identity)
        self.assert_limited(netns, ingress=INGRESS)


class Ptp(PodmanCase):
    @staticmethod
    def chain(node: Node) -> Json:
        chain = conflist(node, Limiter.NATRA, static=LIMITS)
        wanted = {"bandwidth": True, "io.kubernetes.cri.pod-annotations": True}
        chain["plugins"].append({"type": "recorder", "capabilities": wanted})
        return chain

    def test_what_podman_sends(self) -> None:
        record = self.node.folder / "sent"
        (self.podman.folder / "bin" / "recorder").symlink_to(self.recorder(record))
        identity, netns = self.container("sent", "--annotation", f"{INGRESS_ANNOTATION}=5M",
                                         "--annotation", f"{EGRESS_ANNOTATION}=5M")
        self.assert_limited(netns, ingress=INGRESS, egress=EGRESS)
        self.podman("rm", "--force", "--time", "0", "sent")
        # podman asks for the version before it takes a network for valid.
        add, delete = (next(each for each in records(record) if each["verb"] == verb) for verb in ("ADD", "DEL"))
        for each in (add, delete):
            self.assertNotIn("runtimeConfig", each["stdin"], "neither limits nor annotations")
            self.assertEqual(each["netns"], netns.path)
            self.assertEqual(dict(word.split("=") for word in each["args"].split(";")),
                             {"IgnoreUnknown": "1", "K8S_POD_NAME": "sent"})
        self.assertEqual([each.get("sandbox", "") for each in add["stdin"]["prevResult"]["interfaces"]],
                         ["", netns.path])
