# SPDX-License-Identifier: Apache-2.0
"""The socket units and the service under an administrator's hands. The package is installed first and purged last."""
from __future__ import annotations

import image
import support
from machine import wait_for
from support import PACKAGE, ServiceCase

CURL = "curl --silent --show-error --max-time 20"
UNIX = f"{CURL} --unix-socket /run/natra/api.sock http://localhost"
LOOPBACK = f"{CURL} http://127.0.0.1:9475"
DROP_IN = "/etc/natra/natrad.d/50-test.json"
BROKEN = '{"limits": {"maxBurst": "often"}}'
# Asks again and again while /run/asking exists; notes down how many answers there were, and what was none.
ASK = f"""touch /run/asking; rm -f /run/lost /run/answers; (answers=0
while [ -e /run/asking ]; do {UNIX}/v1/status --fail >/dev/null 2>>/run/lost && answers=$((answers + 1)); done
echo $answers >/run/answers) >/dev/null 2>&1 &"""


class Sockets(ServiceCase):
    @classmethod
    def setUpClass(cls) -> None:
        image.install(support.MACHINE)
        super().setUpClass()

    def setUp(self) -> None:
        self.wait_until_up()

    def assert_listens(self, unit: str) -> None:
        self.assertEqual(self.machine.property(unit, "ActiveState"), "active")
        self.assertIn(self.machine.property(unit, "SubState"), ("listening", "running"))

    def group(self) -> str:
        return self.machine.shell("stat -c '%G' /run/natra/api.sock").strip()

    def failed_units(self) -> str:
        return self.machine.shell("systemctl --no-legend --plain list-units --failed 'natra*'")

    def test_1_an_edited_socket_is_in_force_once_restarted(self) -> None:
        pod = self.pod()
        self.assertEqual(self.group(), "natra")
        # What `systemctl edit` writes.
        self.machine.write("/etc/systemd/system/natrad-api.socket.d/override.conf", "[Socket]\nSocketGroup=adm\n")
        pid = self.main_pid()
        try:
            self.machine.shell("systemctl daemon-reload && systemctl restart natrad-api.socket")
            self.assert_listens("natrad-api.socket")
            self.assertEqual(self.group(), "adm")
            self.assertIn('"version"', self.machine.shell(f"{UNIX}/v1/status"))
            self.wait_until_up(other_than=pid)
        finally:
            self.machine.shell("rm -r /etc/systemd/system/natrad-api.socket.d; systemctl daemon-reload; "
                               "systemctl restart natrad-api.socket")
        self.assertEqual(self.group(), "natra")
        self.assertIn('"version"', self.machine.shell(f"{UNIX}/v1/status"))
        self.wait_until_up()
        pod.chain.check(pod.attachment)
        self.assertEqual(self.failed_units(), "")

    def test_2_the_loopback_socket_is_enabled_and_disabled_at_once(self) -> None:
        self.assertEqual(self.machine.property("natrad-api-tcp.socket", "UnitFileState"), "disabled")
        self.machine.shell("systemctl enable --now natrad-api-tcp.socket")
        self.assert_listens("natrad-api-tcp.socket")
        self.assertIn('"version"', self.machine.shell(f"{LOOPBACK}/v1/status"))
        self.assertIn('"status": 403', self.machine.shell(f"{LOOPBACK}/v1/pods/x/limits -X DELETE"))
        self.wait_until_up()
        self.machine.shell("systemctl disable --now natrad-api-tcp.socket")
        # curl's 7: could not connect. natrad, which had the socket as well, is on its way to its next start.
        wait_for("a closed port", lambda: "status=7" in self.machine.shell(f"{LOOPBACK}/v1/status; echo status=$?"))
        self.wait_until_up()
        self.assertIn('"version"', self.machine.shell(f"{UNIX}/v1/status"))
        self.assertEqual(self.failed_units(), "")

    def test_3_starting_a_socket_that_listens_leaves_natrad_alone(self) -> None:
        pid = self.main_pid()
        self.machine.shell("systemctl start natrad-api.socket sockets.target")
        self.assertEqual(self.machine.shell("systemctl list-jobs --no-legend 'natra*'"), "")
        self.assertEqual(self.main_pid(), pid)

    def test_4_a_stopped_natrad_is_not_started_by_its_sockets_units(self) -> None:
        self.machine.shell("systemctl stop natrad.service && systemctl restart natrad-api.socket")
        self.assertEqual(self.machine.shell("systemctl list-jobs --no-legend 'natra*'"), "")
        self.assertEqual(self.machine.property("natrad.service", "ActiveState"), "inactive")
        self.assertIn('"version"', self.machine.shell(f"{UNIX}/v1/status"))

    def test_5_an_upgrade_loses_no_request(self) -> None:
        pid = self.main_pid()
        self.machine.shell(ASK)
        try:
            said = self.machine.shell(f"apt-get install -y {PACKAGE}/newer/natra.deb")
            self.wait_until_up(other_than=pid)
        finally:
            self.machine.shell("rm /run/asking")
        wait_for("the last answer", lambda: self.machine.shell("cat /run/answers", check=False).strip().isdigit())
        self.assertEqual(self.machine.shell("cat /run/lost"), "")
        self.assertGreater(int(self.machine.shell("cat /run/answers")), 10)
        self.assertNotRegex(said, "(?i)failed")
        self.assertNotIn("Failed to listen", self.machine.shell("journalctl --no-pager -b -u natrad-api.socket"))

    def test_6_a_reload_of_a_broken_file_fails(self) -> None:
        pid = self.main_pid()
        self.machine.write(DROP_IN, BROKEN)
        self.assertRegex(self.machine.shell("systemctl reload natrad; echo status=$?"), r"(?m)^status=1$")
        self.assertIn("often", self.machine.shell("journalctl --no-pager -u natrad -n 20"))
        self.assertEqual(self.main_pid(), pid)
        # Unknown keys are warnings, as at the start.
        self.machine.write(DROP_IN, '{"colour": "red"}')
        self.machine.shell("systemctl reload natrad")
        self.machine.run(["rm", DROP_IN])
        self.machine.shell("systemctl reload natrad")
        self.assertEqual(self.main_pid(), pid)

    def test_7_a_broken_configuration_is_a_failed_unit(self) -> None:
        self.machine.write(DROP_IN, BROKEN)
        self.assertRegex(self.machine.shell("systemctl restart natrad; echo status=$?"), r"(?m)^status=1$")
        self.assertEqual(self.machine.property("natrad.service", "ActiveState"), "failed")
        self.assertEqual(self.machine.property("natrad.service", "ExecMainStatus"), "78")
        self.assertEqual(self.machine.property("natrad.service", "NRestarts"), "0")
        # Requests make systemd try until it gives the socket up; the next start brings that back, too.
        self.machine.shell(f"{UNIX}/healthz --max-time 3", check=False)
        self.machine.run(["rm", DROP_IN])
        self.machine.shell("systemctl restart natrad")
        self.wait_until_up()
        self.assertIn('"version"', self.machine.shell(f"{UNIX}/v1/status"))

    def test_8_the_loopback_socket_survives_removal_and_reinstallation(self) -> None:
        self.machine.shell("systemctl enable --now natrad-api-tcp.socket")
        self.wait_until_up()
        self.machine.shell("apt-get remove -y natra")
        self.assertNotIn(":9475", self.machine.shell("ss -Hlnt"))
        self.assertEqual(self.machine.shell("systemctl --no-legend --plain list-units 'natra*'"), "")
        self.machine.shell(f"apt-get install -y {PACKAGE}/natra_*.deb")
        self.wait_until_up()
        # It is enabled still: what an administrator has set stays until the purge.
        self.assert_listens("natrad-api-tcp.socket")
        self.assertIn('"version"', self.machine.shell(f"{LOOPBACK}/v1/status"))
        self.machine.shell("systemctl disable --now natrad-api-tcp.socket")
        self.wait_until_up()
        self.machine.shell("systemctl enable --now natrad-api-tcp.socket")
        self.assertIn('"version"', self.machine.shell(f"{LOOPBACK}/v1/status"))

    def test_9_a_purge_leaves_nothing(self) -> None:
        self.machine.shell("apt-get purge -y natra")
        self.assertEqual(support.traces(), [])
