# SPDX-License-Identifier: Apache-2.0
"""Others have classifiers on the pod's host-side device: theirs and ours keep working, and DEL leaves theirs."""
from __future__ import annotations

import time
import unittest
from pathlib import Path
from typing import Any

from lab.foreign import Program
from lab.pod import Pod
from support import RATE, TIME_FACTOR, NodeCase, eventually, files_below

U32 = ["u32", "match", "u32", "0", "0", "classid", "1:1"]


class ForeignCase(NodeCase):
    """Every foreign classifier accepts each packet, which ends the chain: whoever is behind it sees nothing."""

    foreign: Program

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        stats = Path("/proc/sys/kernel/bpf_stats_enabled")
        before = stats.read_text()
        stats.write_text("1")
        cls.addClassCleanup(stats.write_text, before)
        cls.pin = cls.natrad.pins.parent / f"{cls.node.label}-foreign"
        cls.foreign = cls.enterClassContext(Program(cls.node.host, Program.PASS, "pin", str(cls.pin)))

    def device_of(self, result: dict[str, Any]) -> str:
        return str(next(each["name"] for each in result["interfaces"] if not each.get("sandbox")))

    def classifiers(self) -> dict[str, list[str]]:
        bpf = ["bpf", "direct-action", "object-pinned", str(self.pin)]
        return {
            "same priority and kind": ["prio", "1", "protocol", "all", *bpf],
            "same priority, other protocol": ["prio", "1", "protocol", "ip", *bpf],
            "same priority, other kind": ["prio", "1", "protocol", "all", *U32],
            "lower priority": ["prio", "5", "protocol", "all", *bpf],
        }

    def add_filter(self, device: str, hook: str, name: str) -> None:
        self.node.host.run(["tc", "filter", "add", "dev", device, hook, *self.classifiers()[name]])

    def theirs(self, device: str, hook: str) -> list[str]:
        """What is not natra's among the filters, as far as it must not change."""
        shown = self.node.host.filters(device, hook)
        return sorted(f"{each['protocol']} {each['pref']} {each['kind']}" for each in shown
                      if "options" in each and each["options"].get("bpf_name") != "natra")

    def natra_on(self, device: str) -> list[str]:
        """Our filters on a device of the host, and our pins, which hold the links of tcx (older bpftools show none)."""
        shown = self.node.host.json(["bpftool", "-j", "net", "show"])[0]["tc"]
        filters = [each["name"] for each in shown if each["devname"] == device and each["name"] == "natra"]
        return filters + files_below(self.natrad.pins)

    def limited(self, pod: Pod, direction: str) -> None:
        self.assert_capped(pod, direction, seconds=3)

    def natra(self, verb: str, pod: Pod, result: dict[str, Any] | None) -> None:
        pod.chain.run_one(verb, "natra", pod.attachment, result)

    def has_tcx(self) -> bool:
        return "tcx" in self.natrad.status()["Features"]

    def sees_traffic(self, pod: Pod, direction: str) -> None:
        before = self.foreign.runs()
        self.goodput(pod, direction, seconds=2)
        self.assertGreater(self.foreign.runs(), before + 10, "the foreign program sees no packets")


