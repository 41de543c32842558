# SPDX-License-Identifier: Apache-2.0
"""What natrad says in the journal: one line for a decision, with its fields."""
from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import ClassVar

from lab.cni import CniError
from lab.journal import Entry, Journal
from lab.natrad import Natrad
from lab.node import Node
from lab.pod import Pod
from lab.rest import change_one
from rest_case import RestCase
from support import RATE, eventually

ROOT = Path(__file__).resolve().parents[2]
EVENTS = dict(re.findall(r'inline constexpr Event (\w+)\{"([^"]*)"\};',
                         (ROOT / "daemon/util/log_events.hpp").read_text()))
JOURNAL = Journal()


class Lines(RestCase):
    config: ClassVar[Path]

    @classmethod
    def start(cls, node: Node, **env: str) -> Natrad:
        cls.config = node.folder / "natrad.json"
        return super().start(node, NATRA_CONFIG=str(cls.config), **JOURNAL.environment(node.folder / "natrad.log"), **env)

    def said_of(self, pod: Pod, event: str, count: int = 1) -> list[Entry]:
        """All lines of this kind about the pod: so many and not one more."""
        found = JOURNAL.wait_for(count, NATRA_CONTAINER_ID=pod.container_id, MESSAGE_ID=EVENTS[event])
        self.assertEqual(len(found), count, found)
        return found

    def configure(self, **keys: object) -> None:
        """The configuration is this one and in force."""
        self.config.write_text(json.dumps(keys))
        done = len(JOURNAL.entries(MESSAGE_ID=EVENTS["configuration_reloaded"]))
        self.natrad.signal(signal.SIGHUP)
        JOURNAL.wait_for(done + 1, MESSAGE_ID=EVENTS["configuration_reloaded"])

    def limited_pod(self) -> Pod:
        pod = self.pod(ingress_burst=RATE)
        self.attached = self.said_of(pod, "attached")[0]
        return pod

    def test_attached_where_how_and_which_limits_from_which_source(self) -> None:
        pod = self.limited_pod()
        facts = self.natrad.properties(pod.object_path())
        expected = {"PRIORITY": "6", "SYSLOG_IDENTIFIER": "natrad", "NATRA_NAMESPACE": "lab",
                    "NATRA_POD": f"pod{pod.number}", "NATRA_POD_UID": facts["PodUid"], "NATRA_INTERFACE": "eth0",
                    "NATRA_ATTACHMENT": pod.object_path().rpartition("/")[2]}
        for word in ("Ingress", "Egress"):
            for name in ("Rate", "Burst", "Source", "Hook", "Shaper"):
                expected[f"NATRA_{word}_{name}".upper()] = str(facts[f"{word}{name}"])
        self.assertLessEqual(expected.items(), self.attached.items())
        self.assertNotIn("NATRA_OPERATOR", self.attached)
        said = self.attached["MESSAGE"]
        for words in (f"attached lab/pod{pod.number} eth0: ", f"{RATE} bit/s with {RATE} bits of burst from runtime",
                      f"at {facts['EgressHook']} ({facts['EgressReason']})"):
            self.assertIn(words, said)

    def test_who_changed_limits_and_who_ended_it(self) -> None:
        pod = self.limited_pod()
        path = pod.object_path()
        limits = f"{self.path_of(pod)}/limits"
        self.natrad.set_limits(path, IngressRate=RATE // 2)
        self.natrad.reset_limits(path)
        self.assertEqual(self.rest.patch(limits, {"egress": {"rate": RATE // 4}}).status, 200)
        self.assertEqual(self.rest.delete(limits).status, 200)
        found = self.said_of(pod, "limits_changed", 4)
        for entry, who in zip(found, (r"uid 0 over D-Bus",) * 2 + (r"uid 0, pid \d+ over REST",) * 2):
            self.assertRegex(entry["NATRA_OPERATOR"], f"^{who}$")
            self.assertTrue(entry["MESSAGE"].endswith(f"; by {entry['NATRA_OPERATOR']}"), entry["MESSAGE"])
        self.assertEqual([(each["NATRA_INGRESS_RATE"], each["NATRA_EGRESS_RATE"]) for each in found],
                         [(str(RATE // 2), str(RATE)), (str(RATE), str(RATE)), (str(RATE), str(RATE // 4)),
                          (str(RATE), str(RATE))])
        # And no other line for it.
        self.assertEqual(JOURNAL.entries(NATRA_CONTAINER_ID=pod.container_id), [self.attached, *found])
        self.assertEqual([each for each in JOURNAL.entries() if each["MESSAGE"].startswith("REST: ")], [])
        self.natrad.call(path, "io.natra.Natrad1.Attachment", "SetDataPath", "a{sv}", 1, "Shaper", "s", "police")
        self.natrad.call(path, "io.natra.Natrad1.Attachment", "ResetDataPath")
        for entry, shaper in zip(self.said_of(pod, "data_path_changed", 2), ("police", self.attached["NATRA_EGRESS_SHAPER"])):
            self.assertEqual((entry["NATRA_EGRESS_SHAPER"], entry["NATRA_OPERATOR"]), (shaper, "uid 0 over D-Bus"))

    def test_an_override_that_was_taken_over_says_whose_it_is(self) -> None:
        pod = self.limited_pod()
        self.natrad.set_limits(pod.object_path(), IngressRate=RATE // 2)
        before = self.natrad.properties(pod.object_path())
        self.natrad.restart()
        (adopted,) = self.said_of(pod, "adopted")
        self.assertEqual((adopted["NATRA_OPERATOR"], adopted["NATRA_INGRESS_SOURCE"]),
                         ("uid 0 over D-Bus", "operator_override"))
        after = self.natrad.properties(pod.object_path())
        for name in ("OverriddenBy", "OverriddenAtUsec", "IngressRate"):
            self.assertEqual(after[name], before[name])

    def test_a_new_configuration_says_what_it_changed(self) -> None:
        self.addCleanup(self.configure)
        pod, other = self.limited_pod(), self.pod(ingress=0)
        bursts = {"maxBurst": "2ms"}
        for keys in ({"limits": bursts}, {"limits": bursts}, {"limits": bursts, "shaper": "police"}):
            self.configure(**keys)
        (changed,) = self.said_of(pod, "limits_changed")
        self.assertEqual((changed["NATRA_INGRESS_BURST"], changed["NATRA_OPERATOR"]),
                         (str(RATE * 2 // 1000), "the node's configuration"))
        for each in (pod, other):
            (switched,) = self.said_of(each, "data_path_changed")
            self.assertEqual(switched["NATRA_EGRESS_SHAPER"], "police")
        self.assertEqual(JOURNAL.entries(NATRA_CONTAINER_ID=other.container_id, MESSAGE_ID=EVENTS["limits_changed"]), [])
        refused = len(JOURNAL.entries(MESSAGE_ID=EVENTS["configuration_refused"]))
        self.config.write_text('{"shaper": "fq"}')
        self.natrad.signal(signal.SIGHUP)
        found = JOURNAL.wait_for(refused + 1, MESSAGE_ID=EVENTS["configuration_refused"])
        self.assertEqual(found[-1]["PRIORITY"], "3")

    def test_an_end_is_one_line_with_its_cause(self) -> None:
        by_runtime, by_itself = self.limited_pod(), self.limited_pod()
        device = by_itself.host_device
        by_runtime.delete()
        self.assertIn("as its runtime asked", self.said_of(by_runtime, "detached")[0]["MESSAGE"])
        by_itself.destroy()
        self.assertRegex(self.said_of(by_itself, "detached")[0]["MESSAGE"], rf": {device} \(ifindex \d+\) is gone$")
        for pod in (by_runtime, by_itself):
            self.assertEqual(len(JOURNAL.entries(NATRA_CONTAINER_ID=pod.container_id)), 2)

    def test_a_refusal_is_one_line(self) -> None:
        pod, result = self.plain_pod()
        pod.netns.run(["ip", "link", "set", "eth0", "down"])
        pod.netns.run(["ip", "link", "set", "eth0", "name", "moved"])
        with self.assertRaises(CniError):
            pod.chain.run_one("ADD", "natra", pod.attachment, result)
        (refused,) = self.said_of(pod, "not_attached")
        self.assertEqual((refused["PRIORITY"], refused["NATRA_POD"]), ("4", f"pod{pod.number}"))

    def test_what_cannot_be_recorded_is_one_line(self) -> None:
        pod, result = self.plain_pod()
        escaped = re.sub("[^0-9a-zA-Z]", lambda found: f"_{ord(found[0]):02x}", pod.container_id)
        in_the_way = self.natrad.runtime / "attachments" / f"{escaped}__eth0.json"
        in_the_way.mkdir()
        self.addCleanup(in_the_way.rmdir)
        with self.assertRaises(CniError):
            pod.chain.run_one("ADD", "natra", pod.attachment, result)
        (refused,) = self.said_of(pod, "not_attached")
        self.assertIn(in_the_way.name, refused["MESSAGE"])
        self.assertIsNone(self.natrad.find(pod.container_id))

    def test_each_entry_that_cannot_be_adopted_is_named(self) -> None:
        cache = self.node.folder / "cni-cache"
        cache.mkdir(parents=True, exist_ok=True)
        files = [cache / f"broken{i}" for i in range(30)]
        for file in files:
            file.write_text("{")
            self.addCleanup(file.unlink)
        self.natrad.restart()

        def named() -> list[str]:
            return sorted(each["NATRA_FILE"] for each in JOURNAL.entries(MESSAGE_ID=EVENTS["not_attached"])
                          if "NATRA_FILE" in each)

        self.assertTrue(eventually(lambda: len(named()) >= len(files), 20), named())
        self.assertEqual(named(), sorted(str(each) for each in files))

    def test_a_flood_is_cut_and_its_end_is_told(self) -> None:
        pod = self.limited_pod()
        begin = time.monotonic()
        for rate in range(RATE, RATE + 60):
            change_one(self.rest, pod.container_id, rate)
        took = time.monotonic() - begin

        def lines() -> list[Entry]:
            return JOURNAL.entries(NATRA_CONTAINER_ID=pod.container_id, MESSAGE_ID=EVENTS["limits_changed"])

        self.assertTrue(eventually(lambda: bool(lines()) and lines()[-1]["NATRA_INGRESS_RATE"] == str(RATE + 59), 60))
        left_out = [each for each in lines() if "NATRA_LEFT_OUT" in each]
        self.assertEqual(len(lines()) + sum(int(each["NATRA_LEFT_OUT"]) for each in left_out), 60)
        if took < 20:
            self.assertTrue(left_out, lines())
        for each in left_out:
            self.assertIn(f"({each['NATRA_LEFT_OUT']} lines like this one before it were left out)", each["MESSAGE"])

    def test_the_fields_that_the_catalog_shows_are_sent(self) -> None:
        self.limited_pod()
        catalog = dict(re.findall(r"^-- ([0-9a-f]{32})\n(.*?)(?=^-- |\Z)", (ROOT / "systemd/natra.catalog").read_text(),
                                  re.MULTILINE | re.DOTALL))
        for field in re.findall(r"@(\w+)@", catalog[EVENTS["attached"]]):
            self.assertIn(field, self.attached)
