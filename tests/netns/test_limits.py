# SPDX-License-Identifier: Apache-2.0
"""Limits hold for real traffic, and small flows do not pay for it."""
from __future__ import annotations

from lab.cni import CONTAINERD_BURST
from lab.pod import Limiter
from lab.traffic import DIRECTIONS, under_load
from support import RATE, NodeCase, carried

FAMILIES = (4, 6)


class Limits(NodeCase):
    def test_tcp_is_held_at_the_limit(self) -> None:
        for family in FAMILIES:
            for direction in DIRECTIONS:
                with self.subTest(f"IPv{family} {direction}"):
                    pod = self.pod()
                    self.assert_rate(self.goodput(pod, direction, family=family), RATE)

    def test_many_flows_share_the_limit(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction), self.pod().client().bulk(
                    direction, 5, flows=16, congestion_controls=("cubic", "bbr")) as bulk:
                result = bulk.result()
                self.assert_rate(carried(result), RATE)
                self.assertGreater(result["jain"], 0.7)

    def test_udp_is_held_at_the_limit(self) -> None:
        for family in FAMILIES:
            for direction in DIRECTIONS:
                for flows, name in ((1, "one flow"), (0, "new 5-tuples")):
                    with self.subTest(f"IPv{family} {direction} {name}"), \
                            self.pod().client(family).udp(direction, 4, rate=3 * RATE, flows=flows) as udp:
                        wire = udp.result()["wire"]
                        self.assert_rate(8 * wire["later_bytes"] / wire["later_seconds"], RATE, 0.9, 1.03)

    def test_first_second_is_no_burst_of_the_runtimes_making(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction), self.pod(
                    ingress_burst=CONTAINERD_BURST, egress_burst=CONTAINERD_BURST,
            ).client().bulk(direction, 2) as bulk:
                # With the burst honoured this would be the veth's speed: gigabytes.
                self.assertLess(8 * bulk.result()["first_second_bytes"], 1.3 * RATE)

    def test_one_direction_alone(self) -> None:
        pod = self.pod(ingress=RATE, egress=0)
        self.assert_rate(self.goodput(pod, "ingress", seconds=3), RATE)
        self.assertGreater(self.goodput(pod, "egress", seconds=3), 5 * RATE)

    def test_pod_without_limits_is_not_limited_and_unknown_to_natrad(self) -> None:
        pod = self.pod(ingress=0, egress=0)
        self.assertGreater(self.goodput(pod, "ingress", seconds=2), 5 * RATE)
        self.assertIsNone(self.natrad.find(pod.container_id))

    def test_two_pods_have_each_their_own(self) -> None:
        first, second = self.pod(RATE, RATE), self.pod(RATE // 2, RATE // 2)
        for direction in DIRECTIONS:
            with self.subTest(direction), first.client().bulk(direction, 5) as one, \
                    second.client().bulk(direction, 5) as other:
                self.assert_rate(carried(one.result()), RATE)
                self.assert_rate(carried(other.result()), RATE // 2)

    def test_thin_flows_are_much_faster_than_behind_the_stock_plugin(self) -> None:
        modest = {"ingress_burst": 512_000, "egress_burst": 512_000}
        for direction in DIRECTIONS:
            with self.subTest(direction):
                stock = under_load(self.pod(limiter=Limiter.STOCK, **modest).client(), direction, 3, rate=RATE)
                natra = under_load(self.pod(**modest).client(), direction, 3, rate=RATE)
                self.assertLess(natra.rr["p50_us"], stock.rr["p50_us"] / 5)
                self.assertLess(natra.rr["p90_us"], stock.rr["p90_us"] / 2)
                self.assertLess(natra.short["p50_us"], stock.short["p50_us"] / 2)
                self.assert_rate(carried(natra.bulk), RATE, low=0.75)

    def test_counters_and_heavy_flows_tell_of_the_traffic(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.pod()
                path = pod.object_path()
                with pod.client().bulk(direction, 3, flows=2) as bulk:
                    result = bulk.result()
                    flows = self.natrad.heavy_flows(path, direction)
                counters = self.natrad.counters(path, direction)
                passed = counters["FastBytes"] + counters["PacedBytes"]
                self.assertGreaterEqual(passed, result["bytes"])
                self.assertLess(passed, 1.3 * result["bytes"])
                self.assertGreater(counters["PacedBytes"], 0.5 * result["bytes"])
                self.assertEqual(len(flows), 2, flows)
                for flow in flows:
                    self.assertEqual(flow["Protocol"], "tcp")
                    port = flow["SourcePort" if direction == "ingress" else "DestinationPort"]
                    self.assertEqual(port, 5201)
                    self.assertAlmostEqual(flow["Share"], flow["RateBps"] / RATE)
                self.assertEqual(len(self.natrad.heavy_flows(path, direction, top=1)), 1)
