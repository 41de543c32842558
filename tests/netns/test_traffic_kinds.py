# SPDX-License-Identifier: Apache-2.0
"""Whatever the traffic is, its total is the limit.

Totals are what the receiver's devices counted. They have the headers of a GSO
packet once, so that TCP at exactly the limit shows as 0.957 of it.
"""
from __future__ import annotations

import contextlib
from typing import Any

from lab import offload
from lab.natrad import Natrad
from lab.pod import POD_V6, Limiter, Limits, Pod, conflist
from lab.traffic import DIRECTIONS, Client, Server, under_load
from support import RATE, NodeCase

FAMILIES = (4, 6)
# Of the pings beside a load, in an emulated machine too; behind a queue of bulk traffic it is tens of ms.
PROMPT_US = 5000


def total(result: dict[str, Any]) -> float:
    """bit/s after the first second."""
    wire = result["wire"]
    return 8 * float(wire["later_bytes"]) / float(wire["later_seconds"])


class TrafficKinds(NodeCase):
    natrad: Natrad

    def assert_total(self, result: dict[str, Any], limit: int = RATE) -> None:
        self.assert_rate(total(result), limit, 0.80, 1.05)

    def assert_prompt(self, rr: dict[str, Any]) -> None:
        self.assertLess(rr["p50_us"], PROMPT_US)
        self.assertEqual(rr["unfinished"], 0)


