# SPDX-License-Identifier: Apache-2.0
"""shapedSubnets and unshapedSubnets, with the cases of upstream's v1.5.1."""
from __future__ import annotations

from lab.node import PEER_V4, PEER_V6
from lab.pod import Limiter, Limits, Pod, conflist
from lab.state import write_abi
from lab.traffic import DIRECTIONS
from plugin import VethPod, each_version
from support import RATE, NodeCase

BOTH = {"ingressRate": RATE, "ingressBurst": RATE // 10, "egressRate": RATE, "egressBurst": RATE // 10}
FREE = 3 * RATE  # far above the limit, far below what a veth pair carries


@each_version
class Configuration(NodeCase):
    def veth(self) -> VethPod:
        pod = VethPod(self.node)
        self.addCleanup(pod.destroy)
        return pod

    def each_bad_lists_are_errors(self, version: str) -> None:
        pod = self.veth()
        bad = 'bad subnet "hello" provided, details invalid CIDR address: hello'
        for keys, message in (
                ({"unshapedSubnets": ["hello"]}, bad), ({"shapedSubnets": ["hello"]}, bad),
                ({"unshapedSubnets": ["10.0.0.0/8"], "shapedSubnets": ["fd00::/8"]},
                 "unshapedSubnets and shapedSubnets cannot be both specified, one of them should be discarded"),
                ({"shapedSubnets": ["10.0.0.0/33"]},
                 'bad subnet "10.0.0.0/33" provided, details invalid CIDR address: 10.0.0.0/33'),
                ({"shapedSubnets": "10.0.0.0/8"},
                 'failed to parse network configuration: shapedSubnets: expected an array, got "10.0.0.0/8"'),
                ({"shapedSubnets": ["10.0.0.0/8"] * 17}, "shapedSubnets: 17 subnets, at most 16 are possible"),
                ({"ingressRate": 0, "ingressBurst": 123, "unshapedSubnets": ["10.0.0.0/8"]},
                 "if burst is set, rate must also be set")):
            with self.subTest(str(keys)):
                answer = pod.run("ADD", pod.conf(version, {**BOTH, **keys}))
                self.assertEqual((answer.code, answer.message), (999, message))
                self.assertIsNone(pod.limits())
                self.assertEqual(pod.run("DEL", pod.conf(version, {**BOTH, **keys})).status, 0)

    def each_lists_are_taken_and_checked(self, version: str) -> None:
        for key, other in (("unshapedSubnets", "ShapedSubnets"), ("shapedSubnets", "UnshapedSubnets")):
            for where in ("static", "runtime"):
                with self.subTest(f"{key} {where}"):
                    pod = self.veth()
                    lists = {key: ["10.11.12.13/8", "fd00:1::1/32"]}
                    keys = ({**BOTH, **lists} if where == "static"
                            else {"runtimeConfig": {"bandwidth": {**BOTH, **lists}}})
                    conf = pod.conf(version, keys)
                    self.assertEqual(pod.run("ADD", conf).result, pod.result(version))
                    found = pod.limits()
                    assert found is not None
                    self.assertEqual(found[key[0].upper() + key[1:]], ["10.0.0.0/8", "fd00:1::/32"])
                    self.assertEqual(found[other], [])
                    if version in ("0.3.0", "0.3.1"):
                        continue
                    self.assertEqual(pod.run("CHECK", conf).status, 0)
                    changed = pod.run("CHECK", pod.conf(version, {**keys, key: ["10.0.0.0/9"]}))
                    self.assertIn("Subnets don't match", changed.message)

    def test_static_lists_leave_the_runtime_its_limits(self) -> None:
        pod = self.veth()
        conf = pod.conf("1.1.0", {"unshapedSubnets": ["10.0.0.0/8"], "runtimeConfig": {"bandwidth": BOTH}})
        pod.run("ADD", conf).result
        found = pod.limits()
        assert found is not None
        self.assertEqual((found["IngressRate"], found["UnshapedSubnets"]), (RATE, ["10.0.0.0/8"]))


class Traffic(NodeCase):
    """Four rules, both families, both directions; the peer is the remote end."""

    def limited(self, **lists: list[str]) -> Pod:
        config = conflist(self.node, Limiter.NATRA, static={**BOTH, **lists})
        return self.enterContext(Pod(self.node, Limiter.NATRA, Limits(), config=config))

    def assert_shaped(self, pod: Pod, shaped: dict[int, bool]) -> None:
        for family, is_shaped in shaped.items():
            for direction in DIRECTIONS:
                with self.subTest(f"IPv{family} {direction}"):
                    measured = self.goodput(pod, direction, seconds=2, family=family)
                    if is_shaped:
                        self.assert_rate(measured, RATE, low=0.7, high=1.15)
                    else:
                        self.assertGreater(measured, FREE)

    def test_unshaped_matching(self) -> None:
        pod = self.limited(unshapedSubnets=[f"{PEER_V4}/32"])
        self.assert_shaped(pod, {4: False, 6: True})
        counters = self.natrad.counters(pod.object_path(), "ingress")
        self.assertLess(counters["FastBytes"] + counters["PacedBytes"], 3 * RATE / 8 * 2, "the rest is not counted")

    def test_unshaped_of_the_other_family(self) -> None:
        self.assert_shaped(self.limited(unshapedSubnets=["192.0.2.0/24", f"{PEER_V6}/64"]), {4: True, 6: False})

    def test_shaped_matching(self) -> None:
        self.assert_shaped(self.limited(shapedSubnets=["192.0.2.0/24", "198.18.0.0/15"]), {4: True, 6: False})

    def test_shaped_not_matching(self) -> None:
        self.assert_shaped(self.limited(shapedSubnets=["192.0.2.0/24"]), {4: False, 6: False})

    def test_a_default_route_is_of_its_family(self) -> None:
        self.assert_shaped(self.limited(shapedSubnets=["::/0"]), {4: False, 6: True})

    def test_they_survive_natrad(self) -> None:
        pod = self.limited(unshapedSubnets=[f"{PEER_V4}/32"])
        self.natrad.kill()
        self.natrad.start()
        pod.chain.check(pod.attachment)
        path = pod.object_path()
        self.assertEqual(self.natrad.properties(path)["UnshapedSubnets"], [f"{PEER_V4}/32"])
        # A direction that is started anew has another program.
        self.natrad.set_limits(path, IngressRate=0)
        self.natrad.set_limits(path, IngressRate=RATE)
        self.assert_shaped(pod, {4: False, 6: True})

    def test_programs_of_an_older_abi_are_renewed(self) -> None:
        pod = self.limited(unshapedSubnets=[f"{PEER_V4}/32"])
        folder = self.natrad.pins / pod.object_path().rpartition("/")[2]
        before = sorted(each.name for each in folder.iterdir())
        self.natrad.stop()
        for name in ("ingress_state", "egress_state"):
            write_abi(str(folder / name), 1)
        self.natrad.start()
        self.assertIn("state has ABI 1", self.natrad.log_tail())
        pod.chain.check(pod.attachment)
        self.assertEqual(sorted(each.name for each in folder.iterdir()), before)
        self.assert_shaped(pod, {4: False, 6: True})
