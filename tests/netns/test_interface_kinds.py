# SPDX-License-Identifier: Apache-2.0
"""Interfaces that are no veth pair, or not the only one of their pod."""
from __future__ import annotations

import dataclasses
import json
import os
import re
import unittest
from typing import Any, ClassVar

from lab.bus import BusError
from lab.cni import CniError
from lab.kinds import KINDS, Kind, add_other_network
from lab.namespace import Namespace
from lab.pod import Limiter, Limits, Pod
from lab.traffic import DIRECTIONS, Client, Server, under_load
from support import RATE, NodeCase, attached_programs, carried, eventually, files_below

# natrad looks every 5 s whether interfaces without a host side are still there.
SWEEP_SECONDS = 10


EMULATED = int(os.environ.get("NATRA_TIME_FACTOR", "1")) > 1


def kernel_version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


class HeldCase(NodeCase):
    def assert_held(self, measured: float, limit: float) -> None:
        """The cap is never passed; how near a pod comes to it is the machine's matter where that is emulated."""
        self.assert_rate(measured, limit, 0.2 if EMULATED else 0.75, 1.05)


class KindCase(HeldCase):
    """A base: the classes below say which kind, and what a pod of it can be held to."""

    kind: ClassVar[Kind]
    unlimited: ClassVar[tuple[str, ...]] = ()  # directions

    @classmethod
    def setUpClass(cls) -> None:
        if "kind" not in vars(cls):
            raise unittest.SkipTest("a base class")
        super().setUpClass()
        if reason := cls.kind.missing(cls.node):
            raise unittest.SkipTest(reason)

    def pod(self, ingress: int = RATE, egress: int = RATE, limiter: Limiter = Limiter.NATRA, **keys: Any) -> Pod:
        return self.enterContext(Pod(self.node, limiter, Limits(ingress, egress),
                                     **self.kind.connect(self.node, limiter, **keys)))

    def facts(self, pod: Pod) -> dict[str, Any]:
        return self.natrad.properties(pod.object_path())

    def is_gone(self, path: str) -> bool:
        try:
            self.natrad.properties(path)
        except BusError:
            return True
        return False

    def held(self) -> tuple[str, ...]:
        return tuple(each for each in DIRECTIONS if each not in self.unlimited)

    def traces_inside(self, pod: Pod) -> dict[str, Any]:
        """All that natra may leave where it limits this kind."""
        device = pod.interface
        out: dict[str, Any] = {"qdiscs": pod.netns.qdiscs(device), "pins": files_below(self.natrad.pins),
                               "files": files_below(self.natrad.runtime), "objects": self.natrad.attachments()}
        for hook in ("ingress", "egress", "root"):
            out[hook] = pod.netns.filters(device, hook)
        return out


class OfAnyKind(KindCase):
    """What each kind has to show."""

    def test_tcp_is_held_at_the_limit(self) -> None:
        pod = self.pod()
        for family in (4, 6):
            for direction in self.held():
                with self.subTest(f"IPv{family} {direction}"):
                    self.assert_held(self.goodput(pod, direction, family=family), RATE)

    def test_udp_is_held_at_the_limit(self) -> None:
        pod = self.pod()
        for direction in self.held():
            with self.subTest(direction), pod.client().udp(direction, 4, rate=3 * RATE) as udp:
                # Counted where it is used: a policer stands behind the pod's own counters.
                wire = udp.result()["goodput_bps"] * 1042 / 1000
                self.assert_held(wire, RATE)

    def test_thin_flows_are_fast_beside_what_the_pod_sends(self) -> None:
        pod = self.pod()
        if self.facts(pod)["EgressShaper"] == "police":
            self.skipTest("neither fq nor HTB here")
        load = under_load(pod.client(), "egress", 4, rate=RATE)
        self.assert_held(carried(load.bulk), RATE)
        # Behind a queue that does not tell flows apart this is 30 ms and more.
        self.assertLess(load.rr["p50_us"], 15_000 if EMULATED else 5000)

    def test_del_leaves_nothing(self) -> None:
        pod = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), **self.kind.connect(self.node))
        pod.create()
        self.addCleanup(pod.destroy)
        main = self.kind.main["type"]
        self.addCleanup(pod.chain.run_one, "DEL", main, pod.attachment, None)
        result = pod.chain.run_one("ADD", main, pod.attachment, None)
        before = self.traces_inside(pod)
        printed = pod.chain.run_one("ADD", "natra", pod.attachment, result)
        self.assertEqual(printed, result, "the result is the previous one, unchanged")
        self.assertNotEqual(self.traces_inside(pod), before)
        pod.chain.run_one("CHECK", "natra", pod.attachment, result)
        self.natrad.kill()
        self.natrad.start()
        pod.chain.run_one("CHECK", "natra", pod.attachment, result)
        pod.chain.run_one("DEL", "natra", pod.attachment, result)
        self.assertEqual(self.traces_inside(pod), before)

    def test_end_while_it_was_away_is_noticed(self) -> None:
        self.assert_end_is_noticed_at_start(self.pod())


