# SPDX-License-Identifier: Apache-2.0
"""Limits change under traffic through D-Bus, and what is wrong is refused by name."""
from __future__ import annotations

import time

from lab.bus import BusError
from lab.natrad import ATTACHMENT, MANAGER, ROOT
from lab.traffic import DIRECTIONS
from support import RATE, NodeCase, mean_rate

LIMITS = ("IngressRate", "IngressBurst", "EgressRate", "EgressBurst")


class LiveChange(NodeCase):
    def test_set_limits_takes_effect_under_traffic(self) -> None:
        for direction in DIRECTIONS:
            for after in (3 * RATE, RATE // 2):
                with self.subTest(f"{direction}, {RATE} to {after} bit/s"):
                    pod = self.pod()
                    path = pod.object_path()
                    name = f"{direction.capitalize()}Rate"
                    with pod.client().bulk(direction, 7) as bulk:
                        time.sleep(3)
                        self.natrad.set_limits(path, **{name: after})
                        timeline = bulk.result()["timeline_bytes"]
                    self.assert_rate(mean_rate(timeline, 1, 3), RATE, high=1.06)
                    self.assert_rate(mean_rate(timeline, 4.5, 7), after, high=1.05)
                    facts = self.natrad.properties(path)
                    self.assertEqual(facts[name], after)
                    self.assertEqual(facts[f"{direction.capitalize()}Source"], "operator_override")

    def test_zero_lifts_and_reset_restores(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.pod()
                path = pod.object_path()
                word = direction.capitalize()
                self.natrad.set_limits(path, **{f"{word}Rate": 0})
                self.assertGreater(self.goodput(pod, direction, seconds=2), 5 * RATE)
                self.assertEqual(self.natrad.properties(path)[f"{word}Shaper"], "")
                self.natrad.reset_limits(path)
                self.assert_rate(self.goodput(pod, direction), RATE)
                facts = self.natrad.properties(path)
                self.assertEqual((facts[f"{word}Rate"], facts[f"{word}Source"]), (RATE, "runtime"))

    def test_limit_for_a_direction_that_had_none(self) -> None:
        pod = self.pod(ingress=RATE, egress=0)
        path = pod.object_path()
        self.natrad.set_limits(path, EgressRate=RATE)
        self.assert_rate(self.goodput(pod, "egress"), RATE)
        pod.chain.check(pod.attachment)

    def test_check_passes_with_an_override_in_force(self) -> None:
        pod = self.pod()
        self.natrad.set_limits(pod.object_path(), IngressRate=RATE // 2, EgressRate=2 * RATE)
        pod.chain.check(pod.attachment)

    def test_override_survives_a_restart(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        self.natrad.set_limits(path, IngressRate=RATE // 2)
        self.natrad.restart()
        self.assertEqual(self.natrad.properties(path)["IngressRate"], RATE // 2)
        self.assert_rate(self.goodput(pod, "ingress"), RATE // 2)


class BadRequests(NodeCase):
    def refused(self, error: str, word: str, path: str, interface: str, method: str, *words: object) -> None:
        """The call gets that error, and the message has the word."""
        with self.assertRaises(BusError) as caught:
            self.natrad.call(path, interface, method, *words)
        self.assertEqual(caught.exception.name, error, caught.exception)
        self.assertIn(word, str(caught.exception))

    def test_set_limits_names_the_bad_field_and_changes_nothing(self) -> None:
        path = self.pod().object_path()
        before = {name: self.natrad.properties(path)[name] for name in LIMITS}
        invalid = "io.natra.Error.InvalidArgument"
        for word, *words in (
                ('IngressRate: "fast" is of type s, expected t', "a{sv}", 1, "IngressRate", "s", "fast"),
                ("IngressRate: -1 is of type x, expected t", "a{sv}", 1, "IngressRate", "x", -1),
                ("IngressRate: 5 is of type u, expected t", "a{sv}", 1, "IngressRate", "u", 5),
                ("EgressBurst: 1.5 is of type d, expected t", "a{sv}", 1, "EgressBurst", "d", 1.5),
                ("EgressBurst: 123456789 is of type d, expected t", "a{sv}", 1, "EgressBurst", "d", 123456789.0),
                ("EgressBurst: 1e+300 is of type d, expected t", "a{sv}", 1, "EgressBurst", "d", 1e300),
                ("IngressRate: 5 is of type q, expected t", "a{sv}", 1, "IngressRate", "q", 5),
                ("IngressRate: -5 is of type n, expected t", "a{sv}", 1, "IngressRate", "n", -5),
                ("IngressRate: 65 is of type y, expected t", "a{sv}", 1, "IngressRate", "y", 65),
                ("IngressRate: true is of type b, expected t", "a{sv}", 1, "IngressRate", "b", "true"),
                ('IngressRate: "/a" is of type o, expected t', "a{sv}", 1, "IngressRate", "o", "/a"),
                (f'IngressRate: "{"x" * 79}..." is of type s', "a{sv}", 1, "IngressRate", "s", "x" * 79 + "\u00e4" * 99),
                ("EgressBurst: is of type as, expected t", "a{sv}", 1, "EgressBurst", "as", 1, "x"),
                ("EgressRate: 50 is taken as 50 bit/s; did you mean 50M?", "a{sv}", 1, "EgressRate", "t", 50),
                ("IngresRate", "a{sv}", 1, "IngresRate", "t", 5_000_000),
                ("limits", "a{sv}", 0),
                # One good and one bad: nothing is half-applied.
                ("EgressRate", "a{sv}", 2, "IngressRate", "t", 5_000_000, "EgressRate", "s", "x"),
                ("EgressRate", "a{sv}", 2, "IngressRate", "t", 5_000_000, "EgressRate", "t", 2**64 - 1)):
            with self.subTest(str(words)):
                self.refused(invalid, word, path, ATTACHMENT, "SetLimits", *words)
                self.assertEqual({name: self.natrad.properties(path)[name] for name in LIMITS}, before)

    def test_heavy_flows_wants_a_direction(self) -> None:
        path = self.pod().object_path()
        self.refused("io.natra.Error.InvalidArgument", "sideways", path, ATTACHMENT,
                     "HeavyFlows", "su", "sideways", 1)

    def test_unknown_objects_methods_and_signatures(self) -> None:
        self.refused("org.freedesktop.DBus.Error.UnknownObject", "", f"{ROOT}/attachment/none",
                     ATTACHMENT, "ResetLimits")
        self.refused("org.freedesktop.DBus.Error.UnknownMethod", "", ROOT, MANAGER, "Frobnicate")
        self.refused("org.freedesktop.DBus.Error.InvalidArgs", "", ROOT, MANAGER, "Detach", "u", 7)

    def test_detach_of_the_unknown_is_success(self) -> None:
        self.natrad.call(ROOT, MANAGER, "Detach", "sss", "no-such-container", "eth0", "")
