# SPDX-License-Identifier: Apache-2.0
"""Limits that an expert sets with tc, where natra and the stock plugin put theirs: the host veth's egress for
traffic to the pod, the pod's own device for traffic from it."""
from __future__ import annotations

from collections.abc import Callable

from lab import cni
from lab.node import Node
from lab.pod import Limiter, Limits, Pod

Commands = Callable[[str, int], list[str]]  # of a device and a rate in bit/s


def cake(device: str, rate: int) -> list[str]:
    """Fair between flows, with the frame's size as the kernel has it: a veth adds nothing to it."""
    return [f"qdisc add dev {device} root cake bandwidth {rate}bit besteffort flows nonat raw"]


def fq_codel(device: str, rate: int) -> list[str]:
    return [f"qdisc add dev {device} root handle 1: htb default 1",
            f"class add dev {device} parent 1: classid 1:1 htb rate {rate}bit ceil {rate}bit quantum 1514",
            f"qdisc add dev {device} parent 1:1 fq_codel"]


KINDS: dict[str, Commands] = {"cake": cake, "fq_codel": fq_codel}


class PodByHand(Pod):
    """A pod that no plugin limits, and an expert does."""

    def __init__(self, node: Node, commands: Commands, limits: Limits) -> None:
        super().__init__(node, Limiter.NONE)
        self._commands = commands
        self._wanted = limits

    def add(self) -> cni.Json:
        result = super().add()
        places = ((self.node.host, self.host_device, self._wanted.ingress_rate),
                  (self.netns, self.interface, self._wanted.egress_rate))
        for where, device, rate in places:
            if rate:
                where.run(["tc", "-batch", "-"], stdin="\n".join(self._commands(device, rate)) + "\n")
        return result


def missing(node: Node, kind: str) -> bool:
    """Does this kernel, or its tc, not know it?"""
    scratch = "natra-try"
    node.host.run(["ip", "link", "add", scratch, "type", "veth", "peer", "name", f"{scratch}2"])
    try:
        done = node.host.run(["tc", "-batch", "-"], stdin="\n".join(KINDS[kind](scratch, 10**6)) + "\n", check=False)
        return done.returncode != 0
    finally:
        node.host.run(["ip", "link", "del", scratch])
