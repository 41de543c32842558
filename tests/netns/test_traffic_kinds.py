# SPDX-License-Identifier: Apache-2.0
"""Whatever the traffic is, its total is the limit.

Totals are what the receiver's devices counted. They have the headers of a GSO
packet once, so that TCP at exactly the limit shows as 0.957 of it.
"""
from __future__ import annotations

import sys
import time
from typing import Any

from lab import offload
from lab.node import PEER_V4
from lab.pod import POD_V6, Limiter, Limits, Pod, conflist
from lab.traffic import DIRECTIONS, Client, Server, under_load
from support import RATE, NodeCase

# Of the pings beside a load, in an emulated machine too; behind a queue of bulk traffic it is tens of ms.
PROMPT_US = 8000
# Parsing does not know directions, and shapers do not know families: two of the four will do.
PLACES = ((4, "ingress"), (6, "egress"))


# Sends datagrams that are to leave at a time by that clock: SO_TXTIME.
TIMED = """
import socket, struct, sys, time
address, (clock, packets, ahead_ns) = sys.argv[1], map(int, sys.argv[2:])
SO_SNDBUFFORCE, SO_TXTIME = 32, 61
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 28)
sender.setsockopt(socket.SOL_SOCKET, SO_TXTIME, struct.pack("iI", clock, 0))
due = struct.pack("Q", time.clock_gettime_ns(clock) + ahead_ns)
for _ in range(packets):
    sender.sendmsg([bytes(18)], [(socket.SOL_SOCKET, SO_TXTIME, due)], 0, (address, 9))
"""


def send_timed(pod: Pod, clock: int, packets: int, ahead_ns: int) -> None:
    pod.netns.run([sys.executable, "-c", TIMED, PEER_V4, str(clock), str(packets), str(ahead_ns)], timeout=120)


def total(result: dict[str, Any]) -> float:
    """bit/s after the first second."""
    wire = result["wire"]
    return 8 * float(wire["later_bytes"]) / float(wire["later_seconds"])