class WithoutHostSide(OfAnyKind):
    """What only the pod's side has."""

    def test_facts_tell_what_is_held_where(self) -> None:
        pod = self.pod()
        facts = self.facts(pod)
        self.assertEqual(facts["HostInterface"], "")
        self.assertRegex(facts["EgressHook"], "^(tcx|clsact) egress eth0$")
        if "ingress" in self.unlimited:
            return
        self.assertRegex(facts["IngressHook"], "^(tcx|clsact) ingress eth0$")
        self.assertEqual(facts["IngressShaper"], "police")
        self.assertIn("no queue", facts["IngressReason"])
        self.assertEqual(self.natrad.status()["Degraded"], [])

    def test_siblings_on_the_same_master_are_limited_too(self) -> None:
        if self.kind.name in ("vlan", "ipvlan l3s"):
            self.skipTest("there is one vlan of a number on a master, and l3s is held in one direction only")
        pod, other = self.pod(), self.pod(0, 0)
        result = other.chain.result_of(other.attachment)
        assert result is not None
        address = result["ips"][0]["address"].partition("/")[0]
        server = Server(self.node.build.traffic, other.netns, self.node.folder / f"pod{other.number}.sock")
        self.addCleanup(server.stop)
        for direction in DIRECTIONS:
            with self.subTest(direction), Client(pod.netns, server, address).bulk(direction, 4) as bulk:
                self.assert_held(carried(bulk.result()), RATE)