class Classifiers(ForeignCase):
    direction, hook = "ingress", "egress"

    def there_before(self, name: str) -> None:
        pod, result = self.plain_pod()
        device = self.device_of(result)
        self.node.host.run(["tc", "qdisc", "add", "dev", device, "clsact"])
        self.add_filter(device, self.hook, name)
        theirs = self.theirs(device, self.hook)
        self.assertTrue(theirs)
        self.natra("ADD", pod, result)
        self.limited(pod, self.direction)
        if not name.endswith("other kind"):  # u32 cannot be asked
            self.sees_traffic(pod, self.direction)
        self.natra("CHECK", pod, result)
        self.assertEqual(self.natrad.properties(pod.object_path())["TamperEvents"], 0)
        self.natra("DEL", pod, result)
        self.assertEqual(self.natra_on(device), [])
        self.assertEqual(self.theirs(device, self.hook), theirs)

    def added_after(self, name: str) -> None:
        pod, result = self.plain_pod()
        device = self.device_of(result)
        self.natra("ADD", pod, result)
        path = pod.object_path()
        self.limited(pod, self.direction)
        if not any(qdisc["kind"] == "clsact" for qdisc in self.node.host.qdiscs(device)):
            self.node.host.run(["tc", "qdisc", "add", "dev", device, "clsact"])
        self.add_filter(device, self.hook, name)
        time.sleep(1)  # what natrad may take
        counted = self.seen(path)
        self.limited(pod, self.direction)
        self.assertGreater(self.seen(path), counted + RATE / 8, "natra's program sees no packets")
        self.sees_traffic(pod, self.direction)
        self.natra("CHECK", pod, result)
        self.natra("DEL", pod, result)
        self.assertEqual(self.natra_on(device), [])
        self.assertEqual(len(self.theirs(device, self.hook)), 1)
        self.sees_traffic(pod, self.direction)

    def seen(self, path: str) -> int:
        counters = self.natrad.counters(path, self.direction)
        return counters["PacedBytes"] + counters["FastBytes"]

    def test_there_before(self) -> None:
        for name in self.classifiers():
            with self.subTest(name):
                self.there_before(name)

    def test_added_after(self) -> None:
        for name in ("same priority and kind", "lower priority"):
            with self.subTest(name):
                self.added_after(name)

    def test_an_empty_clsact(self) -> None:
        pod, result = self.plain_pod()
        device = self.device_of(result)
        self.node.host.run(["tc", "qdisc", "add", "dev", device, "clsact"])
        self.natra("ADD", pod, result)
        self.limited(pod, self.direction)
        self.natra("DEL", pod, result)
        self.assertEqual(self.natra_on(device), [])

    def test_an_ingress_qdisc(self) -> None:
        pod, result = self.plain_pod()
        device = self.device_of(result)
        self.node.host.run(["tc", "qdisc", "add", "dev", device, "handle", "ffff:", "ingress"])
        self.add_filter(device, "ingress", "same priority and kind")
        theirs = self.theirs(device, "ingress")
        self.assertTrue(theirs)
        self.natra("ADD", pod, result)
        self.limited(pod, "ingress")
        self.limited(pod, "egress")
        self.sees_traffic(pod, "egress")
        self.natra("CHECK", pod, result)
        self.natra("DEL", pod, result)
        self.assertIn("ingress", [qdisc["kind"] for qdisc in self.node.host.qdiscs(device)])
        self.assertEqual(self.theirs(device, "ingress"), theirs)
        self.assertEqual(self.natra_on(device), [])


class PolicedEgress(Classifiers):
    """The other hook of the device: where egress is policed, and the backstop sits."""

    natrad_env = {"NATRA_SHAPER": "police"}
    direction, hook = "egress", "ingress"

    def test_there_before(self) -> None:
        for name in self.classifiers():
            if not self.has_tcx() and "other" in name:
                continue  # the next case
            with self.subTest(name):
                self.there_before(name)

    def test_what_cannot_be_overtaken_is_told(self) -> None:
        if self.has_tcx():
            self.skipTest("with tcx everything can be overtaken")
        pod, result = self.plain_pod()
        device = self.device_of(result)
        self.node.host.run(["tc", "qdisc", "add", "dev", device, "clsact"])
        self.add_filter(device, self.hook, "same priority, other kind")
        self.natra("ADD", pod, result)
        self.assertIn("behind", self.natrad.properties(pod.object_path())["EgressReason"])
        self.assertTrue(any(f"pod{pod.number} " in each for each in self.natrad.status()["Degraded"]))
        self.natra("DEL", pod, result)

    def test_an_ingress_qdisc(self) -> None:
        if not self.has_tcx():
            self.skipTest("police has no place on the egress hook then: there is none")
        super().test_an_ingress_qdisc()


