# SPDX-License-Identifier: Apache-2.0
"""Every verb in every version: its codes, its streams, and what it does when natrad is away."""
from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from lab.natrad import MANAGER, ROOT
from plugin import VERSIONS, Answer, VethPod, each_version, has_check, has_gc_and_status, run
from support import RATE, NodeCase, eventually

LIMITED = {"ingressRate": RATE, "ingressBurst": RATE // 10, "egressRate": RATE, "egressBurst": RATE // 10}
CLOSED = {"failurePolicy": "closed", "timeoutMs": 500}
NETWORK = "cni-plugin-bandwidth-test"


class VerbCase(NodeCase):
    def veth(self) -> VethPod:
        pod = VethPod(self.node)
        self.addCleanup(pod.destroy)
        return pod

    def limited(self, version: str, keys: dict[str, Any] | None = None) -> tuple[VethPod, dict[str, Any]]:
        pod = self.veth()
        conf = pod.conf(version, {**LIMITED, **(keys or {})})
        self.assertEqual(pod.run("ADD", conf).result, pod.result(version))
        return pod, conf

    def assert_silent(self, answer: Answer) -> None:
        self.assertEqual((answer.status, answer.out, answer.err), (0, "", ""))

    def assert_gated(self, answer: Answer, verb: str) -> None:
        self.assertEqual((answer.code, answer.message), (1, f"config version does not allow {verb}"))

    def node_conf(self, version: str, keys: dict[str, Any] | None = None) -> dict[str, Any]:
        """What GC and STATUS get."""
        return {"cniVersion": version, "name": NETWORK, "type": "bandwidth", **(keys or {})}

    def on_node(self, verb: str, conf: dict[str, Any]) -> Answer:
        return run(self.node, verb, conf, CONTAINERID="", NETNS="", IFNAME="", CNI_ARGS="")


@each_version
class WithNatrad(VerbCase):
    def each_add(self, version: str) -> None:
        pod = self.veth()
        conf = pod.conf(version, LIMITED)
        conf["prevResult"]["unknown"] = {"kept": [1, 2.5, None]}
        answer = pod.run("ADD", conf)
        self.assertEqual(answer.err, "")
        self.assertEqual(answer.result, conf["prevResult"], "unknown keys included")
        self.assertEqual(answer.result["cniVersion"], version)
        found = pod.limits()
        assert found is not None
        self.assertEqual((found["IngressRate"], found["IngressSource"]), (RATE, "conf"))

    def each_add_twice_fails_and_changes_nothing(self, version: str) -> None:
        pod, conf = self.limited(version)
        before = self.without_counters(pod)
        again = pod.run("ADD", conf)
        self.assertEqual(again.code, 999)
        self.assertIn("file exists", again.message)
        self.assertEqual(self.without_counters(pod), before)

    def without_counters(self, pod: VethPod) -> dict[str, Any]:
        return {name: value for name, value in (pod.limits() or {}).items() if not name.endswith("Counters")}

    def each_add_without_a_chain(self, version: str) -> None:
        pod = self.veth()
        conf = pod.conf(version, LIMITED)
        del conf["prevResult"]
        answer = pod.run("ADD", conf)
        self.assertEqual((answer.code, answer.message), (999, "must be called as chained plugin"))

    def each_check(self, version: str) -> None:
        pod, conf = self.limited(version)
        if not has_check(version):
            return self.assert_gated(pod.run("CHECK", conf), "CHECK")
        self.assert_silent(pod.run("CHECK", conf))
        other = pod.run("CHECK", {**conf, "ingressRate": RATE + 8})
        self.assertEqual(other.code, 999)
        self.assertIn("Rate doesn't match", other.message)
        self.node.host.run(["tc", "filter", "del", "dev", pod.host_device, "egress"])
        # natrad puts it back; a CHECK that is faster says what is missing.
        deadline = time.monotonic() + 5
        while (broken := pod.run("CHECK", conf)).status != 0:
            self.assertEqual(broken.code, 999)
            self.assertIn("Failed to find program", broken.message)
            self.assertLess(time.monotonic(), deadline, "the program is not put back")

    def each_check_without_add(self, version: str) -> None:
        if not has_check(version):
            return
        pod = self.veth()
        answer = pod.run("CHECK", pod.conf(version, LIMITED))
        self.assertEqual(answer.code, 999)
        self.assertIn("Failed to find attachment", answer.message)
        self.assert_silent(pod.run("CHECK", pod.conf(version)))

    def each_del(self, version: str) -> None:
        pod, conf = self.limited(version)
        self.assert_silent(pod.run("DEL", conf))
        self.assertIsNone(pod.limits())
        self.assert_silent(pod.run("DEL", conf))

    def each_del_with_little_to_go_by(self, version: str) -> None:
        """Without a namespace, without a result, with a wrong configuration: each ends an attachment."""
        for what, keys, env in (("no netns", {}, {"NETNS": ""}),
                                ("another netns", {}, {"NETNS": "/run/netns/nonexistent"}),
                                ("no result", {"prevResult": None}, {}),
                                ("a bad result", {"prevResult": {"cniVersion": "9.9.9", "interfaces": 7}}, {}),
                                ("bad limits", {"ingressRate": "fast", "egressBurst": -1}, {}),
                                ("bad keys", {"failurePolicy": 7, "timeoutMs": []}, {})):
            with self.subTest(what):
                pod, conf = self.limited(version)
                self.assert_silent(pod.run("DEL", {**conf, **keys}, **env))
                self.assertIsNone(pod.limits())

    def each_gc(self, version: str) -> None:
        answer = self.on_node("GC", self.node_conf(version, {"cni.dev/valid-attachments": []}))
        if not has_gc_and_status(version):
            return self.assert_gated(answer, "GC")
        self.assert_silent(answer)

    def each_status(self, version: str) -> None:
        for keys in ({}, CLOSED):
            answer = self.on_node("STATUS", self.node_conf(version, keys))
            if has_gc_and_status(version):
                self.assert_silent(answer)
                self.assertLess(answer.seconds, 2)
            else:
                self.assert_gated(answer, "STATUS")

    def each_version_verb(self, version: str) -> None:
        for stdin in (json.dumps({"cniVersion": version}), "", "{"):
            answer = run(self.node, "VERSION", stdin, NETNS="dummy", IFNAME="dummy", CONTAINERID="%")
            self.assertEqual(answer.result, {"cniVersion": "1.1.0", "supportedVersions": list(VERSIONS)})
            self.assertEqual(answer.err, "")

    def each_pod_without_limits_on_macvlan(self, version: str) -> None:
        pod = self.veth()
        pod.netns.run(["ip", "link", "del", "eth0"])
        self.node.host.run(["ip", "link", "add", "mv0", "link", "uplink", "type", "macvlan"])
        self.node.host.run(["ip", "link", "set", "mv0", "netns", pod.netns.name, "name", "eth0"])
        conf = pod.conf(version)
        conf["prevResult"]["interfaces"] = conf["prevResult"]["interfaces"][1:]
        self.assertEqual(pod.run("ADD", conf).result, conf["prevResult"])
        if has_check(version):
            self.assert_silent(pod.run("CHECK", conf))
        self.assert_silent(pod.run("DEL", conf))

    def test_add_that_cannot_be_recorded_is_rolled_back(self) -> None:
        pod = self.veth()
        before = self.node.host.qdiscs(pod.host_device), pod.netns.qdiscs("eth0")
        state = self.natrad.runtime / "attachments"
        aside = state.rename(state.with_name("aside"))
        state.write_text("a file in the folder's place")
        try:
            answer = pod.run("ADD", pod.conf("1.1.0", LIMITED))
            self.assertEqual(answer.code, 999)
        finally:
            state.unlink()
            aside.rename(state)
        self.assertIsNone(pod.limits())
        self.assertTrue(eventually(
            lambda: (self.node.host.qdiscs(pod.host_device), pod.netns.qdiscs("eth0")) == before))
        self.assertEqual(pod.run("ADD", pod.conf("1.1.0", LIMITED)).status, 0, "and can be tried again")

    def test_add_beside_a_clsact_of_others(self) -> None:
        pod = self.veth()
        self.node.host.run(["tc", "qdisc", "add", "dev", pod.host_device, "clsact"])
        self.node.host.run(["tc", "filter", "add", "dev", pod.host_device, "ingress", "prio", "7", "protocol", "all",
                            "u32", "match", "u32", "0", "0", "classid", "1:1"])
        conf = pod.conf("1.1.0", LIMITED)
        self.assertEqual(pod.run("ADD", conf).status, 0)
        self.assert_silent(pod.run("CHECK", conf))
        self.assert_silent(pod.run("DEL", conf))
        self.assertEqual([each["kind"] for each in self.node.host.qdiscs(pod.host_device)], ["clsact"])
        self.assertTrue(self.node.host.filters(pod.host_device, "ingress"))

    def test_container_names_have_no_maximum(self) -> None:
        for length in (64, 129, 255, 4000):
            with self.subTest(length):
                pod = VethPod(self.node, container_id=("x" * length)[:length - 4] + f"{length:04}")
                self.addCleanup(pod.destroy)
                conf = pod.conf("1.1.0", LIMITED)
                self.assertEqual(pod.run("ADD", conf).status, 0)
                found = pod.limits()
                assert found is not None
                self.assertEqual(found["ContainerId"], pod.container_id)
                self.natrad.restart()
                self.assert_silent(pod.run("CHECK", conf))
                self.assert_silent(pod.run("DEL", conf))
                self.assertIsNone(pod.limits())

    def test_golden_payloads(self) -> None:
        """The payloads of containerd and CRI-O, as in tests/shim/golden.hpp, with their filler bursts."""
        containerd = {"IngressRate": 10_000_000, "IngressBurst": 2**32 - 1, "EgressRate": 0, "EgressBurst": 0}
        crio = {"egressBurst": 34359738359, "egressRate": 5_000_000, "ingressBurst": 0, "ingressRate": 0}
        for version, bandwidth, ingress, egress in (("1.0.0", containerd, 10_000_000, 0),
                                                    ("0.4.0", crio, 0, 5_000_000)):
            with self.subTest(version):
                pod = self.veth()
                conf = pod.conf(version, {"capabilities": {"bandwidth": True},
                                          "runtimeConfig": {"bandwidth": bandwidth}})
                args = (f"K8S_POD_NAME=web-0;IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;"
                        f"K8S_POD_INFRA_CONTAINER_ID={pod.container_id};K8S_POD_UID=0a")
                self.assertEqual(pod.run("ADD", conf, ARGS=args).result, pod.result(version))
                self.assert_silent(pod.run("CHECK", conf, ARGS=args))
                found = pod.limits()
                assert found is not None
                self.assertEqual((found["IngressRate"], found["EgressRate"]), (ingress, egress))
                self.assertEqual((found["IngressBurst"], found["EgressBurst"]), (0, 0), "fillers are no bursts")
                self.assertEqual((found["PodNamespace"], found["PodName"], found["PodUid"]), ("shop", "web-0", "0a"))
                word = "Ingress" if ingress else "Egress"
                self.assertEqual(found[f"{word}Source"], "runtime")


@each_version
class WithoutNatrad(VerbCase):
    natrad_env = None

    def spool(self) -> list[Path]:
        folder = self.node.folder / "run" / "spool"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def setUp(self) -> None:
        for path in self.spool():
            path.unlink()

    def each_open(self, version: str) -> None:
        pod = self.veth()
        conf = pod.conf(version, LIMITED)
        answer = pod.run("ADD", conf)
        self.assertEqual(answer.result, pod.result(version))
        self.assertIn("the pod starts without its limits", answer.err)
        self.assertEqual(len(self.spool()), 1)
        if has_check(version):
            checked = pod.run("CHECK", conf)
            self.assertEqual((checked.status, checked.out), (0, ""), "what ADD let pass")
        if has_gc_and_status(version):
            self.assert_silent(self.on_node("STATUS", self.node_conf(version)))
            collected = self.on_node("GC", self.node_conf(version, {"cni.dev/valid-attachments": []}))
            self.assertEqual((collected.status, collected.out), (0, ""))
        self.assert_silent(pod.run("DEL", conf))
        self.assertEqual(self.spool(), [], "natrad never knew")
        unknown = pod.run("DEL", conf)
        self.assertEqual((unknown.status, unknown.out), (0, ""))
        self.assertEqual(json.loads(self.spool()[0].read_text())["Tombstone"], True)

    def each_closed(self, version: str) -> None:
        pod = self.veth()
        conf = pod.conf(version, {**LIMITED, **CLOSED})
        self.assertEqual(pod.run("ADD", conf).code, 11)
        self.assertEqual(self.spool(), [])
        if has_check(version):
            self.assertEqual(pod.run("CHECK", conf).code, 11)
        if has_gc_and_status(version):
            self.assertEqual(self.on_node("STATUS", self.node_conf(version, CLOSED)).code, 50)
            keys = {**CLOSED, "cni.dev/valid-attachments": []}
            self.assertEqual(self.on_node("GC", self.node_conf(version, keys)).code, 11)
        deleted = pod.run("DEL", conf)
        self.assertEqual((deleted.status, deleted.out), (0, ""), "DEL always succeeds")

    def each_unlimited(self, version: str) -> None:
        pod = self.veth()
        conf = pod.conf(version, CLOSED)
        self.assertEqual(pod.run("ADD", conf).result, pod.result(version))
        if has_check(version):
            self.assert_silent(pod.run("CHECK", conf))
        self.assertEqual(self.spool(), [])


class Hanging(VerbCase):
    """natrad stopped in mid-flight: it owns its name and answers nobody."""

    def setUp(self) -> None:
        os.kill(self.natrad.pid, 19)  # SIGSTOP
        self.addCleanup(os.kill, self.natrad.pid, 18)  # SIGCONT

    def test_the_deadline_holds(self) -> None:
        pod = self.veth()
        conf = pod.conf("1.1.0", {**LIMITED, "timeoutMs": 300})
        added = pod.run("ADD", conf)
        self.assertEqual(added.result, pod.result("1.1.0"))
        status = self.on_node("STATUS", self.node_conf("1.1.0", {**CLOSED, "timeoutMs": 300}))
        self.assertEqual(status.code, 50)
        garbage = self.on_node("GC", self.node_conf("1.1.0", {"cni.dev/valid-attachments": [], "timeoutMs": 300}))
        deleted = pod.run("DEL", conf)
        for answer in (garbage, deleted):
            self.assertEqual((answer.status, answer.out), (0, ""))
        # The default would be 2 s.
        for answer in (added, status, garbage, deleted):
            self.assertLess(answer.seconds, 1.6)


class Contract(VerbCase):
    def test_detach_of_other_users_and_arguments(self) -> None:
        self.natrad.call(ROOT, MANAGER, "Detach", "sss", "nobody", "eth0", "")
        self.assertEqual(self.natrad.call(ROOT, MANAGER, "CollectGarbage", "sa(ss)", "nothing", 0), [[]])