class Thoroughly(WithoutHostSide):
    """What does not depend on the kind: for some of them."""

    def test_limits_change_live(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        for direction in self.held():
            with self.subTest(direction):
                word = f"{direction.capitalize()}Rate"
                self.natrad.set_limits(path, **{word: 2 * RATE})
                self.assert_held(self.goodput(pod, direction, seconds=3), 2 * RATE)
                self.natrad.set_limits(path, **{word: 0})
                self.assertGreater(self.goodput(pod, direction, seconds=2), 3 * RATE)
                self.natrad.reset_limits(path)
                self.assert_held(self.goodput(pod, direction, seconds=3), RATE)
                pod.chain.check(pod.attachment)

    def test_restart_adopts(self) -> None:
        pod = self.pod()
        before = self.facts(pod)
        self.natrad.kill()
        self.natrad.start()
        after = self.facts(pod)
        for name in ("IngressHook", "EgressHook", "IngressShaper", "EgressShaper", "IngressReason", "EgressReason",
                     "HostInterface", "AttachedAtUsec"):
            self.assertEqual(after[name], before[name], name)
        pod.chain.check(pod.attachment)
        self.assert_held(self.goodput(pod, "egress", seconds=3), RATE)

    def test_an_interface_is_limited_once(self) -> None:
        pod = self.pod()
        result = pod.chain.result_of(pod.attachment)
        for container in (pod.container_id, "somebody-else"):
            attachment = dataclasses.replace(pod.attachment, container_id=container)
            with self.subTest(container), self.assertRaises(CniError) as caught:
                pod.chain.run_one("ADD", "natra", attachment, result)
            self.assertRegex(caught.exception.message, "exists|limited already")
        pod.chain.check(pod.attachment)

    def test_del_of_a_pod_whose_namespace_is_gone(self) -> None:
        pod = self.pod()
        pod.destroy()
        pod.chain.run_one("DEL", "natra", pod.attachment, None)
        self.assertIsNone(self.natrad.find(pod.container_id))

    def test_end_of_the_namespace_is_noticed(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        pod.destroy()
        self.assertTrue(eventually(lambda: self.is_gone(path), SWEEP_SECONDS),
                        "natrad still has a pod whose namespace is gone")
        self.assertFalse([name for name in (p.name for p in self.natrad.pins.rglob("*"))
                          if path.rpartition("/")[2] in name])

    def test_deleted_device_is_noticed(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        pod.netns.run(["ip", "link", "del", "eth0"])
        self.assertTrue(eventually(lambda: self.is_gone(path), SWEEP_SECONDS))

    def test_a_new_namespace_of_the_same_name_is_another_pod(self) -> None:
        if kernel_version() < (5, 14):
            self.skipTest("before Linux 5.14 nothing tells the two apart where the kernel reuses the inode")
        first = self.pod()
        name, container = first.netns.name, first.container_id
        first.destroy()
        # As if natra's DEL had got lost.
        first.chain.run_one("DEL", self.kind.main["type"], first.attachment, None)
        second = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), **self.kind.connect(self.node))
        second.namespace = Namespace(name)
        self.addCleanup(second.destroy)
        self.node.tune(second.netns)
        second.container_id = container
        second.add()
        self.addCleanup(second.delete)
        second.chain.check(second.attachment)
        self.assert_held(self.goodput(second, "egress", seconds=3), RATE)

    def test_strict_configurations_refuse_it(self) -> None:
        strict = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE),
                     **self.kind.connect(self.node, strictInterfaces=True))
        strict.create()
        self.addCleanup(strict.destroy)
        with self.assertRaises(CniError) as caught:
            strict.add()
        self.assertEqual(caught.exception.plugin, "natra")
        self.assertIn("container interface eth0 has no veth peer: interface \"eth0\" was not a veth interface",
                      caught.exception.message)
        self.assertEqual(strict.netns.qdiscs("eth0"), [])
        self.assertIsNone(self.natrad.find(strict.container_id))
        strict.delete()


class Bridge(OfAnyKind):
    kind = KINDS["bridge"]


class Vlan(WithoutHostSide):
    kind = KINDS["vlan"]


class Macvlan(Thoroughly):
    kind = KINDS["macvlan"]


class IpvlanL2(Thoroughly):
    kind = KINDS["ipvlan l2"]

    def test_100_mbit_both_ways_as_in_the_spiderpool_documents(self) -> None:
        """Annotations of 100M in both directions on an ipvlan pod, containerd's bursts."""
        cap = 100_000_000
        pod = self.pod(cap, cap)
        facts = self.facts(pod)
        self.assertEqual((facts["IngressRate"], facts["EgressRate"]), (cap, cap))
        for direction in DIRECTIONS:
            with self.subTest(direction):
                self.assert_held(self.goodput(pod, direction), cap)


class IpvlanL3(WithoutHostSide):
    kind = KINDS["ipvlan l3"]


class IpvlanL3s(WithoutHostSide):
    kind = KINDS["ipvlan l3s"]
    unlimited = ("ingress",)

    def test_what_cannot_be_held_is_said(self) -> None:
        pod = self.pod()
        facts = self.facts(pod)
        self.assertEqual((facts["IngressHook"], facts["IngressShaper"]), ("", ""))
        self.assertIn("l3s", facts["IngressReason"])
        self.assertEqual(facts["IngressRate"], RATE, "what was asked for")
        sentence = f"lab/pod{pod.number} eth0: ingress is not limited: "
        self.assertTrue([each for each in self.natrad.status()["Degraded"] if each.startswith(sentence)])
        self.assertIn(sentence, self.natrad.log.read_text())
        self.assertGreater(self.goodput(pod, "ingress", seconds=2), 2 * RATE)
        pod.chain.check(pod.attachment)
        pod.delete()
        self.assertEqual(self.natrad.status()["Degraded"], [])


