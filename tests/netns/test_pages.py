# SPDX-License-Identifier: Apache-2.0
"""docs/usage/dbus.md and rest.md, as written: their commands against a pod with traffic, and what they print."""
from __future__ import annotations

from pathlib import Path

from lab import transcript
from lab.pod import Limits, Pod
from rest_case import RestCase
from support import eventually

PAGES = Path(__file__).resolve().parents[2] / "docs" / "usage"
# What the pages say of it.
CONTAINER, NAMESPACE, NAME, LIMIT = "0a1b2c", "shop", "web-0", 20_000_000
# natrad's socket where the page has it, in a mount namespace of the shell's own.
SHELL = 'mount -t tmpfs none /run && mkdir /run/natra && mount --bind "$0" /run/natra && cd "$0" && exec bash'


class Pages(RestCase):
    def play(self, page: str, at_least: int) -> None:
        steps = transcript.steps((PAGES / page).read_text())
        self.assertGreaterEqual(len(steps), at_least)
        pod = Pod(self.node, limits=Limits(LIMIT, LIMIT))
        pod.container_id, pod.pod_namespace, pod.pod_name = CONTAINER, NAMESPACE, NAME
        env = {"DBUS_SYSTEM_BUS_ADDRESS": self.node.bus.address, "LC_ALL": "C.UTF-8"}
        with pod, pod.client().bulk("ingress", 60):
            path = pod.object_path()
            self.assertTrue(eventually(lambda: len(self.natrad.heavy_flows(path, "ingress")) > 0, 30))
            answers = transcript.play(steps, lambda script: self.node.host.run(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", SHELL, str(self.node.folder)],
                stdin=script, env=env, timeout=120).stdout)
        for answer in answers:
            with self.subTest(answer.step.title):
                self.assertRegex(answer.said, answer.step.pattern())
                self.assertEqual(answer.status, 0, answer.said)

    def test_dbus(self) -> None:
        self.play("dbus.md", 12)

    def test_rest(self) -> None:
        self.play("rest.md", 8)
