# SPDX-License-Identifier: Apache-2.0
"""Hook and shaper change under traffic; who may pin them, and who wins."""
from __future__ import annotations

import itertools
import os
import subprocess
import time
import unittest
from collections.abc import Iterable
from typing import Any

from lab.bus import BusError
from lab.foreign import Program
from lab.natrad import ATTACHMENT
from lab.pod import Limiter, Limits, Pod, conflist
from lab.traffic import DIRECTIONS
from support import RATE, NodeCase, mean_rate
from test_reload import Configured

# An emulated machine takes seconds for a call, and does not always reach the rate.
SLOW = float(os.environ.get("NATRA_TIME_FACTOR", "1")) > 1
STRETCH = 4 if SLOW else 1
BEFORE, BETWEEN = 2.0 * STRETCH, 2.0 * STRETCH  # seconds of traffic


def tour(places: Iterable[str]) -> list[str]:
    """A walk over all ordered pairs of places: each of them once, and back to the first."""
    left = set(itertools.permutations(places, 2))
    walk = [min(place for place, _ in left)]

    def extend() -> bool:
        if not left:
            return True
        for step in sorted(left):
            if step[0] == walk[-1]:
                left.remove(step)
                walk.append(step[1])
                if extend():
                    return True
                walk.pop()
                left.add(step)
        return False

    assert extend()
    return walk


class SwitchCase(NodeCase):
    def features(self) -> list[str]:
        return self.natrad.status()["Features"]

    def data_path(self, pod: Pod, **pins: str) -> None:
        words: list[object] = [len(pins)]
        for name, value in pins.items():
            words += [name, "s", value]
        self.natrad.call(pod.object_path(), ATTACHMENT, "SetDataPath", "a{sv}", *words)

    def shown(self, pod: Pod) -> str:
        """What tc shows of the pod's devices."""
        out = ""
        for where, name in ((self.node.host, pod.host_device), (pod.netns, "eth0")):
            for words in (["qdisc"], ["class"], ["filter", "ingress"], ["filter", "egress"]):
                argv = ["tc", words[0], "show", "dev", name, *words[1:]]
                out += where.run(argv, check=False).stdout
        return out

    def assert_whole(self, pod: Pod, shaper: str) -> None:
        """CHECK passes, and nothing of another shaper is left."""
        pod.chain.check(pod.attachment)
        shown = self.shown(pod)
        self.assertEqual("class htb" in shown, shaper == "htb", shown)
        self.assertEqual("qdisc fq " in shown, shaper == "edt", shown)
        pins = sorted(each.name for each in (self.natrad.pins / pod.object_path().rpartition("/")[2]).iterdir())
        self.assertEqual([name for name in pins if name.endswith(("_switch", "_next"))], [])

    def walk(self, pod: Pod, direction: str, steps: list[dict[str, str]]) -> None:
        """Visits the steps under bulk traffic."""
        path = pod.object_path()
        seconds = round(BEFORE + BETWEEN * len(steps) + 1)
        samples = [self.natrad.counters(path, direction)]
        switches: list[tuple[float, float]] = []
        with pod.client().bulk(direction, seconds, flows=4) as bulk:
            start = time.monotonic()
            for number, step in enumerate(steps):
                time.sleep(max(0.0, start + BEFORE + number * BETWEEN - time.monotonic()))
                samples.append(self.natrad.counters(path, direction))
                begin = time.monotonic() - start
                self.data_path(pod, **step)
                switches.append((begin, time.monotonic() - start))
                samples.append(self.natrad.counters(path, direction))
            timeline = bulk.result()["timeline_bytes"]  # raises if a connection broke
        for older, newer in itertools.pairwise(samples):
            self.assertEqual({name for name in older if newer[name] < older[name]}, set())
        shown = " ".join(f"{8 * each / 1e5 / (RATE / 1e6):.2f}" for each in timeline)
        # A policer's bucket holds 200 ms of the rate.
        policed = any("police" in each.values() for each in steps)
        usual = min(1.0, mean_rate(timeline, 1, seconds) / RATE) if SLOW else 1.0
        # Where a call took longer than the traffic was meant to go on, the last steps have none.
        judged = [each for each in zip(steps, switches, strict=True) if each[1][0] + BETWEEN <= seconds]
        self.assertTrue(len(judged) == len(steps) or (SLOW and judged), switches)
        for step, (begin, end) in judged:
            with self.subTest(f"{direction} to {step}, {begin:.2f} to {end:.2f} s; per 100 ms: {shown}"):
                self.assert_rate(mean_rate(timeline, begin - 0.5 * STRETCH, begin + 1.5 * STRETCH), RATE,
                                 0.70 * usual, 1.10)
                # Nobody uncapped, nothing stalled.
                width = 0.5 * STRETCH
                for tenth in range(round(begin * 10) - 3, round((begin + BETWEEN - width) * 10) - 3):
                    self.assert_rate(mean_rate(timeline, tenth / 10, tenth / 10 + width), RATE,
                                     0.20 * usual, 1.45 if policed else 1.25)


