# SPDX-License-Identifier: Apache-2.0
"""The stock bandwidth plugin's own tests (plugins/meta/bandwidth and integration), in its numbering and with its values.

natra has no IFB: where upstream looks for one, natrad is asked what it holds the pod at.
"""
from __future__ import annotations

from typing import Any

from lab.pod import Limiter, Limits, Pod, conflist
from plugin import VethPod, delete_link, each_version, echo_seconds, has_check, run
from support import NodeCase, eventually

BOTH = {"ingressRate": 8, "ingressBurst": 8, "egressRate": 16, "egressBurst": 8}
ECHO_BYTES = 50_000
SLOW = 80_000  # bit/s: 5 s for that, less the burst; upstream has a tenth of the rate and half of the bytes


@each_version
class Upstream(NodeCase):
    def veth(self, **options: Any) -> VethPod:
        pod = VethPod(self.node, **options)
        self.addCleanup(pod.destroy)
        return pod

    def assert_limits(self, pod: VethPod, ingress: int, egress: int) -> None:
        found = pod.limits()
        assert found is not None, f"natrad knows no {pod.container_id}"
        self.assertEqual((found["IngressRate"], found["EgressRate"]), (ingress, egress))
        for word, rate in (("Ingress", ingress), ("Egress", egress)):
            self.assertEqual(bool(found[f"{word}Hook"]), bool(rate), f"{word} program")

    def assert_refused(self, pod: VethPod, conf: dict[str, Any], text: str) -> None:
        before = self.node.host.qdiscs(pod.host_device)
        answer = pod.run("ADD", conf)
        self.assertEqual(answer.code, 999)
        self.assertIn(text, answer.message)
        self.assertIsNone(pod.limits())
        self.assertEqual(self.node.host.qdiscs(pod.host_device), before)

    def each_01_add_works_with_a_veth_pair(self, version: str) -> None:
        pod = self.veth(mtu=1024)
        answer = pod.run("ADD", pod.conf(version, BOTH))
        self.assertEqual(answer.result, pod.result(version), "the result is the previous one")
        self.assert_limits(pod, 8, 16)
        self.assertTrue(self.node.host.qdiscs(pod.host_device))

    def each_02_add_does_not_apply_ingress_when_disabled(self, version: str) -> None:
        pod = self.veth()
        keys = {"ingressRate": 0, "ingressBurst": 0, "egressRate": 8000, "egressBurst": 80}
        self.assertEqual(pod.run("ADD", pod.conf(version, keys)).result, pod.result(version))
        self.assert_limits(pod, 0, 8000)
        self.assertNotIn("tbf", [each["kind"] for each in self.node.host.qdiscs(pod.host_device)])

    def each_03_add_does_not_apply_egress_when_disabled(self, version: str) -> None:
        pod = self.veth()
        keys = {"ingressRate": 8000, "ingressBurst": 80, "egressRate": 0, "egressBurst": 0}
        self.assertEqual(pod.run("ADD", pod.conf(version, keys)).result, pod.result(version))
        self.assert_limits(pod, 8000, 0)
        self.assertEqual(pod.netns.qdiscs("eth0"), [], "nothing in the pod")

    def each_04_add_fails_an_invalid_ingress_config(self, version: str) -> None:
        pod = self.veth()
        keys = {"ingressRate": 0, "ingressBurst": 123, "egressRate": 123, "egressBurst": 123}
        answer = pod.run("ADD", pod.conf(version, keys), NETNS="/nonexistent", IFNAME="nonexistent")
        self.assertEqual((answer.code, answer.message), (999, "if burst is set, rate must also be set"))

    def each_05_add_works_with_runtime_config(self, version: str) -> None:
        pod = self.veth()
        runtime = {"bandWidth": {"ingressRate": 8, "ingressBurst": 8, "egressRate": 16, "egressBurst": 9}}
        self.assertEqual(pod.run("ADD", pod.conf(version, {"runtimeConfig": runtime})).result, pod.result(version))
        self.assert_limits(pod, 8, 16)
        found = pod.limits()
        assert found is not None
        self.assertEqual(found["EgressSource"], "runtime")

    def each_06_static_config_is_applied_when_both_exist(self, version: str) -> None:
        pod = self.veth()
        keys = {"ingressRate": 0, "ingressBurst": 123, "egressRate": 123, "egressBurst": 123,
                "runtimeConfig": {"bandWidth": {"ingressRate": 8, "ingressBurst": 8, "egressRate": 16,
                                                "egressBurst": 9}}}
        self.assert_refused(pod, pod.conf(version, keys), "if burst is set, rate must also be set")
        keys |= {"ingressRate": 800}
        pod.run("ADD", pod.conf(version, keys)).result
        self.assert_limits(pod, 800, 123)

    def each_07_del_works_with_a_veth_pair(self, version: str) -> None:
        pod = self.veth()
        before = self.traces_of(pod)
        pod.run("ADD", pod.conf(version, BOTH)).result
        self.assertNotEqual(self.traces_of(pod), before)
        answer = pod.run("DEL", pod.conf(version, BOTH))
        self.assertEqual((answer.status, answer.out), (0, ""))
        self.assertEqual(self.traces_of(pod), before)

    def traces_of(self, pod: VethPod) -> dict[str, Any]:
        out: dict[str, Any] = {"natrad": pod.limits()}
        for name, where, device in (("host", self.node.host, pod.host_device), ("pod", pod.netns, "eth0")):
            out[name] = [where.qdiscs(device), where.filters(device, "ingress"), where.filters(device, "egress")]
        return out

    def each_08_add_works_with_multiple_host_veth_interfaces(self, version: str) -> None:
        pod = self.veth()
        host = self.node.host
        host.run(["ip", "link", "add", "vethx", "type", "veth", "peer", "name", "vethy"])
        self.addCleanup(delete_link, host, "vethx")
        conf = pod.conf(version, BOTH)
        conf["prevResult"]["interfaces"][:0] = [{"name": "vethx", "mac": ""}, {"name": "vethy", "mac": ""}]
        self.assertEqual(pod.run("ADD", conf).result, conf["prevResult"])
        found = pod.limits()
        assert found is not None
        self.assertEqual(found["HostInterface"], pod.host_device)
        for other in ("vethx", "vethy"):
            self.assertEqual(host.qdiscs(other), [])

    def each_09_add_fails_when_the_interface_has_no_veth_peer(self, version: str) -> None:
        pod = self.veth()
        pod.netns.run(["ip", "link", "del", "eth0"])
        self.node.host.run(["ip", "link", "add", "macvlan0", "link", "uplink", "type", "macvlan"])
        self.node.host.run(["ip", "link", "set", "macvlan0", "netns", pod.netns.name, "name", "eth0"])
        self.assert_strictly_refused(pod, pod.conf(version, BOTH), "has no veth peer")

    def each_10_add_fails_when_prevresult_has_no_interfaces(self, version: str) -> None:
        pod = self.veth()
        conf = pod.conf(version, BOTH)
        conf["prevResult"]["interfaces"] = []
        del conf["prevResult"]["ips"]
        self.assert_strictly_refused(pod, conf, "no interfaces provided")

    def each_11_add_fails_when_the_peer_matches_no_host_interface(self, version: str) -> None:
        pod = self.veth()
        conf = pod.conf(version, BOTH)
        conf["prevResult"]["interfaces"][0]["name"] = "fake-host-device"
        self.assert_strictly_refused(pod, conf, "no veth peer of container interface found in host ns")

    def assert_strictly_refused(self, pod: VethPod, conf: dict[str, Any], text: str) -> None:
        answer = pod.run("ADD", {**conf, "strictInterfaces": True})
        self.assertEqual(answer.code, 999)
        self.assertIn(text, answer.message)
        self.assertIsNone(pod.limits())

    def each_12_limits_ingress_traffic_on_a_ptp_chain(self, version: str) -> None:
        """Upstream's own never runs: its framework ignores Measure()."""
        free = self.enterContext(Pod(self.node, Limiter.NONE))
        # The stock ptp plugin may be older than 1.1.0, whose results have the form of 1.0.0's.
        first = version if version != "1.1.0" else "1.0.0"
        pod = Pod(self.node, Limiter.NATRA, Limits(), config=conflist(self.node, Limiter.NATRA, version=first))
        pod.create()
        self.addCleanup(pod.destroy)
        self.addCleanup(pod.chain.run_one, "DEL", "ptp", pod.attachment, None)
        previous = pod.chain.run_one("ADD", "ptp", pod.attachment, None)
        assert previous is not None
        conf = {"cniVersion": version, "name": "lab", "type": "natra", "ingressRate": SLOW, "ingressBurst": 2 * SLOW,
                "prevResult": {**previous, "cniVersion": version}}
        names = {"CONTAINERID": pod.container_id, "NETNS": pod.netns.path, "IFNAME": "eth0"}
        run(self.node, "ADD", conf, **names).result
        if has_check(version):
            checked = run(self.node, "CHECK", conf, **names)
            self.assertEqual((checked.status, checked.out), (0, ""), "CHECK right after ADD")
        unshaped = echo_seconds(self.node.host, free.netns, address_of(free.chain.result_of(free.attachment)),
                                ECHO_BYTES)
        shaped = echo_seconds(self.node.host, pod.netns, address_of(previous), ECHO_BYTES)
        self.assertGreater(shaped, unshaped + 1)
        self.assertEqual(run(self.node, "DEL", conf, **names).status, 0)

    def test_13_validating_input(self) -> None:
        pod = self.veth()
        for rate, burst, text in ((5000, 2**35 - 16, ""), (5000, 2**35, "burst cannot be more than 4GB"),
                                  (0, 1, "if burst is set, rate must also be set"),
                                  (1, 0, "if rate is set, burst must also be set"), (0, 0, "")):
            for direction in ("ingress", "egress"):
                with self.subTest(f"{direction} {rate} {burst}"):
                    conf = pod.conf("1.0.0", {f"{direction}Rate": rate, f"{direction}Burst": burst})
                    if text:
                        self.assert_refused(pod, conf, text)
                    else:
                        self.assertEqual(pod.run("ADD", conf).status, 0)
                        self.assertEqual(pod.run("DEL", conf).status, 0)

    def test_I1_ptp_add_del(self) -> None:
        with Pod(self.node, Limiter.NONE) as pod:
            self.assertIn("eth0", pod.netns.links())
        self.assertIsNone(pod.namespace)

    def test_I2_ptp_and_bandwidth_add_del(self) -> None:
        config = conflist(self.node, Limiter.NATRA, version="0.3.1",
                          static={"ingressRate": 800, "ingressBurst": 200, "egressRate": 800, "egressBurst": 200})
        with Pod(self.node, Limiter.NATRA, Limits(), config=config) as pod:
            path = pod.object_path()
        self.assertTrue(eventually(lambda: path not in self.natrad.attachments()))

    def test_I3_bridge_and_bandwidth_against_a_bare_bridge(self) -> None:
        bridge = {"type": "bridge", "bridge": "cnibr0", "isGateway": True}
        self.addCleanup(delete_link, self.node.host, "cnibr0")
        seconds = {}
        for limiter, static in ((Limiter.NONE, None), (Limiter.NATRA, {"ingressRate": SLOW, "ingressBurst": 2 * SLOW})):
            config = conflist(self.node, limiter, version="0.3.1", static=static, main=bridge)
            with Pod(self.node, limiter, Limits(), config=config) as pod:
                seconds[limiter] = echo_seconds(self.node.host, pod.netns,
                                                address_of(pod.chain.result_of(pod.attachment)), ECHO_BYTES)
        self.assertGreater(seconds[Limiter.NATRA], seconds[Limiter.NONE] + 1)


def address_of(result: dict[str, Any] | None) -> str:
    assert result is not None
    return next(str(each["address"]).partition("/")[0] for each in result["ips"] if ":" not in each["address"])
