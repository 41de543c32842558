# SPDX-License-Identifier: Apache-2.0
"""What only a machine with a kernel of its own shows; runs in one (see test_disk.py)."""
from __future__ import annotations

import os
from pathlib import Path

from lab.pod import Limiter, Limits, Pod
from support import RATE, ServiceCase


class OwnKernel(ServiceCase):
    def test_01_boots_without_a_failed_unit(self) -> None:
        self.assertEqual(self.machine.run(["systemctl", "--failed", "--no-legend", "--plain"]).stdout, "")
        self.assertEqual([path.name for path in Path("/boot").glob("vmlinuz-*")], [f"vmlinuz-{os.uname().release}"])

    def test_02_paces(self) -> None:
        """Every kernel of Debian has fq: heavy flows leave at their time."""
        pod = self.pod()
        facts = self.natrad.properties(pod.object_path())
        self.assertEqual((facts["IngressShaper"], facts["EgressShaper"]), ("edt", "edt"), facts)
        for direction in ("ingress", "egress"):
            self.assert_limited(pod, direction=direction)

    def test_03_answers_over_http(self) -> None:
        pod = self.pod()
        said = self.machine.shell("curl -sS --unix-socket /run/natra/api.sock http://localhost/v1/pods")
        self.assertIn(pod.container_id, said)


class PodAtPowerOff(ServiceCase):
    def test_is_limited(self) -> None:
        pod = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE))
        pod.__enter__()  # and stays
        self.assert_limited(pod)
