# SPDX-License-Identifier: Apache-2.0
"""A package's life on a node. The classes follow one another on one root: the package is installed in the first."""
from __future__ import annotations

import json
import re
import signal
import time
import unittest

import image
import support
from lab.natrad import MANAGER, ROOT, SERVICE
from lab.ptrace import hold_main_thread
from machine import wait_for
from support import PACKAGE, RATE, ServiceCase

MAX_EXPOSURE = 3.0
POLKIT_RULE = "/etc/polkit-1/rules.d/50-natra-test.rules"
POLKIT_RULE_TEXT = """polkit.addRule(function(action, subject) {
    if (action.id == "io.natra.natrad.manage-limits" && subject.user == "nobody") return polkit.Result.YES;
});
"""
CURL = "curl --silent --show-error --max-time 20"
UNIX = f"{CURL} --unix-socket /run/natra/api.sock http://localhost"


class Image(unittest.TestCase):
    """Installed where nothing runs."""

    def test_complains_of_nothing(self) -> None:
        for line in image.install(support.MACHINE).splitlines():
            self.assertNotRegex(line, r"(?i)^(?!.*debconf).*\b(error|failed|cannot)\b")


class Node(ServiceCase):
    """The first boot has done the rest."""

    def test_01_runs_after_the_first_boot(self) -> None:
        self.wait_until_up()
        self.assertEqual(self.machine.property("natrad.service", "UnitFileState"), "enabled")
        self.assertEqual(self.machine.property("natrad.service", "NRestarts"), "0")
        self.assertEqual(self.natrad.status()["Attachments"], 0)
        self.assertIn("natra:x:", self.machine.shell("getent group natra"))
        self.assertEqual(self.machine.shell("stat -c '%a %U' /run/natra /run/natra/spool").split(),
                         ["755", "root", "700", "root"])

    def test_02_runtimes_start_when_it_answers(self) -> None:
        for name in image.RUNTIMES:
            self.assertIn('"Attachments" u 0', self.machine.shell(f"cat /run/{name}-saw"), name)

    def test_03_exposure(self) -> None:
        said = self.machine.shell("systemd-analyze security --no-pager natrad.service")
        found = re.search(r"Overall exposure level for natrad.service: ([0-9.]+)", said)
        assert found is not None, said
        self.assertLessEqual(float(found[1]), MAX_EXPOSURE)
        self.machine.shell("systemd-analyze verify --man=no natrad.service")

    def test_04_pods(self) -> None:
        pod = self.pod()
        pod.chain.check(pod.attachment)
        for direction in ("ingress", "egress"):
            self.assert_limited(pod, direction=direction)
        facts = self.natrad.properties(pod.object_path())
        self.assertEqual((facts["EgressRate"], facts["PodName"]), (RATE, "pod1"))
        pod.delete()
        self.assertEqual(self.natrad.attachments(), [])

    def test_05_bus_policy(self) -> None:
        pod = self.pod()
        call = "setpriv --reuid=nobody --regid=nogroup --clear-groups busctl call io.natra.Natrad1 "
        self.assertIn("Attachments", self.machine.shell(f"{call} /io/natra/Natrad1 io.natra.Natrad1.Manager Status"))
        change = f"{call} {pod.object_path()} io.natra.Natrad1.Attachment SetLimits 'a{{sv}}' 1 EgressRate t 1000000"
        self.assertIn("may not change limits", self.machine.shell(change, check=False))
        self.assertEqual(self.natrad.properties(pod.object_path())["EgressRate"], RATE)
        self.machine.write(POLKIT_RULE, POLKIT_RULE_TEXT)
        try:
            wait_for("polkit's consent", lambda: "may not" not in self.machine.shell(change, check=False))
        finally:
            self.machine.run(["rm", POLKIT_RULE])
        self.assertEqual(self.natrad.properties(pod.object_path())["EgressRate"], 1_000_000)

    def test_06_journal(self) -> None:
        self.pod()
        entries = [json.loads(line) for line in
                   self.machine.shell("journalctl --no-pager -o json -u natrad").splitlines()]
        priorities = {entry["MESSAGE"]: entry["PRIORITY"] for entry in entries if isinstance(entry["MESSAGE"], str)}
        ready = next(text for text in priorities if " ready on kernel " in text)
        self.assertEqual(priorities[ready], "6")
        self.assertTrue(any("pod" in text and "attached" in text for text in priorities))
        self.assertIn("-- Subject: ", self.machine.shell("journalctl --no-pager --catalog -u natrad"))

    def test_07_kill_under_traffic(self) -> None:
        pod = self.pod()
        programs, killed = self.programs(pod), self.main_pid()
        self.assertEqual(len(programs), 2)
        with pod.client().bulk("egress", 8) as bulk:
            time.sleep(2)
            self.machine.run(["sh", "-c", f"kill -KILL {killed}"])
            self.wait_until_up(other_than=killed)
            self.assertLessEqual(bulk.result()["goodput_bps"], 1.1 * RATE)
        self.assertEqual(self.programs(pod), programs)
        pod.chain.check(pod.attachment)

    def test_08_watchdog_is_fed_by_the_thread_that_decides(self) -> None:
        self.assertEqual(self.machine.property("natrad.service", "WatchdogUSec"), "30s")
        self.machine.write("/etc/systemd/system/natrad.service.d/test.conf",
                           "[Service]\nWatchdogSec=3\nLimitCORE=0\n")
        pod = self.pod()
        try:
            self.machine.shell("systemctl daemon-reload && systemctl restart natrad")
            time.sleep(5)
            alive = self.main_pid()
            self.assertEqual(self.machine.property("natrad.service", "NRestarts"), "0")
            died_of = hold_main_thread(self.machine.outer_pid(alive), 60)
            self.assertEqual(died_of, signal.SIGABRT)
            self.wait_until_up(other_than=alive)
            pod.chain.check(pod.attachment)
        finally:
            self.machine.shell("rm -r /etc/systemd/system/natrad.service.d; systemctl daemon-reload; "
                               "systemctl restart natrad")

    def test_09_reload(self) -> None:
        pod = self.pod(egress_burst=1_000_000)
        path, pid = pod.object_path(), self.main_pid()

        def burst() -> int:
            return self.natrad.properties(path)["EgressBurst"]

        self.assertEqual(burst(), 1_000_000)
        drop_in = "/etc/natra/natrad.d/50-test.json"
        self.machine.write(drop_in, '{"limits": {"maxBurst": "2ms"}}')
        self.machine.run(["systemctl", "reload", "natrad"])
        wait_for("the new burst", lambda: burst() == RATE * 2 // 1000)
        self.machine.write(drop_in, '{"limits": {"maxBurst": "often"}}')
        self.assertNotEqual(self.machine.run(["systemctl", "reload", "natrad"], check=False).returncode, 0)
        wait_for("words about the error", lambda: "often" in self.machine.shell("journalctl --no-pager -u natrad"))
        self.machine.run(["rm", drop_in])
        self.machine.run(["systemctl", "reload", "natrad"])
        wait_for("the old burst", lambda: burst() == 1_000_000)
        self.assertEqual(self.main_pid(), pid)

    def change_version(self, package: str, *options: str) -> None:
        """Another version of the package under traffic: no moment without the limit, no connection lost."""
        pod = self.pod()
        self.natrad.set_limits(pod.object_path(), IngressRate=2 * RATE)
        programs, pid = self.programs(pod), self.main_pid()
        with pod.client().bulk("egress", 12) as bulk, pod.client().bulk("ingress", 12) as other:
            time.sleep(2)
            self.machine.shell(f"apt-get install -y {' '.join(options)} {package}")
            self.wait_until_up(other_than=pid)
            self.assertLessEqual(bulk.result()["goodput_bps"], 1.1 * RATE)
            self.assertLessEqual(other.result()["goodput_bps"], 1.1 * 2 * RATE)
        self.assertEqual(self.programs(pod), programs)
        self.assertEqual(self.natrad.properties(pod.object_path())["IngressRate"], 2 * RATE)
        pod.chain.check(pod.attachment)

    def test_10_upgrade(self) -> None:
        self.change_version(f"{PACKAGE}/newer/natra.deb")

    def test_11_downgrade(self) -> None:
        self.change_version(f"{PACKAGE}/older/natra.deb", "--allow-downgrades")

    def test_12_pods_start_while_it_is_away(self) -> None:
        self.machine.run(["systemctl", "mask", "--now", "--runtime", "natrad.service"])
        try:
            pod = self.pod()
        finally:
            self.machine.shell("systemctl unmask --runtime natrad.service; systemctl start natrad.service")
        self.wait_until_up()
        wait_for("the waiting request", lambda: self.natrad.find(pod.container_id) is not None)
        self.assert_limited(pod)

    def test_13_the_name_bandwidth(self) -> None:
        version = "echo '{}' | CNI_COMMAND=VERSION /usr/lib/cni/bandwidth"
        stock = self.machine.shell("md5sum < /usr/lib/cni/bandwidth")
        self.machine.shell("! natra-take-bandwidth --status")
        self.machine.shell("natra-take-bandwidth && natra-take-bandwidth && natra-take-bandwidth --status")
        self.assertEqual(self.machine.shell("md5sum < /usr/lib/cni/bandwidth.stock"), stock)
        self.assertIn("1.1.0", self.machine.shell(version))
        self.assertEqual(self.machine.shell("readlink /opt/cni/bin/bandwidth").strip(), "/usr/lib/cni/natra")
        self.machine.shell("natra-take-bandwidth --undo && natra-take-bandwidth --undo")
        self.assertEqual(self.machine.shell("md5sum < /usr/lib/cni/bandwidth"), stock)
        self.machine.shell("! dpkg-divert --list | grep bandwidth && ! ls /opt/cni/bin/bandwidth* /usr/lib/cni/bandwidth.*")
        # A file that somebody put over the link is not natra's to remove.
        self.machine.shell("natra-take-bandwidth && cp --remove-destination /usr/lib/cni/ptp /usr/lib/cni/bandwidth")
        self.assertIn("/usr/lib/cni/bandwidth.stock", self.machine.shell("natra-take-bandwidth --undo"))
        self.machine.shell("cmp /usr/lib/cni/ptp /usr/lib/cni/bandwidth && ! dpkg-divert --list | grep bandwidth")
        self.machine.shell("mv /usr/lib/cni/bandwidth.stock /usr/lib/cni/bandwidth")
        self.assertEqual(self.machine.shell("md5sum < /usr/lib/cni/bandwidth"), stock)

    def test_14_rest(self) -> None:
        pod = self.pod()
        path = f"/v1/pods/{pod.container_id}/limits"
        patch = "-X PATCH -H 'Content-Type: application/merge-patch+json' -d '{\"egress\": {\"rate\": \"30M\"}}'"
        self.assertEqual(self.machine.shell("stat -c '%a %U %G' /run/natra/api.sock").split(), ["660", "root", "natra"])
        nobody = "setpriv --reuid=nobody --regid=nogroup"
        # curl's 7: could not connect.
        self.assertRegex(self.machine.shell(f"{nobody} --clear-groups {UNIX}/v1/pods; echo status=$?"), r"(?m)^status=7$")
        member = f"{nobody} --groups=natra"
        self.assertIn(pod.container_id, self.machine.shell(f"{member} {UNIX}/v1/pods"))
        self.assertIn('"status": 403', self.machine.shell(f"{member} {UNIX}{path} {patch}"))
        self.assertEqual(self.natrad.properties(pod.object_path())["EgressRate"], RATE)
        self.machine.shell(f"{UNIX}{path} --fail {patch}")
        self.assertEqual(self.natrad.properties(pod.object_path())["EgressRate"], 30_000_000)
        self.assertIn("natra_build_info{", self.machine.shell(f"{UNIX}/metrics"))
        # A request starts it, and so does a call on the bus.
        for request in (f"{UNIX}/healthz", "busctl call io.natra.Natrad1 / org.freedesktop.DBus.Peer Ping"):
            self.machine.run(["systemctl", "stop", "natrad.service"])
            self.machine.shell(request)
            self.wait_until_up()

    def test_15_rest_on_the_loopback(self) -> None:
        self.assertEqual(self.machine.property("natrad-api-tcp.socket", "UnitFileState"), "disabled")
        self.machine.shell("systemctl enable --now natrad-api-tcp.socket")
        try:
            self.assertIn('"version"', self.machine.shell(f"{CURL} http://127.0.0.1:9475/v1/status"))
            self.assertIn('"status": 403', self.machine.shell(f"{CURL} -X DELETE http://127.0.0.1:9475/v1/pods/x/limits"))
        finally:
            self.machine.shell("systemctl disable --now natrad-api-tcp.socket")
            self.wait_until_up()


class Reboot(ServiceCase):
    """The next boot of the same system."""

    def test_nothing_of_before(self) -> None:
        self.wait_until_up()
        self.assertEqual(self.natrad.attachments(), [])
        self.assertEqual(self.natrad.bus.properties(SERVICE, ROOT, MANAGER)["Degraded"], [])
        for name in image.RUNTIMES:
            self.assertIn('"Attachments" u 0', self.machine.shell(f"cat /run/{name}-saw"), name)
        self.assert_limited(self.pod())


class Removal(ServiceCase):
    """Last: the package is gone afterwards."""

    CONFLIST = '{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "ptp"}, {"type": "bandwidth"}]}\n'

    def test_1_remove(self) -> None:
        pod = self.pod()
        device = pod.host_device
        self.machine.write("/etc/cni/net.d/10-net.conflist", self.CONFLIST)
        self.machine.write("/etc/cni/net.d/20-by-hand.conflist", self.CONFLIST.replace("bandwidth", "natra"))
        self.machine.write("/etc/natra/natrad.d/chain.json", '{"chain": {"manage": true}}')
        self.machine.shell("natra-take-bandwidth; systemctl restart natrad")
        wait_for("natra in the chain", lambda: '"natra"' in self.machine.shell("cat /etc/cni/net.d/10-net.conflist"))
        said = self.machine.shell("apt-get remove -y natra")
        self.assertIn("20-by-hand.conflist names the plugin natra", said)
        self.assertIn("eth0: natra is removed from this node", said)
        self.assertNotIn("as its runtime asked", said)
        self.assertEqual(self.machine.shell("cat /etc/cni/net.d/10-net.conflist"), self.CONFLIST)
        self.assertEqual(self.node.host.qdiscs(device), [])
        self.assertEqual(pod.netns.qdiscs("eth0"), [])
        self.machine.shell("test ! -L /usr/lib/cni/bandwidth && test -x /usr/lib/cni/bandwidth")
        self.machine.shell("test -e /etc/natra/natrad.json && test ! -e /run/natra && test ! -e /opt/cni/bin/natra")
        # Nobody can ask the plugin any more.
        pod.chain.conflist["plugins"] = pod.chain.conflist["plugins"][:1]

    def test_2_purge(self) -> None:
        self.machine.shell("rm -r /etc/cni/net.d /etc/natra/natrad.d/chain.json; apt-get purge -y natra")
        self.assertEqual(support.traces(), [])
