# SPDX-License-Identifier: Apache-2.0
"""The D-Bus contract as natrad's objects have it: introspection, documentation, signals."""
from __future__ import annotations

import json
import os
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

from lab.natrad import ATTACHMENT, MANAGER, ROOT, SERVICE
from support import BUILD, RATE, NodeCase, eventually

CHANGED = "org.freedesktop.DBus.Property.EmitsChangedSignal"
DOCUMENTATION = "org.gtk.GDBus.DocString"
Members = dict[tuple[str, str], xml.Element]


def annotation(element: xml.Element, name: str) -> str:
    found = element.find(f"annotation[@name='{name}']")
    return "" if found is None else found.attrib["value"]


def members(interface: xml.Element) -> Members:
    return {(each.tag, each.attrib["name"]): each for each in interface if each.tag != "annotation"}


def signature(element: xml.Element) -> tuple[Any, ...]:
    """What callers rely on: types and directions, and whether changes are told of."""
    arguments = [(each.attrib["type"], each.get("direction", "out")) for each in element.findall("arg")]
    return element.get("type"), element.get("access"), arguments, annotation(element, CHANGED) or "true"


class BusCase(NodeCase):
    def introspected(self, path: str, interface: str) -> xml.Element:
        answer = self.natrad.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")
        found = xml.fromstring(answer[0]).find(f"interface[@name='{interface}']")
        assert found is not None
        return found


class Contract(BusCase):
    def installed(self, interface: str) -> xml.Element:
        found = xml.parse(BUILD.folder / "dbus" / "io.natra.Natrad1.xml").find(f"interface[@name='{interface}']")
        assert found is not None
        return found

    def test_is_what_is_installed_and_nothing_lacks_documentation(self) -> None:
        for path, interface in ((ROOT, MANAGER), (self.pod().object_path(), ATTACHMENT)):
            contract = self.installed(interface)
            self.assertTrue(annotation(contract, DOCUMENTATION), interface)
            documented, real = members(contract), members(self.introspected(path, interface))
            self.assertEqual(documented.keys(), real.keys())
            for name, element in documented.items():
                with self.subTest(f"{interface}.{name[1]}"):
                    self.assertTrue(annotation(element, DOCUMENTATION).strip())
                    self.assertEqual(signature(element), signature(real[name]))

    def test_an_interface_whose_name_is_not_utf8_has_an_object(self) -> None:
        pod, result = self.plain_pod()
        (device,) = [each["name"] for each in result["interfaces"] if not each.get("sandbox")]
        name = os.fsdecode(b"v\xe9\xff")

        def rename(old: str, new: str) -> None:
            for change in (("down",), ("name", new)):
                self.node.host.run(["ip", "link", "set", old, *change])
            self.node.host.run(["ip", "link", "set", new, "up"])

        rename(device, name)
        self.addCleanup(rename, name, device)
        pod.chain.run_one("ADD", "natra", pod.attachment, result)
        self.addCleanup(pod.chain.run_one, "DEL", "natra", pod.attachment, result)
        facts = self.natrad.properties(pod.object_path())
        self.assertEqual(facts["HostInterface"], "v\ufffd\ufffd")
        self.assertEqual(facts["IngressRate"], RATE)
        self.assertIn(pod.object_path(), self.natrad.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0])


class Signals(BusCase):
    def setUp(self) -> None:
        self.told = self.node.folder / f"{self.id()}.json"
        monitor = self.node.bus.monitor(SERVICE, self.told)
        self.addCleanup(monitor.stop)

    def signals(self, member: str, path: str) -> list[Any]:
        """The arguments of those that were sent so far; path: of the object concerned."""
        out = []
        for line in self.told.read_text().splitlines():
            if not line.endswith("}"):
                continue  # not written to its end
            message = json.loads(line)
            data = message["payload"]["data"]
            if message["member"] == member and path in (message["path"], data[0]):
                out.append(data)
        return out

    def test_attachments_come_and_go(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        self.assertTrue(eventually(lambda: len(self.signals("InterfacesAdded", path)) > 0))
        (added,) = self.signals("InterfacesAdded", path)
        self.assertEqual(added[1][ATTACHMENT]["ContainerId"]["data"], pod.container_id)
        self.assertEqual(added[1][ATTACHMENT].keys(), self.natrad.properties(path).keys())
        managed = self.natrad.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]
        self.assertEqual(managed[path][ATTACHMENT]["ContainerId"]["data"], pod.container_id)
        pod.delete()
        self.assertTrue(eventually(lambda: len(self.signals("InterfacesRemoved", path)) > 0))
        (removed,) = self.signals("InterfacesRemoved", path)
        self.assertIn(ATTACHMENT, removed[1])
        self.assertEqual(self.natrad.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0], {})

    def test_changes_are_told_of_with_the_new_values(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        told_of = {name: annotation(each, CHANGED) or "true"
                   for (kind, name), each in members(self.introspected(path, ATTACHMENT)).items() if kind == "property"}
        emitting = {name for name, how in told_of.items() if how == "true"}
        self.assertIn("IngressRate", emitting)
        # What changes all the time, with traffic: nothing is told of it.
        self.assertIn("IngressCounters", {name for name, how in told_of.items() if how == "false"})
        for count, (method, *words) in enumerate((
                ("SetLimits", "a{sv}", 2, "IngressRate", "t", RATE // 2, "EgressRate", "t", RATE // 4),
                ("SetDataPath", "a{sv}", 1, "Shaper", "s", "police"), ("ResetDataPath",), ("ResetLimits",)), 1):
            with self.subTest(method):
                before = self.natrad.properties(path)
                self.natrad.call(path, ATTACHMENT, method, *words)
                self.assertTrue(eventually(lambda: len(self.signals("PropertiesChanged", path)) >= count))
                after = self.natrad.properties(path)
                interface, told, invalidated = self.signals("PropertiesChanged", path)[-1]
                self.assertEqual((interface, invalidated), (ATTACHMENT, []))
                self.assertEqual({name: value["data"] for name, value in told.items()},
                                 {name: after[name] for name in emitting})
                changed = {name for name in after if after[name] != before[name] and told_of[name] != "false"}
                self.assertTrue(changed)
                self.assertLessEqual(changed, emitting)

    def test_degradation_and_its_end_are_told_of(self) -> None:
        pod = self.pod()

        def told() -> list[str]:
            """What the last signal said."""
            changes = self.signals("PropertiesChanged", ROOT)
            if not changes:
                return []
            interface, changed, invalidated = changes[-1]
            self.assertEqual((interface, list(changed), invalidated), (MANAGER, ["Degraded"], []))
            found: list[str] = changed["Degraded"]["data"]
            return found

        def undone() -> bool:
            # Until natrad has enough of it, and polices the pod from outside.
            pod.netns.run(["tc", "qdisc", "del", "dev", "eth0", "root"], check=False)
            return any(each.startswith(f"lab/pod{pod.number} eth0: ") for each in told())

        self.assertTrue(eventually(undone, 60), self.told.read_text())
        self.assertTrue(eventually(lambda: told() == self.natrad.status()["Degraded"]))
        self.natrad.reset_limits(pod.object_path())
        self.assertTrue(eventually(lambda: told() == [], 60), self.told.read_text())