class SeveralInterfaces(HeldCase):
    """One pod in two networks, as multus makes it: two ADDs of one container."""

    def pair(self, second: Kind) -> tuple[Pod, Pod]:
        first = self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE),
                                      **KINDS["ptp"].connect(self.node)))
        keys = second.connect(self.node, network="second")
        return first, self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE // 2, RATE // 2), beside=first,
                                            interface="net1", **keys))

    def assert_both_held_then_one(self, first: Pod, second: Pod) -> None:
        self.assertEqual(len(self.natrad.attachments()), 2)
        for direction in DIRECTIONS:
            with self.subTest(direction), first.client().bulk(direction, 4) as one, \
                    second.client().bulk(direction, 4) as other:
                self.assert_held(carried(one.result()), RATE)
                self.assert_held(carried(other.result()), RATE // 2)
        for each in (first, second):
            each.chain.run_one("CHECK", "natra", each.attachment, each.chain.result_of(each.attachment))
        second.delete()
        self.assertIsNone(self.natrad.find(second.container_id, "net1"))
        first.chain.check(first.attachment)
        self.assert_held(self.goodput(first, "egress", seconds=3), RATE)

    def test_ptp_twice(self) -> None:
        self.assert_both_held_then_one(*self.pair(add_other_network(self.node)))

    def test_ptp_and_macvlan(self) -> None:
        if reason := KINDS["macvlan"].missing(self.node):
            self.skipTest(reason)
        first, second = self.pair(KINDS["macvlan"])
        # The macvlan is in the peer's subnet: what goes there no longer takes the first network.
        other = add_other_network(self.node)
        first._peer = other.peer
        self.assert_both_held_then_one(first, second)


class PeerInAThirdNamespace(HeldCase):
    """A veth pair whose other end is not the host's: only the pod's side can be reached."""

    def test_is_limited_inside(self) -> None:
        pod = Pod(self.node)
        pod.create()
        self.addCleanup(pod.destroy)
        third = self.node.add_namespace("third")
        third.run(["ip", "link", "add", "far", "type", "veth", "peer", "name", "eth0", "netns", pod.netns.name])
        for where, device, address in ((third, "far", "198.18.9.1"), (pod.netns, "eth0", "198.18.9.2")):
            where.run(["ip", "addr", "add", f"{address}/24", "dev", device])
            where.run(["ip", "link", "set", device, "up"])
        conf = {"cniVersion": "1.0.0", "name": "lab", "type": "natra", "ingressRate": RATE, "ingressBurst": RATE // 10,
                "egressRate": RATE, "egressBurst": RATE // 10, "prevResult": {"cniVersion": "1.0.0"}}
        pod.chain.execute("ADD", "natra", json.dumps(conf), pod.attachment)
        facts = self.natrad.properties(pod.object_path())
        self.assertEqual(facts["HostInterface"], "")
        server = Server(self.node.build.traffic, third, self.node.folder / "third.sock")
        self.addCleanup(server.stop)
        for direction in DIRECTIONS:
            with self.subTest(direction), Client(pod.netns, server, "198.18.9.1").bulk(direction, 3) as bulk:
                self.assert_held(carried(bulk.result()), RATE)
        pod.chain.execute("CHECK", "natra", json.dumps(conf), pod.attachment)
        pod.chain.execute("DEL", "natra", json.dumps(conf), pod.attachment)
        self.assertEqual(pod.netns.qdiscs("eth0"), [])

    def test_host_devices_go_in_and_come_back_free(self) -> None:
        for mode in ("clsact", "tcx"):
            if mode not in self.natrad.status()["Features"]:
                continue
            self.natrad.stop()
            self.natrad.env = {"NATRA_ATTACH_MODE": mode}
            self.natrad.start()
            for away in (False, True):
                with self.subTest(f"{mode}, natrad {'away' if away else 'there'} at DEL"):
                    self.host_device_round(away)

    def host_device_round(self, natrad_is_away: bool) -> None:
        ipam = {"type": "host-local", "dataDir": str(self.node.folder / "ipam"),
                "ranges": [[{"subnet": "198.18.9.0/24", "rangeStart": "198.18.9.8"}]]}
        config = {"cniVersion": "1.0.0", "name": "nic", "plugins": [
            {"type": "host-device", "device": "nic0", "ipam": ipam},
            {"type": "natra", "capabilities": {"bandwidth": True}}]}
        third = self.node.add_namespace("third")
        self.addCleanup(third.delete)
        self.node.host.run(["ip", "link", "add", "nic0", "type", "veth", "peer", "name", "far", "netns", third.name])
        third.run(["ip", "addr", "add", "198.18.9.1/24", "dev", "far"])
        third.run(["ip", "link", "set", "far", "up"])
        # By hand: the plugin's DEL fails the second time.
        pod = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), config=config)
        pod.create()
        self.addCleanup(pod.destroy)
        pod.add()
        self.assertEqual(self.natrad.properties(pod.object_path())["HostInterface"], "")
        if natrad_is_away:
            self.natrad.kill()
        pod.delete()
        try:
            self.assertIn("nic0", self.node.host.links())
            self.assertEqual(self.node.host.qdiscs("nic0"), [])
            self.assertFalse([each for each in attached_programs(self.node) if " nic0 " in each])
        finally:
            self.node.host.run(["ip", "link", "del", "nic0"])
            if natrad_is_away:
                self.natrad.start()
        self.assertTrue(eventually(lambda: not self.natrad.attachments()))
        third.delete()

    def test_results_need_not_name_the_host_side(self) -> None:
        pod, result = self.plain_pod()
        for interfaces in ([], [{"name": "eth0", "sandbox": pod.netns.path}], [{"name": "not-the-peer"}]):
            with self.subTest(str(interfaces)):
                odd = {**result, "interfaces": interfaces, "ips": []}
                pod.chain.run_one("ADD", "natra", pod.attachment, odd)
                self.assertTrue(self.natrad.properties(pod.object_path())["HostInterface"])
                pod.chain.run_one("CHECK", "natra", pod.attachment, odd)
                pod.chain.run_one("DEL", "natra", pod.attachment, odd)