class TrafficKinds(NodeCase):
    def assert_total(self, result: dict[str, Any], limit: int = RATE) -> None:
        self.assert_rate(total(result), limit, 0.80, 1.05)

    def assert_prompt(self, rr: dict[str, Any]) -> None:
        self.assertLess(rr["p50_us"], PROMPT_US)
        # One may be lost beside a flood, and its repetition still be on the way at the end.
        self.assertLessEqual(rr["unfinished"], 1)

    def assert_held_and_prompt(self, client: Client, direction: str, limit: int = RATE) -> None:
        load = under_load(client, direction, 3, flows=4, rate=limit)
        self.assert_total(load.bulk, limit)
        self.assert_prompt(load.rr)

    def test_pod_with_ipv6_alone(self) -> None:
        config = conflist(self.node, Limiter.NATRA)
        config["plugins"][0]["ipam"].update(ranges=[[{"subnet": POD_V6}]], routes=[{"dst": "::/0"}])
        pod = self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), config=config))
        for direction in DIRECTIONS:
            with self.subTest(direction):
                self.assert_held_and_prompt(pod.client(6), direction)
        pod.chain.check(pod.attachment)

    def test_both_families_share_one_limit(self) -> None:
        pod = self.pod()
        for direction in DIRECTIONS:
            with self.subTest(direction), pod.client(4).bulk(direction, 5) as four, \
                    pod.client(6).bulk(direction, 5) as six:
                results = four.result(), six.result()
                self.assert_total(results[0])
                for each in results:
                    self.assertGreater(each["goodput_bps"], 0.25 * RATE)

    def test_udp_sender_is_held_back_and_loses_nothing(self) -> None:
        """On the pod's own device packets wait in its socket's buffer, which then is full."""
        pod = self.pod()
        if self.natrad.properties(pod.object_path())["EgressShaper"] == "police":
            self.skipTest("a policer has no queue that could hold anyone back")
        with pod.client().udp("egress", 4, rate=3 * RATE, waits=True) as udp:
            result = udp.result()
        self.assert_total(result)
        self.assertGreater(result["received_packets"], 0.95 * result["sent_packets"])

    def test_times_of_another_clock_are_no_reason_to_drop(self) -> None:
        """fq takes them for times by its own, far beyond its horizon."""
        pod = self.pod()
        for name in ("CLOCK_TAI", "CLOCK_REALTIME", "CLOCK_MONOTONIC"):
            with self.subTest(name):
                before = self.sent_packets(pod)
                send_timed(pod, getattr(time, name), 100, ahead_ns=1_000_000)
                time.sleep(0.2)
                self.assertGreaterEqual(self.sent_packets(pod) - before, 100)

    def sent_packets(self, pod: Pod) -> int:
        link = pod.netns.json(["ip", "-json", "-stats", "link", "show", "dev", "eth0"])[0]
        return int(link["stats64"]["tx"]["packets"])

    def test_fq_holds_all_that_the_program_lets_wait(self) -> None:
        """More small packets than fq's own limits were made for, which all wait for a time of their own."""
        pod = self.pod(egress=1_000_000_000)
        if self.natrad.properties(pod.object_path())["EgressShaper"] != "edt":
            self.skipTest("no fq here")
        send_timed(pod, time.CLOCK_MONOTONIC, 15_000, ahead_ns=9_000_000_000)
        qdisc = next(each for each in pod.netns.json(["tc", "-s", "-j", "qdisc", "show", "dev", "eth0"])
                     if each["kind"] == "fq")
        self.assertEqual(qdisc["drops"], 0)
        self.assertGreaterEqual(qdisc["qlen"] + qdisc["packets"], 15_000)

    def test_nobody_starves_beside_udp(self) -> None:
        """A UDP flow that would take all, a TCP flow, and pings."""
        client = self.pod().client()
        for direction in DIRECTIONS:
            with self.subTest(direction), client.udp(direction, 5, rate=3 * RATE, waits=True) as udp, \
                    client.bulk(direction, 5) as bulk, client.rr(4, interval_us=5000) as rr:
                flow, tcp = udp.result(), bulk.result()
                self.assert_prompt(rr.result())
                self.assert_total(flow)
                self.assertGreater(flow["goodput_bps"], 0.15 * RATE)
                self.assertGreater(tcp["goodput_bps"], 0.1 * RATE)

    def test_new_flows_by_the_thousand(self) -> None:
        """Every packet a flow of its own, and a bulk flow beside them."""
        pod = self.pod()
        for family, direction in PLACES:
            client = pod.client(family)
            with self.subTest(f"IPv{family} {direction}"), client.bulk(direction, 4) as bulk, \
                    client.udp(direction, 4, rate=2 * RATE, payload=RATE // 40_000) as udp:
                flood = udp.result()
                bulk.result(may_fail=True)
                self.assertGreater(flood["sent_packets"] / flood["seconds"], 2000)
                self.assert_total(flood)

    def test_new_connections_by_the_dozen(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        for direction in DIRECTIONS:
            with self.subTest(direction):
                before = self.natrad.counters(path, direction)
                with pod.client().short(direction, 4, interval_us=0, parallel=20, size=4000) as short:
                    result = short.result(may_fail=True)
                after = self.natrad.counters(path, direction)
                passed = 8 * sum(after[name] - before[name] for name in ("FastBytes", "PacedBytes"))
                self.assertGreater(result["samples"] / 4, 25)
                # Four seconds, the credit of the first one, and what ended late.
                self.assertLess(passed, 1.15 * 4 * RATE)

    def test_fragments(self) -> None:
        """No fragment but the first has ports; below the limit every datagram arrives whole."""
        pod = self.pod()
        for family, direction in ((4, "egress"), (6, "ingress")):
            client = pod.client(family)
            with self.subTest(f"IPv{family} {direction}"):
                with client.udp(direction, 3, rate=RATE // 2, payload=8000, flows=1) as udp:
                    few = udp.result()
                self.assertGreater(few["received_packets"], 0.97 * few["sent_packets"])
                with client.udp(direction, 4, rate=2 * RATE, payload=4000, waits=True) as udp:
                    self.assert_total(udp.result())

    def test_jumbo_frames(self) -> None:
        for where, device in ((self.node.host, "uplink"), (self.node.peer, "eth0")):
            where.run(["ip", "link", "set", device, "mtu", "9000"])
            self.addCleanup(where.run, ["ip", "link", "set", device, "mtu", "1500"])
        config = conflist(self.node, Limiter.NATRA, main={"type": "ptp", "mtu": 9000})
        pod = self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), config=config))
        for direction in DIRECTIONS:
            with self.subTest(direction):
                self.assert_held_and_prompt(pod.client(), direction)
                with pod.client().udp(direction, 3, rate=2 * RATE, payload=8900) as udp:
                    self.assert_total(udp.result())

    def test_offloads(self) -> None:
        """Single segments instead of large packets, and large ones put together on the way."""
        pod = self.pod()
        places = ((pod.netns, "eth0"), (self.node.host, pod.host_device), (self.node.host, "uplink"),
                  (self.node.peer, "eth0"))
        for where, device in places[2:]:
            self.addCleanup(where.run, offload.command(device, gro=False, tso=True, gso=True))
        for off in ({"tso": False, "gso": False, "gro": False}, {"tso": True, "gso": True, "gro": True}):
            for where, device in places:
                where.run(offload.command(device, **off))
            for direction in DIRECTIONS:
                with self.subTest(f"{direction} {off}"):
                    self.assert_held_and_prompt(pod.client(), direction)

    def test_ecn(self) -> None:
        """Marks instead of losses for who asks for them, and for nobody else."""
        for asked in (True, False):
            pod = self.pod()
            path = pod.object_path()
            pod.netns.sysctl("net.ipv4.tcp_ecn", int(asked))
            for direction in DIRECTIONS:
                with self.subTest(f"{direction} {'with' if asked else 'without'}"):
                    with pod.client().bulk(direction, 4, flows=4) as bulk:
                        self.assert_total(bulk.result())
                    facts = self.natrad.properties(path)
                    counters = self.natrad.counters(path, direction)
                    if not asked:
                        self.assertEqual(counters["MarkedPackets"], 0)
                    elif facts[f"{direction.capitalize()}Shaper"] != "police":
                        self.assertGreater(counters["MarkedPackets"], 0)
                        # Without marks it is 12 to 22 %; one large packet of a slow start is 1.3 %.
                        self.assertLess(counters["DroppedBytes"], 0.05 * counters["PacedBytes"])

    def test_from_pod_to_pod_on_one_node(self) -> None:
        """Through both their limits, of which the lower one decides."""
        for egress, ingress in ((RATE, RATE), (RATE, RATE // 2), (RATE // 2, RATE)):
            with self.subTest(f"from {egress} to {ingress}"):
                sender, receiver = self.pod(egress=egress), self.pod(ingress=ingress)
                server = Server(self.node.build.traffic, receiver.netns,
                                self.node.folder / f"pod{receiver.number}.sock")
                self.addCleanup(server.stop)
                self.assert_held_and_prompt(Client(sender.netns, server, address_of(receiver)), "egress",
                                            min(egress, ingress))


def address_of(pod: Pod) -> str:
    """Its IPv4 address, as the chain's result has it."""
    result = pod.chain.result_of(pod.attachment)
    assert result is not None
    return next(str(each["address"]).partition("/")[0] for each in result["ips"] if ":" not in each["address"])
