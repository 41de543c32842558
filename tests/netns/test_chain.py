# SPDX-License-Identifier: Apache-2.0
"""ADD, CHECK and DEL as a container runtime runs them."""
from __future__ import annotations

import json
from typing import Any

from lab.cni import CniError
from lab.pod import Limiter, Limits, Pod, conflist
from support import RATE, NodeCase, eventually


class Verbs(NodeCase):
    def test_add_then_del_leaves_the_interface_as_it_was(self) -> None:
        pod, result = self.plain_pod()
        device = next(each["name"] for each in result["interfaces"] if not each.get("sandbox"))
        before = self.traces(pod, device)
        printed = pod.chain.run_one("ADD", "natra", pod.attachment, result)
        self.assertEqual(printed, result, "the result is the previous one, unchanged")
        self.assertNotEqual(self.traces(pod, device), before)
        pod.chain.run_one("DEL", "natra", pod.attachment, result)
        self.assertEqual(self.traces(pod, device), before)

    def test_every_version_of_the_specification(self) -> None:
        for version in ("0.3.0", "0.3.1", "0.4.0", "1.0.0"):
            with self.subTest(version):
                pod = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE),
                          config=conflist(self.node, Limiter.NATRA, version=version))
                self.enterContext(pod)
                self.assertEqual(self.natrad.properties(pod.object_path())["IngressRate"], RATE)

    def test_add_twice_fails_and_the_pod_stays_limited(self) -> None:
        pod = self.pod()
        result = pod.chain.result_of(pod.attachment)
        with self.assertRaises(CniError) as caught:
            pod.chain.run_one("ADD", "natra", pod.attachment, result)
        self.assertIn("exists", caught.exception.message)
        self.assertIn('"plugins" of network "lab" may name natra twice', caught.exception.message)
        pod.chain.check(pod.attachment)
        self.assert_rate(self.goodput(pod, "ingress", seconds=3), RATE)

    def test_del_twice_and_del_without_add(self) -> None:
        pod = self.pod()
        pod.delete()
        pod.delete()
        self.assertIsNone(self.natrad.find(pod.container_id))
        stranger = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE))
        stranger.chain.run_one("DEL", "natra", stranger.attachment, None)

    def test_del_after_the_namespace_is_gone(self) -> None:
        pod = self.pod()
        pod.destroy()
        pod.chain.run_one("DEL", "natra", pod.attachment, None)
        self.assertIsNone(self.natrad.find(pod.container_id))

    def test_check_passes_after_add(self) -> None:
        pod = self.pod()
        pod.chain.check(pod.attachment)

    def test_what_was_removed_by_hand_is_put_back_and_check_passes(self) -> None:
        for word, direction in (("Ingress", "ingress"), ("Egress", "egress")):
            for part in ("qdisc", "program"):
                with self.subTest(f"{direction} {part}"):
                    pod = self.pod()
                    facts = self.natrad.properties(pod.object_path())
                    if not self.remove(pod, facts, word, part):
                        self.skipTest(f"{facts[f'{word}Shaper']} has no {part} of its own")
                    # CHECK may come before or after natrad has mended it.
                    self.assertTrue(eventually(lambda: self.passes_check(pod)))
                    self.assertTrue(eventually(
                        lambda: self.natrad.properties(pod.object_path())["TamperEvents"] > 0))

    def test_check_finds_what_is_missing(self) -> None:
        pod = self.pod()
        kind, hook, device = self.natrad.properties(pod.object_path())["IngressHook"].split()
        if kind != "clsact":
            self.skipTest(f"the program is on {kind}, where nobody can remove it")
        # natrad gives way to a host that undoes one repair after the other: its next ones are seconds apart.
        remove = ["tc", "filter", "del", "dev", device, hook]

        def removed_and_found_missing() -> bool:
            self.node.host.run(remove, check=False)
            return not self.passes_check(pod)
        self.assertTrue(eventually(removed_and_found_missing))

    def passes_check(self, pod: Pod) -> bool:
        try:
            pod.chain.run_one("CHECK", "natra", pod.attachment, pod.chain.result_of(pod.attachment))
        except CniError as error:
            self.assertRegex(error.message, "Failed to find (qdisc|program)")
            return False
        return True

    def remove(self, pod: Pod, facts: dict[str, Any], word: str, part: str) -> bool:
        """Takes a direction's qdisc or program away behind natrad's back; False if there is none."""
        kind, hook, device = facts[f"{word}Hook"].split()
        where = pod.netns if device == "eth0" else self.node.host
        if part == "qdisc":
            if facts[f"{word}Shaper"] == "police":
                return False
            where.run(["tc", "qdisc", "del", "dev", device, "root"])
        elif kind == "clsact":
            self.assertTrue(where.filters(device, hook), "the program should be there before it is removed")
            where.run(["tc", "filter", "del", "dev", device, hook])
        else:
            return False
        return True

    def test_check_of_an_unknown_container(self) -> None:
        pod, result = self.plain_pod()
        with self.assertRaises(CniError):
            pod.chain.run_one("CHECK", "natra", pod.attachment, result)

    def test_refused_configurations_leave_the_interface_as_it_was(self) -> None:
        pod, result = self.plain_pod()
        device = next(each["name"] for each in result["interfaces"] if not each.get("sandbox"))
        before = self.traces(pod, device)
        for text, conf in (
                ("if rate is set, burst must also be set", {"ingressRate": RATE}),
                ("if burst is set, rate must also be set", {"egressBurst": 1_000_000}),
                ("burst cannot be more than 4GB", {"ingressRate": RATE, "ingressBurst": 2**35}),
                ("failed to parse network configuration", {"ingressRate": -1, "ingressBurst": 8}),
                ("failed to parse network configuration", {"ingressRate": "fast", "ingressBurst": 8}),
                ("must be called as chained plugin", {"ingressRate": RATE, "ingressBurst": RATE,
                                                      "prevResult": None})):
            with self.subTest(str(conf)):
                stdin = {"cniVersion": "1.0.0", "name": "lab", "type": "natra", "prevResult": result, **conf}
                if stdin["prevResult"] is None:
                    del stdin["prevResult"]
                with self.assertRaises(CniError) as caught:
                    pod.chain.execute("ADD", "natra", json.dumps(stdin), pod.attachment)
                self.assertIn(text, caught.exception.message)
                self.assertEqual(self.traces(pod, device), before)

    def test_broken_json(self) -> None:
        pod, _ = self.plain_pod()
        with self.assertRaises(CniError) as caught:
            pod.chain.execute("ADD", "natra", '{"cniVersion": "1.0.0", ', pod.attachment)
        self.assertEqual(caught.exception.code, 6)

    def test_strict_configurations_want_what_the_stock_plugin_wants(self) -> None:
        """Upstream's tests 9 to 11; what natra limits without the key is in test_interface_kinds."""
        pod, result = self.plain_pod()
        for text, interfaces in (("no interfaces provided", []),
                                 ("no veth peer of container interface found in host ns",
                                  [{"name": "not-the-peer"}])):
            conf = {"cniVersion": "1.0.0", "name": "lab", "type": "natra", "ingressRate": RATE, "ingressBurst": RATE,
                    "strictInterfaces": True, "prevResult": {**result, "interfaces": interfaces, "ips": []}}
            with self.subTest(text), self.assertRaises(CniError) as caught:
                pod.chain.execute("ADD", "natra", json.dumps(conf), pod.attachment)
            self.assertEqual(caught.exception.message, text)
        macvlan = {"type": "macvlan", "master": "uplink", "mode": "bridge"}
        config = conflist(self.node, Limiter.NATRA, main=macvlan, static={"strictInterfaces": True})
        # Without limits natra has no say in what an interface is.
        self.enterContext(Pod(self.node, Limiter.NATRA, Limits(), config=config))

    def test_qdiscs_and_filters_of_others_are_not_harmed(self) -> None:
        pod, result = self.plain_pod()
        device = next(each["name"] for each in result["interfaces"] if not each.get("sandbox"))
        host = self.node.host
        host.run(["tc", "qdisc", "add", "dev", device, "clsact"])
        for hook in ("ingress", "egress"):
            host.run(["tc", "filter", "add", "dev", device, hook, "prio", "7", "protocol", "all", "u32",
                      "match", "u32", "0", "0", "classid", "1:1"])
        before = self.traces(pod, device)
        pod.chain.run_one("ADD", "natra", pod.attachment, result)
        foreign = [each for hook in ("ingress", "egress") for each in host.filters(device, hook)
                   if each.get("pref") == 7 and each.get("kind") == "u32"]
        self.assertTrue(foreign)
        self.assert_rate(self.goodput(pod, "ingress", seconds=3), RATE)
        self.assert_rate(self.goodput(pod, "egress", seconds=3), RATE)
        pod.chain.run_one("DEL", "natra", pod.attachment, result)
        after = self.traces(pod, device)
        for each in (before, after):
            for hook in ("ingress", "egress"):
                for entry in each[f"host {hook} filters"]:
                    entry.pop("options", None)  # has counters
        self.assertEqual(after, before)

    def test_vanished_namespace_is_noticed(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        pod.destroy()
        self.assertTrue(eventually(lambda: path not in self.natrad.attachments()),
                        "natrad still lists a pod whose devices are gone")
        self.assertFalse([name for name in (p.name for p in self.natrad.pins.rglob("*"))
                          if path.rpartition("/")[2] in name])


class WithoutNatrad(NodeCase):
    natrad_env = None

    def spooled(self) -> list[str]:
        folder = self.node.folder / "run" / "spool"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def test_add_succeeds_and_is_made_good_when_natrad_comes(self) -> None:
        pod = self.pod()
        self.assertEqual(len(self.spooled()), 1)
        self.assertGreater(self.goodput(pod, "ingress", seconds=2), 5 * RATE)

        closed = conflist(self.node, Limiter.NATRA, static={"failurePolicy": "closed"})
        strict = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), config=closed)
        with self.assertRaises(CniError) as caught, strict:
            pass
        self.assertEqual(caught.exception.code, 11)

        natrad = self.node.start_natrad()
        self.assertTrue(eventually(lambda: natrad.find(pod.container_id) is not None), natrad.log_tail())
        self.assertTrue(eventually(lambda: not self.spooled()))
        self.assert_rate(self.goodput(pod, "ingress", seconds=3), RATE)
        pod.chain.check(pod.attachment)

        natrad.stop()
        pod.chain.run_one("DEL", "natra", pod.attachment, pod.chain.result_of(pod.attachment))
        self.assertEqual(len(self.spooled()), 1, "a DEL that natrad has not heard of")
        natrad.start()
        self.assertTrue(eventually(lambda: natrad.find(pod.container_id) is None))