class Forced(KindCase):
    """Each shaper holds what a pod without a host side sends, and each hook will do."""

    def test_tcx_hooks_of_the_pods_device(self) -> None:
        if "tcx" not in self.natrad.status()["Features"]:
            self.skipTest("this kernel has no tcx")
        self.natrad.stop()
        self.natrad.env = {"NATRA_ATTACH_MODE": "tcx"}
        self.natrad.start()
        pod = self.pod()
        facts = self.facts(pod)
        self.assertEqual((facts["IngressHook"], facts["EgressHook"]), ("tcx ingress eth0", "tcx egress eth0"))
        for direction in DIRECTIONS:
            with self.subTest(direction):
                self.assert_held(self.goodput(pod, direction, seconds=3), RATE)
        self.natrad.kill()
        self.natrad.start()
        pod.chain.check(pod.attachment)
        path = pod.object_path()
        pod.destroy()
        self.assertTrue(eventually(lambda: self.is_gone(path), SWEEP_SECONDS))
        self.assertFalse((self.natrad.pins / path.rpartition("/")[2]).exists())

    def test_is_held_by_each(self) -> None:
        features = self.natrad.status()["Features"]
        for shaper in ("edt", "htb", "police"):
            if shaper not in features:
                continue
            self.natrad.stop()
            self.natrad.env = {"NATRA_SHAPER": shaper}
            self.natrad.start()
            with self.subTest(shaper), Pod(self.node, Limiter.NATRA, Limits(RATE, RATE),
                                           **self.kind.connect(self.node)) as pod:
                facts = self.facts(pod)
                self.assertEqual((facts["IngressShaper"], facts["EgressShaper"]), ("police", shaper))
                for direction in DIRECTIONS:
                    with self.subTest(f"{shaper} {direction}"):
                        self.assert_held(self.goodput(pod, direction), RATE)
                pod.chain.check(pod.attachment)


class ForcedMacvlan(Forced):
    kind = KINDS["macvlan"]


class ForcedIpvlan(Forced):
    kind = KINDS["ipvlan l2"]


def load_tests(loader: unittest.TestLoader, _tests: unittest.TestSuite, _pattern: str | None) -> unittest.TestSuite:
    classes = (Bridge, Vlan, Macvlan, IpvlanL2, IpvlanL3, IpvlanL3s, SeveralInterfaces, PeerInAThirdNamespace,
               ForcedMacvlan, ForcedIpvlan)
    return unittest.TestSuite(loader.loadTestsFromTestCase(each) for each in classes)