class Families(TrafficKinds):
    def test_ipv6_alone(self) -> None:
        """A pod of a cluster that has no IPv4 at all."""
        config = conflist(self.node, Limiter.NATRA)
        config["plugins"][0]["ipam"].update(ranges=[[{"subnet": POD_V6}]], routes=[{"dst": "::/0"}])
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), config=config))
                load = under_load(pod.client(6), direction, 4, flows=4, rate=RATE)
                self.assert_total(load.bulk)
                self.assert_prompt(load.rr)
                pod.chain.check(pod.attachment)

    def test_both_families_share_one_limit(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.pod()
                with pod.client(4).bulk(direction, 5) as four, pod.client(6).bulk(direction, 5) as six, \
                        pod.client(6).rr(4, interval_us=5000) as rr:
                    results = four.result(), six.result()
                    self.assert_prompt(rr.result())
                self.assert_total(results[0])
                for each in results:
                    self.assertGreater(each["goodput_bps"], 0.25 * RATE)


class Udp(TrafficKinds):
    def test_sender_is_held_back_and_loses_nothing(self) -> None:
        """On the pod's own device packets wait in its socket's buffer, which then is full."""
        for family in FAMILIES:
            with self.subTest(f"IPv{family}"):
                pod = self.pod()
                if self.natrad.properties(pod.object_path())["EgressShaper"] == "police":
                    self.skipTest("a policer has no queue that could hold anyone back")
                with pod.client(family).udp("egress", 4, rate=3 * RATE, waits=True) as udp:
                    result = udp.result()
                self.assert_total(result)
                self.assertGreater(result["received_packets"], 0.95 * result["sent_packets"])

    def test_nobody_starves(self) -> None:
        """A UDP flow that would take all, a TCP flow, and pings."""
        for direction in DIRECTIONS:
            with self.subTest(direction):
                client = self.pod().client()
                with client.udp(direction, 6, rate=3 * RATE, waits=True) as udp, \
                        client.bulk(direction, 6) as bulk, client.rr(5, interval_us=5000) as rr:
                    flow, tcp = udp.result(), bulk.result()
                    self.assert_prompt(rr.result())
                self.assert_total(flow)
                self.assertGreater(flow["goodput_bps"], 0.15 * RATE)
                self.assertGreater(tcp["goodput_bps"], 0.15 * RATE)

    def test_new_flows_by_the_thousand(self) -> None:
        """Every packet a flow of its own, and a bulk flow beside them."""
        for family in FAMILIES:
            for direction in DIRECTIONS:
                with self.subTest(f"IPv{family} {direction}"):
                    client = self.pod().client(family)
                    with client.udp(direction, 5, rate=2 * RATE, payload=500) as udp, \
                            client.bulk(direction, 5) as bulk:
                        flood = udp.result()
                        bulk.result(may_fail=True)
                    self.assertGreater(flood["sent_packets"] / flood["seconds"], 2000)
                    self.assert_total(flood)

    def test_fragments(self) -> None:
        """No fragment but the first has ports; below the limit every datagram arrives whole."""
        for family in FAMILIES:
            for direction in DIRECTIONS:
                with self.subTest(f"IPv{family} {direction}"):
                    client = self.pod().client(family)
                    with client.udp(direction, 3, rate=RATE // 2, payload=8000, random_ports=False) as udp:
                        few = udp.result()
                    self.assertGreater(few["received_packets"], 0.97 * few["sent_packets"])
                    with client.udp(direction, 4, rate=3 * RATE, payload=4000, waits=True) as udp:
                        self.assert_total(udp.result())


class Tcp(TrafficKinds):
    def test_new_connections_by_the_hundred(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.pod()
                path = pod.object_path()
                with pod.client().short(direction, 5, interval_us=0, parallel=50, size=4000) as short:
                    result = short.result(may_fail=True)
                counters = self.natrad.counters(path, direction)
                passed = 8 * (counters["FastBytes"] + counters["PacedBytes"])
                self.assertGreater(result["samples"] / 5, 100)
                # Five seconds, the credit of the first one, and what ended late.
                self.assertLess(passed, 1.1 * 5 * RATE)

    def test_jumbo_frames(self) -> None:
        with contextlib.ExitStack() as after:
            for where, device in ((self.node.host, "uplink"), (self.node.peer, "eth0")):
                where.run(["ip", "link", "set", device, "mtu", "9000"])
                after.callback(where.run, ["ip", "link", "set", device, "mtu", "1500"])
            config = conflist(self.node, Limiter.NATRA, main={"type": "ptp", "mtu": 9000})
            for direction in DIRECTIONS:
                with self.subTest(direction):
                    pod = self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), config=config))
                    load = under_load(pod.client(), direction, 4, flows=4, rate=RATE)
                    self.assert_total(load.bulk)
                    self.assert_prompt(load.rr)
                    with pod.client().udp(direction, 4, rate=3 * RATE, payload=8900) as udp:
                        self.assert_total(udp.result())

    def test_offloads(self) -> None:
        """Single segments instead of large packets, and large ones put together on the way."""
        for off in ({"tso": False, "gso": False, "gro": False}, {"tso": True, "gso": True, "gro": True}):
            for direction in DIRECTIONS:
                with self.subTest(f"{direction} {off}"):
                    pod = self.pod()
                    for where, device in ((pod.netns, "eth0"), (self.node.host, pod.host_device),
                                          (self.node.host, "uplink"), (self.node.peer, "eth0")):
                        where.run(offload.command(device, **off))
                    self.addCleanup(self.node.host.run, offload.command("uplink", gro=False, tso=True, gso=True))
                    self.addCleanup(self.node.peer.run, offload.command("eth0", gro=False, tso=True, gso=True))
                    load = under_load(pod.client(), direction, 4, flows=4, rate=RATE)
                    self.assert_total(load.bulk)
                    self.assert_prompt(load.rr)

    def test_ecn(self) -> None:
        """Marks instead of losses for who asks for them, and for nobody else."""
        for asked in (True, False):
            for direction in DIRECTIONS:
                with self.subTest(f"{direction} {'with' if asked else 'without'}"):
                    pod = self.pod()
                    path = pod.object_path()
                    shaper = self.natrad.properties(path)[f"{direction.capitalize()}Shaper"]
                    pod.netns.sysctl("net.ipv4.tcp_ecn", 1 if asked else 0)
                    with pod.client().bulk(direction, 5, flows=4) as bulk:
                        self.assert_total(bulk.result())
                    counters = self.natrad.counters(path, direction)
                    if not asked:
                        self.assertEqual(counters["MarkedPackets"], 0)
                    elif shaper != "police":
                        self.assertGreater(counters["MarkedPackets"], 0)
                        self.assertLess(counters["DroppedBytes"], 0.01 * counters["PacedBytes"])


class PodToPod(TrafficKinds):
    def test_both_limits_hold_on_one_node(self) -> None:
        """From pod to pod through both their limits, which the lower one decides."""
        for egress, ingress in ((RATE, RATE), (RATE, RATE // 2), (RATE // 2, RATE)):
            with self.subTest(f"from {egress} to {ingress}"):
                sender, receiver = self.pod(egress=egress), self.pod(ingress=ingress)
                server = Server(self.node.build.traffic, receiver.netns,
                                self.node.folder / f"pod{receiver.number}.sock")
                self.addCleanup(server.stop)
                load = under_load(Client(sender.netns, server, address_of(receiver)), "egress", 4,
                                  flows=4, rate=min(egress, ingress))
                self.assert_total(load.bulk, min(egress, ingress))
                self.assert_prompt(load.rr)


def address_of(pod: Pod) -> str:
    result = pod.chain.result_of(pod.attachment)
    assert result is not None
    return next(str(each["address"]).partition("/")[0] for each in result["ips"] if ":" not in each["address"])
