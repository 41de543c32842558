# SPDX-License-Identifier: Apache-2.0
"""An agent that routes packets to a pod past the pod's device on the host."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab.foreign import Program, redirect_to_peer
from lab.node import BPFFS, Node
from lab.pod import Pod

COUNTED_SINCE = (6, 1)  # by the kernel: 6.7, and later releases of 6.1 and 6.6


def is_counted(node: Node) -> bool:
    release = node.host.run(["uname", "-r"]).stdout.split("-")[0].split(".")
    return (int(release[0]), int(release[1])) >= COUNTED_SINCE


@contextmanager
def redirected(pod: Pod, device: str = "") -> Iterator[Program]:
    """While the block lasts; device: the pod's on the host, where the chain's result does not name it."""
    host, uplink = pod.node.host, "uplink"
    inside = pod.netns.json(["ip", "-json", "addr", "show", "dev", "eth0"])[0]
    outside = host.json(["ip", "-json", "link", "show", "dev", device or pod.host_device])[0]
    address = next(each["local"] for each in inside["addr_info"] if each["family"] == "inet")
    code = redirect_to_peer(address, inside["address"], outside["address"], outside["ifindex"])
    pin = BPFFS / f"{pod.node.label}-redirect"
    with Program(host, code, "pin", str(pin)) as program:
        host.run(["tc", "qdisc", "add", "dev", uplink, "clsact"])
        try:
            host.run(["tc", "filter", "add", "dev", uplink, "ingress", "bpf", "direct-action", "object-pinned", str(pin)])
            yield program
        finally:
            host.run(["tc", "qdisc", "del", "dev", uplink, "clsact"])
