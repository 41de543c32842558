# SPDX-License-Identifier: Apache-2.0
"""Every hook and every shaper that can be forced on this kernel."""
from __future__ import annotations

import unittest

from lab.traffic import DIRECTIONS, under_load
from support import RATE, NodeCase, carried


class Forced(NodeCase):
    """A base: the classes below say what is forced."""

    feature: str = ""
    part: str = ""  # "Hook" or "Shaper"

    @classmethod
    def setUpClass(cls) -> None:
        if cls is Forced:
            raise unittest.SkipTest("a base class")
        super().setUpClass()
        if cls.feature not in cls.natrad.bus.properties(
                "io.natra.Natrad1", "/io/natra/Natrad1", "io.natra.Natrad1.Manager")["Features"]:
            raise unittest.SkipTest(f"this kernel has no {cls.feature}")

    def test_limits_both_directions_and_is_reported(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.pod()
                facts = self.natrad.properties(pod.object_path())
                self.assertEqual(facts[f"{direction.capitalize()}{self.part}"].split()[0], self.feature)
                load = under_load(pod.client(), direction, 4, rate=RATE)
                self.assert_rate(carried(load.bulk), RATE, 0.70, 1.05)
                self.assertLess(load.rr["p50_us"], 5000)
                pod.chain.check(pod.attachment)

    def test_udp_and_many_flows(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.pod()
                with pod.client().udp(direction, 4, rate=3 * RATE) as udp:
                    wire = udp.result()["wire"]
                    self.assert_rate(8 * wire["later_bytes"] / wire["later_seconds"], RATE, 0.85, 1.05)
                with pod.client().bulk(direction, 4, flows=16) as bulk:
                    self.assert_rate(carried(bulk.result()), RATE, 0.70, 1.05)

    def test_del_restores_and_restart_adopts(self) -> None:
        pod, result = self.plain_pod()
        device = next(each["name"] for each in result["interfaces"] if not each.get("sandbox"))
        before = self.traces(pod, device)
        pod.chain.run_one("ADD", "natra", pod.attachment, result)
        path = pod.object_path()
        self.natrad.kill()
        self.natrad.start()
        self.assertIn(path, self.natrad.attachments())
        pod.chain.run_one("CHECK", "natra", pod.attachment, result)
        pod.chain.run_one("DEL", "natra", pod.attachment, result)
        self.assertEqual(self.traces(pod, device), before)


class Tcx(Forced):
    natrad_env = {"NATRA_ATTACH_MODE": "tcx"}
    feature, part = "tcx", "Hook"


class Clsact(Forced):
    natrad_env = {"NATRA_ATTACH_MODE": "clsact"}
    feature, part = "clsact", "Hook"


class Edt(Forced):
    natrad_env = {"NATRA_SHAPER": "edt"}
    feature, part = "edt", "Shaper"


class Htb(Forced):
    natrad_env = {"NATRA_SHAPER": "htb"}
    feature, part = "htb", "Shaper"


class Police(Forced):
    natrad_env = {"NATRA_SHAPER": "police"}
    feature, part = "police", "Shaper"


def load_tests(loader: unittest.TestLoader, _tests: unittest.TestSuite, _pattern: str | None) -> unittest.TestSuite:
    classes = (Tcx, Clsact, Edt, Htb, Police)
    return unittest.TestSuite(loader.loadTestsFromTestCase(each) for each in classes)
