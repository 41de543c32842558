# SPDX-License-Identifier: Apache-2.0
"""Who may change limits over D-Bus: root, and others if polkit says so."""
from __future__ import annotations

import re
import time
from typing import Any

from lab.bus import BusError
from lab.natrad import ATTACHMENT, MANAGER, ROOT, SERVICE
from lab.process import Background
from support import RATE, NodeCase

NOBODY = 65534
ACTION = "io.natra.natrad.manage-limits"
CHANGES = (("SetLimits", "a{sv}", 1, "IngressRate", "t", 2 * RATE), ("ResetLimits",),
           ("SetDataPath", "a{sv}", 1, "Shaper", "s", "police"), ("ResetDataPath",))


class Authorization(NodeCase):
    def setUp(self) -> None:
        self.node.folder.chmod(0o711)  # to the bus' socket
        self.path = self.pod().object_path()

    def polkit(self, answer: str) -> Background:
        polkit = Background([str(self.node.build.fake_polkit), answer],
                            env={"DBUS_SYSTEM_BUS_ADDRESS": self.node.bus.address})
        self.addCleanup(polkit.stop)
        self.assertEqual(polkit.first_line(), "ready\n")
        return polkit

    def as_nobody(self, *call: object, path: str = "", interface: str = ATTACHMENT, interactive: bool = True) -> None:
        self.node.bus.call(SERVICE, path or self.path, interface, *map(str, call), user=NOBODY, interactive=interactive)

    def assert_refused(self, *call: object, **where: Any) -> str:
        before = self.natrad.properties(self.path)
        with self.assertRaises(BusError) as caught:
            self.as_nobody(*call, **where)
        self.assertEqual(caught.exception.name, "io.natra.Error.AccessDenied", str(caught.exception))
        self.assertIn(f"{call[0]}: user {NOBODY} may not change limits", str(caught.exception))
        after = self.natrad.properties(self.path)
        for counters in ("IngressCounters", "EgressCounters"):
            del before[counters], after[counters]
        self.assertEqual(after, before)
        return str(caught.exception)

    def test_without_polkit_only_root_may(self) -> None:
        for call in CHANGES:
            with self.subTest(call[0]):
                self.assert_refused(*call)

    def test_polkit_refuses(self) -> None:
        self.polkit("refuse")
        for call in CHANGES:
            with self.subTest(call[0]):
                self.assertIn(ACTION, self.assert_refused(*call))

    def test_polkit_allows(self) -> None:
        polkit = self.polkit("allow")
        for call in CHANGES:
            with self.subTest(call[0]):
                self.as_nobody(*call)
                self.assertRegex(polkit.first_line(), rf"^{re.escape(ACTION)} system-bus-name name=:\d+\.\d+ interactive$")
                facts = self.natrad.properties(self.path)
                self.assertEqual(facts["IngressRate"], 2 * RATE if call[0] == "SetLimits" else RATE)
                self.assertEqual(facts["EgressShaper"] == "police", call[0] == "SetDataPath")
                overridden = call[0].startswith("Set")
                self.assertEqual(facts["OverriddenBy"], f"uid {NOBODY} over D-Bus" if overridden else "")
                age = time.time() - facts["OverriddenAtUsec"] / 1e6
                self.assertEqual(0 <= age < 60, overridden)
        with self.assertRaises(BusError) as caught:
            self.as_nobody("SetLimits", "a{sv}", 1, "IngressRate", "s", "fast")
        self.assertEqual(caught.exception.name, "io.natra.Error.InvalidArgument")

    def test_a_password_is_asked_for_only_where_the_caller_allows_it(self) -> None:
        polkit = self.polkit("ask")
        for call in CHANGES:
            with self.subTest(call[0]):
                said = self.assert_refused(*call, interactive=False)
                self.assertIn(f"polkit wants to ask for a password for {ACTION}", said)
                self.assertTrue(polkit.first_line().endswith(" silent\n"))
                self.as_nobody(*call)
                self.assertTrue(polkit.first_line().endswith(" interactive\n"))

    def test_a_refusal_names_what_was_missing(self) -> None:
        for answer, why in (("no-agent", "no agent"), ("dismiss", "was not given")):
            polkit = self.polkit(answer)
            said = self.assert_refused("ResetLimits")
            self.assertIn(why, said)
            self.assertNotIn("--allow-interactive-authorization", said)
            self.assertIn("--allow-interactive-authorization", self.assert_refused("ResetLimits", interactive=False))
            polkit.stop()

    def test_what_a_runtime_calls_is_for_root_alone(self) -> None:
        self.polkit("allow")
        self.assert_refused("Detach", "sss", "c1", "eth0", "", path=ROOT, interface=MANAGER)
        self.assert_refused("CollectGarbage", "sa(ss)", "net", 0, path=ROOT, interface=MANAGER)

    def test_everyone_may_look(self) -> None:
        self.as_nobody("Status", path=ROOT, interface=MANAGER)
        self.assertEqual(self.node.bus.busctl("get-property", SERVICE, self.path, ATTACHMENT, "IngressRate",
                                              user=NOBODY)["data"], RATE)

    def test_heavy_flows_are_for_root_and_the_group_as_over_http(self) -> None:
        self.natrad.call(self.path, ATTACHMENT, "HeavyFlows", "su", "ingress", 5)
        with self.assertRaises(BusError) as caught:
            self.as_nobody("HeavyFlows", "su", "ingress", 5)
        self.assertEqual(caught.exception.name, "io.natra.Error.AccessDenied", str(caught.exception))
        self.assertIn(f"HeavyFlows: user {NOBODY} is neither root nor a member", str(caught.exception))
