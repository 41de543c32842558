# SPDX-License-Identifier: Apache-2.0
"""natrad is killed, stopped and started under traffic: enforcement goes on."""
from __future__ import annotations

import time
from typing import Any, ClassVar

from lab.pod import Pod
from lab.state import write_abi
from lab.traffic import DIRECTIONS
from support import RATE, NodeCase, eventually, mean_rate

IDENTITY = ("ContainerId", "PodName", "IngressRate", "EgressRate", "IngressHook", "EgressHook",
            "IngressShaper", "EgressShaper", "AttachedAtUsec", "HostInterface")


class Restart(NodeCase):
    def interrupted(self, direction: str, *, kill: bool) -> None:
        pod = self.pod()
        path = pod.object_path()
        objects = self.natrad.attachments()
        with pod.client().bulk(direction, 9) as bulk, pod.client().rr(8, interval_us=5000) as rr:
            time.sleep(2.5)
            before = self.natrad.counters(path, direction)
            facts = self.natrad.properties(path)
            self.natrad.kill() if kill else self.natrad.stop()
            time.sleep(2.5)
            self.natrad.start()
            self.assertEqual(self.natrad.attachments(), objects)
            adopted = self.natrad.counters(path, direction)
            result = bulk.result()  # raises if a connection broke
            rr.result()
            after = self.natrad.counters(path, direction)
        timeline = result["timeline_bytes"]
        for second in range(1, 9):
            self.assert_rate(mean_rate(timeline, second, second + 1), RATE, 0.75, 1.1)
        for name in ("FastBytes", "PacedBytes", "PacedPackets", "FastPackets"):
            self.assertLessEqual(before[name], adopted[name], name)
            self.assertLessEqual(adopted[name], after[name], name)
        # Bytes that passed while nobody looked are in the counters.
        passed = after["PacedBytes"] + after["FastBytes"]
        self.assertGreaterEqual(passed, result["bytes"])
        now = self.natrad.properties(path)
        self.assertEqual({name: now[name] for name in IDENTITY}, {name: facts[name] for name in IDENTITY})
        pod.chain.check(pod.attachment)
        self.natrad.set_limits(path, **{f"{direction.capitalize()}Rate": 2 * RATE})
        self.assert_rate(self.goodput(pod, direction, seconds=3), 2 * RATE, 0.65)

    def test_kill_under_traffic(self) -> None:
        for direction in DIRECTIONS:
            with self.subTest(direction):
                self.interrupted(direction, kill=True)

    def test_stop_under_traffic(self) -> None:
        self.interrupted("ingress", kill=False)

    def test_what_was_removed_while_it_was_away_is_put_back(self) -> None:
        pod = self.pod()
        facts = self.natrad.properties(pod.object_path())
        device = facts["HostInterface"]
        self.natrad.kill()
        if self.node.host.qdiscs(device):
            for qdisc in ("root", "clsact"):
                self.node.host.run(["tc", "qdisc", "del", "dev", device, qdisc], check=False)
        self.natrad.start()
        pod.chain.check(pod.attachment)
        self.assert_rate(self.goodput(pod, "ingress", seconds=3), RATE)

    def test_pod_that_went_while_it_was_away_is_dropped(self) -> None:
        self.assert_end_is_noticed_at_start(self.pod())

    def test_garbage_in_its_folders_does_not_stop_it(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        self.natrad.kill()
        states = self.natrad.runtime / "attachments"
        (states / "garbage.json").write_text("{ not json")
        (states / "empty.json").write_text("")
        (states / "not-one-of-its-names.json").write_text("{ not json")
        (self.natrad.pins / "stray").mkdir()
        self.natrad.start()
        self.assertIn(path, self.natrad.attachments())
        pod.chain.check(pod.attachment)
        self.assertFalse((self.natrad.pins / "stray").exists(), "pins that nobody recorded are removed")
        told = self.natrad.status()["Degraded"]
        self.assertEqual([each.split()[1] for each in told], ["empty", "garbage"], told)
        for name in ("garbage", "empty", "not-one-of-its-names"):
            (states / f"{name}.json").unlink()
        self.assertTrue(eventually(lambda: self.natrad.status()["Degraded"] == [], 40))


class UnreadableRecordCase(NodeCase):
    """A filter stays whatever becomes of its pins, a tcx link does not."""

    def leaves_its_limit_in_force(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        record = self.natrad.runtime / "attachments" / (path.rpartition("/")[2] + ".json")
        whole = record.read_text()
        self.natrad.kill()
        record.write_text(whole[:-20])
        self.natrad.start()
        self.assertNotIn(path, self.natrad.attachments())
        told = self.natrad.status()["Degraded"]
        self.assertTrue(any(str(record) in each for each in told), told)
        for direction in DIRECTIONS:
            self.assert_rate(self.goodput(pod, direction, seconds=3), RATE)
        record.write_text(whole)
        self.assertTrue(eventually(lambda: path in self.natrad.attachments(), 40))
        pod.chain.check(pod.attachment)
        self.assertEqual(self.natrad.status()["Degraded"], [])


class UnreadableRecord(UnreadableRecordCase):
    def test_on_the_hook_that_natra_chose(self) -> None:
        self.leaves_its_limit_in_force()


class UnreadableRecordOnTcx(UnreadableRecordCase):
    natrad_env: ClassVar[dict[str, str] | None] = {"NATRA_ATTACH_MODE": "tcx"}

    def test_on_tcx(self) -> None:
        if "tcx" not in self.natrad.status()["Features"]:
            self.skipTest("no tcx")
        self.leaves_its_limit_in_force()


class AnotherAbiCase(NodeCase):
    """The state that runs is another natrad's, whose programs this one cannot take over: they are replaced in their
    places, under traffic. That the programs are the same here but for their state's version matters to nobody."""

    def qdisc(self, pod: Pod, facts: dict[str, Any], direction: str) -> dict[str, Any]:
        """At the root of the device where the direction is limited; empty if it is policed."""
        if facts[f"{direction.capitalize()}Shaper"] == "police":
            return {}
        inside = direction == "egress"
        shown = (pod.netns if inside else self.node.host).json(
            ["tc", "-s", "-json", "qdisc", "show", "dev", "eth0" if inside else facts["HostInterface"], "root"])
        return dict(shown[0])

    def replaced(self, direction: str) -> None:
        pod = self.pod()
        path = pod.object_path()
        facts = self.natrad.properties(path)
        pins = self.natrad.pins / path.rpartition("/")[2]
        pinned = sorted(each.name for each in pins.iterdir())
        with pod.client().bulk(direction, 8) as bulk:
            time.sleep(2.5)
            self.natrad.kill()
            for each in DIRECTIONS:
                write_abi(str(pins / f"{each}_state"), 1)
            before = self.qdisc(pod, facts, direction)
            self.natrad.start()
            after = self.qdisc(pod, facts, direction)
            result = bulk.result()  # raises if a connection broke
        timeline = result["timeline_bytes"]
        for second in range(1, 8):
            self.assert_rate(mean_rate(timeline, second, second + 1), RATE, 0.3, 1.2)
        self.assertEqual(after.get("handle"), before.get("handle"))
        self.assertGreaterEqual(after.get("packets", 0), before.get("packets", 0), "another qdisc")
        log = self.natrad.log.read_text(errors="replace")
        for each in DIRECTIONS:
            self.assertIn(f"renewing the program of {each}", log)
            self.assertNotIn(f"renewing {each}", log, "it was made anew")
        now = self.natrad.properties(path)
        self.assertEqual({name: now[name] for name in IDENTITY}, {name: facts[name] for name in IDENTITY})
        self.assertEqual(sorted(each.name for each in pins.iterdir()), pinned)
        counted = self.natrad.counters(path, direction)["PacedBytes"]
        self.assertLess(counted, result["bytes"], "what the old program counted is none of the new one's")
        pod.chain.check(pod.attachment)
        self.natrad.set_limits(path, **{f"{direction.capitalize()}Rate": 2 * RATE})
        self.assert_rate(self.goodput(pod, direction, seconds=3), 2 * RATE, 0.65)
        self.assertGreater(self.natrad.counters(path, direction)["PacedBytes"], counted)


class AnotherAbi(AnotherAbiCase):
    def test_from_the_pod(self) -> None:
        self.replaced("egress")


class AnotherAbiPoliced(AnotherAbiCase):
    natrad_env: ClassVar[dict[str, str] | None] = {"NATRA_SHAPER": "police"}

    def test_to_the_pod(self) -> None:
        self.replaced("ingress")
