# SPDX-License-Identifier: Apache-2.0
"""What an image builder does: the package goes into a root where nothing runs."""
from __future__ import annotations

from machine import Machine
from support import PACKAGE

# What runtimes are to natrad's unit: each notes down whether natrad answers when it starts.
RUNTIMES = ("containerd", "crio", "kubelet")
RUNTIME_UNIT = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'busctl call --timeout=5 --auto-start=no io.natra.Natrad1 /io/natra/Natrad1 \
io.natra.Natrad1.Manager Status > /run/%N-saw 2>&1'
[Install]
WantedBy=multi-user.target
"""


def install(machine: Machine) -> str:
    """With runtimes beside it, which start at boot. Returns what the installation printed."""
    for name in RUNTIMES:
        machine.write(f"/etc/systemd/system/{name}.service", RUNTIME_UNIT)
    machine.chroot(["systemctl", "enable", *RUNTIMES])
    return machine.chroot(["sh", "-c", f"apt-get install -y {PACKAGE}/natra_*.deb"])
