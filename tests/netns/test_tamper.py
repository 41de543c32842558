# SPDX-License-Identifier: Apache-2.0
"""A pod with NET_ADMIN undoes or bypasses its limits, or somebody on the host does: they hold."""
from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab.cni import CniError
from lab.foreign import Program
from lab.pod import Pod
from support import RATE, TIME_FACTOR, NodeCase, eventually, files_below

ROOT, MANAGER = "/io/natra/Natrad1", "io.natra.Natrad1.Manager"
# What passes until natrad has noticed is what the machine can carry; no rule of natra's bounds it but the
# time: a second at most. Traffic between namespaces of one machine goes at this speed.
LEAK_BYTES_PER_SECOND = 12.5e9
NOTICED_SECONDS = 1.0

# Sends as fast as it can past the device's qdisc and its egress hook.
BYPASS = """
import socket, sys, time
PACKET_QDISC_BYPASS = 20
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.setsockopt(263, PACKET_QDISC_BYPASS, 1)
sender.bind(("eth0", 0))
target, seconds, rate = bytes.fromhex(sys.argv[1].replace(":", "")), float(sys.argv[2]), float(sys.argv[3])
frame = target + bytes(6) + bytes.fromhex("88b5") + bytes(1486)
begin = time.monotonic()
sent = 0
while (now := time.monotonic()) < begin + seconds:
    if sent * 8 > rate * (now - begin):
        time.sleep(0.001)
        continue
    try:
        sender.send(frame)
    except OSError:
        continue
    sent += len(frame)
print(sent)
"""

# Deletes everything of natra's it can find, over and over, as fast as a shell can.
DELETE_LOOP = """
end=$(( $(date +%s) + 3 ))
while [ "$(date +%s)" -lt "$end" ]; do
    tc qdisc del dev eth0 clsact
    tc qdisc del dev eth0 root
done 2>/dev/null
true
"""


class TamperCase(NodeCase):
    def tampered(self, path: str) -> int:
        return int(self.natrad.properties(path)["TamperEvents"])

    def degraded(self) -> list[str]:
        return list(self.natrad.bus.properties("io.natra.Natrad1", ROOT, MANAGER)["Degraded"])

    def tamper(self, pod: Pod, argv: Sequence[str]) -> None:
        """One act inside the pod that natrad has to notice and put right within a second."""
        path = pod.object_path()
        before = self.tampered(path)
        pod.netns.run(argv)
        self.assertTrue(eventually(lambda: self.tampered(path) > before, 1 + NOTICED_SECONDS * TIME_FACTOR), " ".join(argv))
        self.assertTrue(eventually(lambda: self.whole(pod), 2), " ".join(argv))

    def pins_of(self, pod: Pod) -> list[str]:
        return files_below(self.natrad.pins / pod.object_path().rpartition("/")[2])

    def assert_confirmed(self, pod: Pod) -> None:
        """No mark is left that would make the next natrad start what moved anew."""
        self.assertTrue(eventually(lambda: not any(each.endswith("_switch") for each in self.pins_of(pod))),
                        self.pins_of(pod))

    def whole(self, pod: Pod) -> bool:
        try:
            pod.chain.check(pod.attachment)
        except CniError:
            return False
        return True

    def host_bytes(self, pod: Pod) -> int:
        """What came out of the pod, whatever the limiter thinks."""
        link = self.node.host.json(["ip", "-json", "-stats", "link", "show", "dev", pod.host_device])[0]
        return int(link["stats64"]["rx"]["bytes"])