class OnTcx(ForeignCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if "tcx" not in cls.natrad.status()["Features"]:
            raise unittest.SkipTest("this kernel has no tcx")

    def test_programs_there_before(self) -> None:
        for verdict in (Program.NEXT, Program.PASS):
            with self.subTest(f"verdict {verdict}"):
                pod, result = self.plain_pod()
                device = self.device_of(result)
                with Program(self.node.host, verdict, "tcx", device, "egress", "first") as foreign:
                    self.natra("ADD", pod, result)
                    self.limited(pod, "ingress")
                    self.assertGreater(foreign.runs(), 100)
                    self.assertTrue(self.natrad.properties(pod.object_path())["IngressHook"].startswith("tcx"))
                    self.natra("DEL", pod, result)
                    self.assertEqual(self.natra_on(device), [])
                    before = foreign.runs()
                    self.goodput(pod, "ingress", seconds=2)
                    self.assertGreater(foreign.runs(), before)

    def test_a_program_that_comes_later(self) -> None:
        for place in ("first", "last"):
            with self.subTest(place):
                pod, result = self.plain_pod()
                device = self.device_of(result)
                self.natra("ADD", pod, result)
                path = pod.object_path()
                with Program(self.node.host, Program.PASS, "tcx", device, "egress", place) as foreign:
                    # Nobody announces it, and ours is behind it now. Any news of the device makes natrad look.
                    self.node.host.run(["tc", "qdisc", "add", "dev", device, "clsact"], check=False)
                    self.add_filter(device, "egress", "lower priority")
                    self.assertTrue(eventually(
                        lambda: self.natrad.properties(path)["IngressHook"].startswith("tcx"), 3))
                    self.limited(pod, "ingress")
                    self.assertGreater(self.natrad.counters(path, "ingress")["PacedBytes"], RATE / 8)
                    self.assertGreater(foreign.runs(), 100)
                    self.natra("CHECK", pod, result)
                    self.natra("DEL", pod, result)
                    self.assertEqual(self.natra_on(device), [])


class OnTcxAheadOfPinnedClsact(OnTcx):
    """attachMode "clsact": others' tcx programs stay ahead, which is told once and not repaired for ever."""

    natrad_env = {"NATRA_ATTACH_MODE": "clsact"}

    def settled(self, pod: Pod, device: str, repairs: int) -> None:
        """HTB holds the rate, and looking again finds nothing to do."""
        path = pod.object_path()
        self.limited(pod, "ingress")
        for priority in range(20, 23):  # each is news of the device
            self.node.host.run(["tc", "filter", "add", "dev", device, "egress", "prio", str(priority),
                                "protocol", "all", *U32])
            time.sleep(1)
        facts = self.natrad.properties(path)
        self.assertLessEqual(facts["TamperEvents"], repairs)
        self.assertTrue(facts["IngressHook"].startswith("clsact"), facts["IngressHook"])
        self.assertEqual(facts["IngressShaper"], "htb")
        told = [each for each in self.natrad.status()["Degraded"] if f"pod{pod.number} " in each]
        self.assertTrue(any("foreign classifier" in each for each in told), told)

    def test_programs_there_before(self) -> None:
        pod, result = self.plain_pod()
        device = self.device_of(result)
        with Program(self.node.host, Program.PASS, "tcx", device, "egress", "first") as foreign:
            self.natra("ADD", pod, result)
            self.settled(pod, device, 0)
            self.assertIn("behind", self.natrad.properties(pod.object_path())["IngressReason"])
            self.assertGreater(foreign.runs(), 100)
            self.natra("CHECK", pod, result)
            self.natra("DEL", pod, result)

    def test_a_program_that_comes_later(self) -> None:
        pod, result = self.plain_pod()
        device = self.device_of(result)
        self.natra("ADD", pod, result)
        with Program(self.node.host, Program.PASS, "tcx", device, "egress", "first") as foreign:
            self.add_filter(device, "egress", "lower priority")  # news of the device
            path = pod.object_path()
            self.assertTrue(eventually(lambda: self.natrad.properties(path)["TamperEvents"] > 0, 10))
            self.settled(pod, device, 1)
            self.assertGreater(foreign.runs(), 100)
            self.natra("CHECK", pod, result)
            self.natra("DEL", pod, result)


class AnAgentThatFightsBack(ForeignCase):
    def test_repairs_become_rare_and_loud_once(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        device = pod.host_device
        # Whenever ours is back, it is deleted.
        seconds = 4 if TIME_FACTOR == 1 else 15
        loop = (f"end=$(( $(date +%s) + {seconds} ));"
                f'while [ "$(date +%s)" -lt "$end" ]; do tc qdisc del dev {device} clsact; sleep 0.02; done 2>/dev/null;'
                "true")
        self.node.host.run(["sh", "-c", loop])
        facts = self.natrad.properties(path)
        self.assertGreaterEqual(facts["TamperEvents"], 5)
        self.assertLess(facts["TamperEvents"], 12, "a repair every ten seconds is enough then")
        said = [line for line in self.natrad.log.read_text().splitlines() if "again and again" in line]
        self.assertEqual(len(said), 1, said)
        degraded = self.natrad.status()["Degraded"]
        self.assertTrue(any("again and again" in each for each in degraded), degraded)
        # Peace: it is put back.
        self.assertTrue(eventually(lambda: any(each["kind"] == "clsact" for each in self.node.host.qdiscs(device)), 15))
        self.limited(pod, "ingress")


def load_tests(loader: unittest.TestLoader, _tests: unittest.TestSuite, _pattern: str | None) -> unittest.TestSuite:
    classes = (Classifiers, PolicedEgress, OnTcx, OnTcxAheadOfPinnedClsact, AnAgentThatFightsBack)
    return unittest.TestSuite(loader.loadTestsFromTestCase(each) for each in classes)