class Shapers(SwitchCase):
    def test_every_ordered_pair_under_traffic_to_the_pod(self) -> None:
        self.every_ordered_pair("ingress")

    def test_every_ordered_pair_under_traffic_from_the_pod(self) -> None:
        self.every_ordered_pair("egress")

    def every_ordered_pair(self, direction: str) -> None:
        walk = tour([name for name in ("edt", "htb", "police") if name in self.features()])
        pod = self.pod()
        self.data_path(pod, Shaper=walk[0])
        self.walk(pod, direction, [{"Shaper": name} for name in walk[1:]])
        facts = self.natrad.properties(pod.object_path())
        self.assertEqual((facts["IngressShaper"], facts["EgressShaper"]), (walk[-1], walk[-1]))
        self.assertIn("by an operator", facts["EgressReason"])
        self.assert_whole(pod, walk[-1])

    def test_what_waits_is_not_lost(self) -> None:
        """But for 10 ms of the rate or one segment of 64 kB. To the pod, where all shapers have the same place."""
        shapers = [name for name in ("edt", "htb", "police") if name in self.features()]
        for old, new in itertools.permutations(shapers, 2):
            with self.subTest(f"{old} to {new}"):
                pod = self.pod()
                path = pod.object_path()
                self.data_path(pod, Shaper=old)

                def lost(pod: Pod = pod, path: str = path) -> int:
                    """Bytes that the program let pass and that have not arrived, or not yet."""
                    counters = self.natrad.counters(path, "ingress")
                    link = pod.netns.json(["ip", "-s", "-json", "link", "show", "dev", "eth0"])[0]
                    return counters["FastBytes"] + counters["PacedBytes"] - int(link["stats64"]["rx"]["bytes"])
                before = lost()
                with pod.client().udp("ingress", 3, rate=2 * RATE, flows=1) as flood:
                    time.sleep(1)
                    self.data_path(pod, Shaper=new)
                    flood.result(may_fail=True)
                time.sleep(1)
                self.assertLess(lost() - before, max(RATE // 800, 65536) * 1.1)

    def test_each_is_whole_and_adopted(self) -> None:
        for name in [name for name in ("edt", "htb", "police") if name in self.features()]:
            with self.subTest(name):
                pod = self.pod()
                for other in ("htb", "police", name):
                    self.data_path(pod, Shaper=other)
                    self.assert_whole(pod, other)
                self.natrad.kill()
                self.natrad.start()
                facts = self.natrad.properties(pod.object_path())
                self.assertEqual((facts["IngressShaper"], facts["EgressShaper"]), (name, name))
                self.assertEqual(facts["DataPath"], {"Shaper": name, "ShaperBy": "an operator"})
                self.assert_whole(pod, name)
                self.assert_rate(self.goodput(pod, "egress", seconds=3), RATE, 0.75, 1.05)

    def test_del_after_switches_restores(self) -> None:
        pod, result = self.plain_pod()
        device = next(each["name"] for each in result["interfaces"] if not each.get("sandbox"))
        before = self.traces(pod, device)
        pod.chain.run_one("ADD", "natra", pod.attachment, result)
        for name in ("police", "htb", "police"):
            self.data_path(pod, Shaper=name)
        pod.chain.run_one("DEL", "natra", pod.attachment, result)
        self.assertEqual(self.traces(pod, device), before)

    def test_natrad_dies_in_the_middle(self) -> None:
        for target, delay in itertools.product(("htb", "police"), (0.0, 0.01, 0.03, 0.1)):
            with self.subTest(f"to {target}, killed after {delay} s"):
                pod = self.pod()
                path = pod.object_path()
                self.data_path(pod, Shaper="police" if target == "htb" else "htb")
                argv = ["busctl", f"--address={self.node.bus.address}", "call", "io.natra.Natrad1", path, ATTACHMENT,
                        "SetDataPath", "a{sv}", "1", "Shaper", "s", target]
                with pod.client().bulk("egress", 3, flows=4), subprocess.Popen(
                        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as call:
                    time.sleep(delay)
                    self.natrad.kill()
                    call.wait(10)
                    self.natrad.start()
                facts = self.natrad.properties(path)
                self.assert_whole(pod, facts["EgressShaper"])
                # Charged twice, it would be half.
                self.assert_rate(self.goodput(pod, "egress", seconds=3), RATE, 0.75, 1.05)


class Hooks(SwitchCase):
    def setUp(self) -> None:
        if "tcx" not in self.features():
            self.skipTest("this kernel has no tcx")

    def test_both_ways_under_traffic(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.pod()
                self.data_path(pod, AttachMode="clsact")
                self.walk(pod, direction, [{"AttachMode": "tcx"}, {"AttachMode": "clsact"}])
                hook = self.natrad.properties(pod.object_path())[f"{direction.capitalize()}Hook"]
                self.assertEqual(hook.split()[0], "clsact")
                self.assert_whole(pod, "htb" if "edt" not in self.features() else "edt")

    def test_hook_and_shaper_at_once(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                pod = self.pod()
                self.data_path(pod, AttachMode="tcx", Shaper="htb")
                self.walk(pod, direction, [{"AttachMode": "tcx", "Shaper": "police"},
                                           {"AttachMode": "clsact", "Shaper": "htb"},
                                           {"AttachMode": "tcx", "Shaper": "police"},
                                           {"AttachMode": "tcx", "Shaper": "htb"}])
                self.assert_whole(pod, "htb")

    def test_reset_finds_the_best_again(self) -> None:
        pod = self.pod()
        before = self.natrad.properties(pod.object_path())
        self.data_path(pod, AttachMode="tcx", Shaper="police")
        self.natrad.call(pod.object_path(), ATTACHMENT, "ResetDataPath")
        after = self.natrad.properties(pod.object_path())
        for name in ("IngressHook", "IngressShaper", "IngressReason", "EgressHook", "EgressShaper", "EgressReason",
                     "DataPath"):
            self.assertEqual(after[name], before[name])


class Pins(SwitchCase):
    def pinned(self, **static: str) -> Pod:
        return self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE),
                                     config=conflist(self.node, Limiter.NATRA, static=static)))

    def facts(self, pod: Pod) -> dict[str, Any]:
        return self.natrad.properties(pod.object_path())

    def test_of_the_network_configuration(self) -> None:
        pod = self.pinned(shaper="police", attachMode="clsact")
        facts = self.facts(pod)
        self.assertEqual((facts["IngressShaper"], facts["EgressShaper"]), ("police", "police"))
        self.assertEqual(facts["EgressReason"], "police by the pod's configuration; "
                                                "clsact by the pod's configuration")
        pod.chain.check(pod.attachment)

    def test_the_operator_wins_until_reset_and_a_restart_keeps_both(self) -> None:
        pod = self.pinned(shaper="police")
        self.data_path(pod, EdtPacing="off", Shaper="htb")
        self.natrad.restart()
        facts = self.facts(pod)
        self.assertEqual((facts["EgressShaper"], facts["DataPath"]["ShaperBy"]), ("htb", "an operator"))
        self.natrad.reset_limits(pod.object_path())
        self.assertEqual(self.facts(pod)["EgressShaper"], "htb")
        self.natrad.call(pod.object_path(), ATTACHMENT, "ResetDataPath")
        facts = self.facts(pod)
        self.assertEqual((facts["EgressShaper"], facts["DataPath"]["ShaperBy"]),
                         ("police", "the pod's configuration"))
        pod.chain.check(pod.attachment)

    def test_what_the_kernel_lacks_is_no_obstacle_for_a_pod(self) -> None:
        if "edt" in self.features() and "tcx" in self.features():
            self.skipTest("this kernel has everything")
        key = "edtPacing" if "edt" not in self.features() else "attachMode"
        pod = self.pinned(**{key: "on" if key == "edtPacing" else "tcx"})
        facts = self.facts(pod)
        self.assertIn("edt" if key == "edtPacing" else "tcx", facts["EgressReason"])
        self.assertIn("instead of", self.natrad.log_tail())
        self.assert_rate(self.goodput(pod, "egress", seconds=3), RATE, 0.75, 1.05)
        pod.chain.check(pod.attachment)

    def test_an_operator_is_told_what_cannot_be(self) -> None:
        pod = self.pod()
        before = self.facts(pod)
        cases = [("io.natra.Error.InvalidArgument", {"Shaper": "fq"}, "Shaper"),
                 ("io.natra.Error.InvalidArgument", {"Shapper": "htb"}, "Shapper"),
                 ("io.natra.Error.InvalidArgument", {"EdtPacing": "on", "Shaper": "htb"}, "contradicts")]
        if "edt" not in self.features():
            cases += [("io.natra.Error.Unsupported", {"Shaper": "edt"}, 'Shaper: "edt": kernel '),
                      ("io.natra.Error.Unsupported", {"EdtPacing": "on", "AttachMode": "clsact"}, "sch_fq")]
        if "tcx" not in self.features():
            cases += [("io.natra.Error.Unsupported", {"AttachMode": "tcx", "Shaper": "police"}, "tcx")]
        for error, pins, word in cases:
            with self.subTest(str(pins)):
                with self.assertRaises(BusError) as caught:
                    self.data_path(pod, **pins)
                self.assertEqual(caught.exception.name, error, caught.exception)
                self.assertIn(word, str(caught.exception))
                after = self.facts(pod)
                for name in ("IngressHook", "IngressShaper", "EgressHook", "EgressShaper", "DataPath"):
                    self.assertEqual(after[name], before[name])
        pod.chain.check(pod.attachment)


class NodeWide(Configured):
    """The node's configuration changes hook and shaper of what is attached."""

    def test_reload_switches_and_back(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        before = self.natrad.properties(path)
        self.assert_rate(self.goodput(pod, "egress", seconds=2), RATE, 0.7, 1.1)
        counters = self.natrad.counters(path, "egress")
        self.configure(shaper="police", attachMode="clsact")
        facts = self.natrad.properties(path)
        self.assertEqual((facts["IngressShaper"], facts["EgressShaper"]), ("police", "police"))
        self.assertEqual(facts["EgressReason"], "police by configuration; clsact by configuration")
        self.assertGreaterEqual(self.natrad.counters(path, "egress")["PacedBytes"], counters["PacedBytes"])
        pod.chain.check(pod.attachment)
        self.configure()
        after = self.natrad.properties(path)
        for name in ("IngressHook", "IngressShaper", "IngressReason", "EgressHook", "EgressShaper", "EgressReason"):
            self.assertEqual(after[name], before[name])
        pod.chain.check(pod.attachment)

    def test_new_limits_beside_a_switch_that_fails(self) -> None:
        if "tcx" not in self.natrad.status()["Features"]:
            self.skipTest("no other hook to go to")
        self.configure(attachMode="clsact")
        pod = self.pod(ingress_burst=RATE, egress_burst=RATE)
        path = pod.object_path()
        before = self.natrad.properties(path)
        # Without a place for its mark no switch begins.
        pins = self.natrad.pins / path.rpartition("/")[2]
        for each in pins.iterdir():
            each.unlink()
        pins.rmdir()
        with Program(self.node.host, Program.NEXT, "tcx", pod.host_device, "egress", "first"):
            self.assertIn("new configuration: ", self.configure(limits={"maxBurst": "10ms"}))
        facts = self.natrad.properties(path)
        for name in ("IngressHook", "EgressHook", "IngressShaper", "EgressShaper"):
            self.assertEqual(facts[name], before[name])
        self.assertEqual((facts["IngressBurst"], facts["EgressBurst"]), (RATE // 100, RATE // 100))
        self.assert_rate(self.goodput(pod, "egress", seconds=3), RATE, 0.5, 1.1)

    def test_a_restart_with_another_configuration_switches(self) -> None:
        pod = self.pod()
        self.file.write_text('{"shaper": "police"}')
        self.natrad.restart()
        deadline = time.monotonic() + 10
        while self.natrad.properties(pod.object_path())["EgressShaper"] != "police":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        pod.chain.check(pod.attachment)


def load_tests(loader: unittest.TestLoader, _tests: unittest.TestSuite, _pattern: str | None) -> unittest.TestSuite:
    classes = (Shapers, Hooks, Pins, NodeWide)  # not what is imported
    return unittest.TestSuite(loader.loadTestsFromTestCase(each) for each in classes)