class Pods(TamperCase):
    def test_deleting_the_qdisc(self) -> None:
        pod = self.pod()
        self.assert_capped(pod, "egress")
        if pod.netns.qdiscs("eth0"):
            self.tamper(pod, ["tc", "qdisc", "del", "dev", "eth0", "root"])
        self.assert_capped(pod, "egress")
        self.assertFalse(self.natrad.properties(pod.object_path())["Backstop"])

    def test_deleting_clsact(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        self.goodput(pod, "egress", seconds=2)
        before = self.natrad.counters(path, "egress")["PacedBytes"]
        self.tamper(pod, ["tc", "qdisc", "del", "dev", "eth0", "clsact"])
        self.assertGreaterEqual(self.natrad.counters(path, "egress")["PacedBytes"], before, "the counters go on")
        self.assert_capped(pod, "egress")
        self.assertFalse(self.natrad.properties(path)["Backstop"])

    def test_deleting_the_filter(self) -> None:
        pod = self.pod()
        self.tamper(pod, ["tc", "filter", "del", "dev", "eth0", "egress"])
        self.assert_capped(pod, "egress")

    def test_deleting_the_filter_of_the_classes(self) -> None:
        pod = self.pod()
        if self.natrad.properties(pod.object_path())["EgressShaper"] != "htb":
            self.skipTest("not HTB here")
        self.tamper(pod, ["tc", "filter", "del", "dev", "eth0", "parent", "4e41:"])
        self.assert_capped(pod, "egress")

    def test_replacing_the_root(self) -> None:
        pod = self.pod()
        self.tamper(pod, ["tc", "qdisc", "replace", "dev", "eth0", "root", "handle", "7:", "pfifo"])
        kinds = {qdisc["kind"] for qdisc in pod.netns.qdiscs("eth0")}
        self.assertNotIn("pfifo", kinds)
        self.assert_capped(pod, "egress")

    def test_a_filter_that_accepts_everything_first(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        before = self.tampered(path)
        # Of another kind it gets to priority 1 only when ours has gone, hence at once.
        pod.netns.run(["tc", "-batch", "-"], stdin="filter del dev eth0 egress\n"
                      "filter add dev eth0 egress protocol all prio 1 u32 match u32 0 0 classid 1:1\n", check=False)
        self.assertTrue(eventually(lambda: self.tampered(path) > before, 2))
        time.sleep(1)
        self.assert_capped(pod, "egress")

    def test_moving_the_device_to_another_namespace(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        inner = self.node.add_namespace(f"inner{pod.number}")
        self.addCleanup(inner.delete)
        pod.netns.run(["ip", "link", "set", "eth0", "netns", inner.name])
        self.assertTrue(eventually(lambda: bool(self.natrad.properties(path)["Backstop"]), 3))
        self.assertEqual(self.natrad.properties(path)["EgressShaper"], "police")
        self.assert_confirmed(pod)

    def test_deleting_in_a_loop_leads_to_the_backstop(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        with pod.client().bulk("egress", 9) as bulk:
            time.sleep(1.5)
            begin, before = time.monotonic(), self.host_bytes(pod)
            looping = pod.netns.start(["sh", "-c", DELETE_LOOP])
            self.assertTrue(eventually(lambda: bool(self.natrad.properties(path)["Backstop"]), 3))
            after_backstop = time.monotonic()
            settled = self.host_bytes(pod)
            looping.stop(timeout=10)
            result = bulk.result()
        # Over all: the cap, what policing lets ahead at once, and at most a second at full speed.
        leak = LEAK_BYTES_PER_SECOND * min(NOTICED_SECONDS, after_backstop - begin)
        self.assertLessEqual(settled - before, 1.1 * RATE / 8 * (after_backstop - begin) + leak)
        timeline = result["timeline_bytes"]
        # The last four seconds, the loop included in none of them or all: the cap holds.
        self.assert_rate(8 * sum(timeline[50:90]) / 4, RATE, 0.5 if TIME_FACTOR == 1 else 0.1, 1.10)
        facts = self.natrad.properties(path)
        self.assertEqual(facts["EgressShaper"], "police")
        self.assertIn("backstop", facts["EgressReason"])
        self.assertIn(pod.host_device, facts["EgressHook"])
        self.assertTrue(any(f"pod{pod.number} " in each and "backstop" in each for each in self.degraded()),
                        self.degraded())
        lines = [line for line in self.natrad.log.read_text().splitlines() if f"pod{pod.number} " in line]
        self.assertLess(len(lines), 12, "\n".join(lines))
        pod.chain.check(pod.attachment)
        self.assert_confirmed(pod)

        # What the operator sets or resets is a new beginning; a restart is not.
        count = self.tampered(path)
        self.natrad.restart()
        facts = self.natrad.properties(path)
        self.assertTrue(facts["Backstop"])
        self.assertEqual(self.tampered(path), count)
        self.natrad.reset_limits(path)
        facts = self.natrad.properties(path)
        self.assertFalse(facts["Backstop"])
        self.assertNotEqual(facts["EgressShaper"], "police")
        self.assert_confirmed(pod)
        self.assert_capped(pod, "egress")

    def test_packets_past_qdisc_and_hook(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        # Limited traffic at full speed for some seconds is never taken for that.
        self.assert_capped(pod, "egress", seconds=5)
        self.assertFalse(self.natrad.properties(path)["Backstop"])
        mac = self.node.host.json(["ip", "-json", "link", "show", "dev", pod.host_device])[0]["address"]
        sender = pod.netns.start([sys.executable, "-c", BYPASS, mac, "4", str(10 * RATE)])
        self.assertTrue(eventually(lambda: bool(self.natrad.properties(path)["Backstop"]), 4))
        counters = self.natrad.counters(path, "egress")
        sender.result(20)
        self.assertTrue(eventually(
            lambda: self.natrad.counters(path, "egress")["DroppedBytes"] > counters["DroppedBytes"], 2))
        self.assert_confirmed(pod)
        self.assert_capped(pod, "egress")

    def test_deleting_the_link(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        pod.netns.run(["ip", "link", "del", "eth0"])
        self.assertTrue(eventually(lambda: path not in self.natrad.attachments(), 3))
        name = path.rpartition("/")[2]
        self.assertFalse((self.natrad.pins / name).exists())
        self.assertEqual([each for each in files_below(self.natrad.runtime) if name in each], [])

    def test_the_namespace_ends_although_it_is_watched(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        device = pod.host_device
        pod.destroy()
        self.assertTrue(eventually(lambda: device not in self.node.host.links(), 5), "the namespace lives on")
        self.assertTrue(eventually(lambda: path not in self.natrad.attachments(), 3))

    def test_storm_of_harmless_changes_costs_little(self) -> None:
        pod = self.pod()
        other = self.pod()
        path = pod.object_path()
        before = self.tampered(path)
        cpu = cpu_seconds(self.natrad.pid)
        batch = ("filter add dev eth0 ingress prio 9 protocol ip u32 match u32 0 0 classid 1:1\n"
                 "filter del dev eth0 ingress prio 9 protocol ip u32\n") * 2000
        begin = time.monotonic()
        pod.netns.run(["tc", "-batch", "-"], stdin=batch, timeout=240)
        took = time.monotonic() - begin
        self.assertLess(cpu_seconds(self.natrad.pid) - cpu, 0.5 * took + 0.3)
        self.assertEqual(self.tampered(path), before)
        # And it still notices.
        self.tamper(other, ["tc", "qdisc", "del", "dev", "eth0", "clsact"])

    def test_looking_is_no_news(self) -> None:
        pod = self.pod()
        self.tamper(pod, ["tc", "qdisc", "del", "dev", "eth0", "clsact"])
        time.sleep(1)
        for where in (pod.netns, self.node.host):
            heard = where.run(["timeout", "2", "tc", "monitor"], check=False).stdout
            self.assertEqual(heard, "", "natrad's looks would lead to the next ones")

    def test_tampering_while_natrad_is_away(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        self.goodput(pod, "egress", seconds=2)
        paced = self.natrad.counters(path, "egress")["PacedBytes"]
        self.natrad.kill()
        pod.netns.run(["tc", "qdisc", "del", "dev", "eth0", "clsact"])
        pod.netns.run(["tc", "qdisc", "del", "dev", "eth0", "root"], check=False)
        self.natrad.start()
        pod.chain.check(pod.attachment)
        self.assertGreaterEqual(self.natrad.counters(path, "egress")["PacedBytes"], paced)
        self.assert_capped(pod, "egress")


class Host(TamperCase):
    def test_what_the_host_deletes_comes_back(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        device = pod.host_device
        for argv in (["tc", "qdisc", "del", "dev", device, "clsact"], ["tc", "qdisc", "del", "dev", device, "root"]):
            if argv[-1] == "root" and not self.node.host.qdiscs(device):
                continue
            before = self.tampered(path)
            self.node.host.run(argv)
            self.assertTrue(eventually(lambda: self.tampered(path) > before, 2), " ".join(argv))
        pod.chain.check(pod.attachment)
        self.assert_capped(pod, "ingress")
        self.assertEqual(self.natrad.status()["TamperEvents"] >= self.tampered(path), True)

    def test_a_foreign_root_stays_and_the_limit_moves(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        device = pod.host_device
        before = self.tampered(path)
        self.node.host.run(["tc", "qdisc", "replace", "dev", device, "root", "handle", "7:", "pfifo"])
        self.assertTrue(eventually(lambda: self.tampered(path) > before, 2))
        self.assertIn("pfifo", {qdisc["kind"] for qdisc in self.node.host.qdiscs(device)})
        self.assertEqual(self.natrad.properties(path)["IngressShaper"], "police")
        self.assert_capped(pod, "ingress")


    def test_what_could_not_be_put_back_is_tried_again(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        name = f"pod{pod.number} "
        pins = self.natrad.pins / path.rpartition("/")[2]
        before = self.tampered(path)
        # Something else in the place of its pins: no program can be pinned, so none is started anew.
        for each in pins.iterdir():
            each.unlink()
        pins.rmdir()
        with Program(self.node.host, Program.PASS, "pin", str(pins)):
            self.node.host.run(["tc", "qdisc", "replace", "dev", pod.host_device, "root", "handle", "7:", "pfifo"])
            self.assertTrue(eventually(lambda: any(name in each and "not limited as asked" in each
                                                   for each in self.degraded())), self.degraded())
            state = self.natrad.runtime / "attachments" / f"{pins.name}.json"
            time.sleep(3)  # a look or two
            written = state.stat().st_mtime_ns
            time.sleep(3)
            self.assertEqual(state.stat().st_mtime_ns, written, "nothing new, and it was recorded again")
            self.assertEqual(self.tampered(path), before + 1)
            self.assertTrue(any(name in each and "not limited as asked" in each for each in self.degraded()))
        # Nothing tells of it. The next look is 8 s away at most, with the patrol it would be up to a minute.
        self.assertTrue(eventually(lambda: self.natrad.properties(path)["IngressShaper"] == "police", 25))
        self.assertEqual([each for each in self.degraded() if name in each], [])
        self.assertEqual(self.tampered(path), before + 1)
        pod.chain.check(pod.attachment)
        self.assert_capped(pod, "ingress")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
