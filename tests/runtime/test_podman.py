# SPDX-License-Identifier: Apache-2.0
"""podman runs containers through a chain with natra."""
from __future__ import annotations

from lab.podman import Podman
from lab.pod import Limiter, conflist
from support import NodeCase


class Try(NodeCase):
    def test_it(self) -> None:
        c = self.enterContext(Podman(self.node, conflist(self.node, Limiter.NATRA, static={"ingressRate": 20_000_000, "ingressBurst": 20_000_000})))
        try:
            s = c.run("first")
            print("#", s, c.netns(s))
        except Exception as e: print("#", e)
        for p in self.natrad.attachments(): print("#", self.natrad.properties(p))
        import subprocess
        print(subprocess.run("ps aux; mount; find /run /sys/fs/cgroup -name 'natra-lab*'; find /run; ls /dev/shm; find /var/lib/cni", shell=True, capture_output=True, text=True).stdout)
        print(c("rm", "-f", "-t", "0", s))
        for p in self.natrad.attachments(): print("#", self.natrad.properties(p))
        print(subprocess.run("find /run; ls /dev/shm; find /var/lib/cni; ls -la /run/netns", shell=True, capture_output=True, text=True).stdout)
